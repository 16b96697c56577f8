"""Shows a table: what `nnlab data` does once its words are known to be right."""

from __future__ import annotations

import warnings

from nnlab.commands.composing import ComposedRun
from nnlab.commands.grammar import override_for
from nnlab.data.sources import SOURCES
from nnlab.errors import Advice, UserError
from nnlab.hyperparameters import make_part
from nnlab.records.table_overview import overview_lines
from nnlab.records.terminal import Terminal
from nnlab.records.text import shell_line
from nnlab.tables.doubts import doubts
from nnlab.tables.grave_doubts import Doubt
from nnlab.tables.profile import Profile, profile
from nnlab.tables.table_data import Table


def run(composed: ComposedRun) -> int:
    """Print the screen; 0."""
    table = make_part(SOURCES, composed.settings["data"], "data")
    if not isinstance(table, Table):
        raise UserError(f"data={table.name}: nnlab data shows tables, data=table")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", Advice)
        source, tests = table.source()
        shown = profile(source, table, tests)
        doubted = doubts(shown)
    sentences = [
        *dict.fromkeys(str(warning.message) for warning in caught),
        *(doubt.sentence for doubt in doubted),
    ]
    screen = Terminal()
    for line in overview_lines(shown, sentences, train_line(shown, composed, doubted)):
        screen.line(line)
    return 0


def train_line(profile: Profile, composed: ComposedRun, doubted: list[Doubt]) -> str:
    """The shell line that trains: the user's words, those without which the table would be refused, and what
    surely mends the doubts."""
    texts = profile.table.texts
    dropped = [name for doubt in doubted for name in doubt.remedy.get("drop", [])]
    texts_dropped = [j.column.name for j in texts if not j.odd_words]
    added = {
        "data.path": profile.settings.path,
        "data.target": profile.table.roles.target,
        "data.drop": [*dict.fromkeys([*profile.settings.drop, *texts_dropped, *dropped])],
        "data.missing": [*profile.settings.missing, *(word for j in texts for word in j.odd_words)],
    }
    for doubt in doubted:
        added |= {f"data.{key}": name for key, name in doubt.remedy.items() if key != "drop"}
    words = [word for word in composed.overrides if word.partition("=")[0] not in ("data", *added)]
    overrides = [override_for(key, _plain(value)) for key, value in added.items() if value != []]
    # A class of one example cannot be in training and in test.
    split = ["split.stratify=false"] * (1 in profile.class_counts)
    return shell_line(["nnlab", "train", "data=table", *overrides, *words, *split])


def _plain(value):
    return list(value) if isinstance(value, tuple) else value
