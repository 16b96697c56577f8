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
        sentences = doubts(shown)
    sentences = [*dict.fromkeys(str(warning.message) for warning in caught), *sentences]
    screen = Terminal()
    for line in overview_lines(shown, sentences, train_line(shown, composed)):
        screen.line(line)
    return 0


def train_line(profile: Profile, composed: ComposedRun) -> str:
    """The shell line that trains: the user's words, and those without which the table would be refused."""
    texts = profile.table.texts
    added = {
        "data.path": profile.settings.path,
        "data.target": profile.table.roles.target,
        "data.drop": [*profile.settings.drop, *(j.column.name for j in texts if not j.odd_words)],
        "data.missing": [*profile.settings.missing, *(word for j in texts for word in j.odd_words)],
    }
    words = [word for word in composed.overrides if word.partition("=")[0] not in ("data", *added)]
    overrides = [override_for(key, _plain(value)) for key, value in added.items() if value != []]
    # A class of one example cannot be in training and in test.
    split = ["split.stratify=false"] * (1 in profile.class_counts)
    return shell_line(["nnlab", "train", "data=table", *overrides, *words, *split])


def _plain(value):
    return list(value) if isinstance(value, tuple) else value
