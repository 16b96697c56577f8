"""compare.json: which runs are the arms of a comparison, on which data, and what came of it.

It is in the folder of `nnlab compare`, or of runs of which more seeds were trained, and names folders below
it. Somebody else may have written it, so it is checked as runs.json is.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from nnlab.errors import UserError
from nnlab.records.files import write_json
from nnlab.records.measures import MEASURES
from nnlab.records.multirun_file import refuse_outside
from nnlab.untrusted import read_json, unlinked_file

if TYPE_CHECKING:
    from nnlab.statistics.comparison import Comparison

COMPARE_FILE = "compare.json"
OWN_KEYS = ("command", "measure", "data", "arms", "runs", "comparisons")
MOST_NAMES = 5000  # arms, data sets, runs of an arm
ADDED_PATTERN = re.compile(r"seeds\d+(-\d+)?/")  # begins the names of runs of added seeds
ITSELF = "."  # the folder of the file, where that is a run

Comparisons = dict[str, dict[str, "Comparison"]]  # data -> measure -> the arms compared by it


@dataclass(frozen=True)
class ComparisonFile:
    """The content of compare.json. `others` are the entries that are read and written elsewhere."""

    command: str
    measure: str  # as it was asked for, perhaps auto
    data: tuple[str, ...]
    arms: dict[str, tuple[str, ...]]  # name -> its words, in the order in which they were typed
    runs: dict[str, dict[str, list[str]]]  # arm -> data -> names of run folders below that of the file
    others: dict = field(default_factory=dict)

    @property
    def added_seeds(self) -> int:
        """How often `nnlab compare FOLDER seeds=+N` has added seeds of several arms: a folder each time."""
        if len(self.arms) < 2:
            return 0
        names = (name for by_data in self.runs.values() for of_data in by_data.values() for name in of_data)
        return len({name.partition("/")[0] for name in names if ADDED_PATTERN.match(name)})

    def asked(self, measure: str | None, target: float | None) -> ComparisonFile:
        """The same arms by another measure, and with steps to another target, where these are given."""
        others = self.others if target is None else self.others | {"target": target}
        return replace(self, measure=measure or self.measure, others=others)

    def with_runs(self, more: dict[str, dict[str, str]]) -> ComparisonFile:
        """The same with a further run of each arm on each data set."""
        runs = {
            arm: {data: [*names, more[arm][data]] for data, names in each.items()}
            for arm, each in self.runs.items()
        }
        return replace(self, runs=runs)


def is_comparison(folder: Path) -> bool:
    """Whether the folder has a compare.json."""
    return os.path.lexists(folder / COMPARE_FILE)


def comparison_of(folder: Path) -> Path | None:
    """The folder of the comparison to which the runs in this folder belong: itself, or that above it."""
    if is_comparison(folder):
        return folder
    with contextlib.suppress(UserError):  # that above may be anything
        runs = read_comparison(folder.parent).runs
        names = [name for by_data in runs.values() for of_data in by_data.values() for name in of_data]
        if any(PurePosixPath(name).parts[:1] == (folder.absolute().name,) for name in names):
            return folder.parent
    return None


def write_comparison(folder: Path, file: ComparisonFile, comparisons: Comparisons | None = None) -> None:
    """Write the file, with the comparisons as far as there are some."""
    tree = {
        "command": file.command,
        "measure": file.measure,
        "data": [*file.data],
        "arms": [{"name": name, "words": [*words]} for name, words in file.arms.items()],
        "runs": file.runs,
        "comparisons": {
            data: {measure: comparison.to_json() for measure, comparison in each.items()}
            for data, each in (comparisons or {}).items()
        },
    }
    write_json(folder / COMPARE_FILE, tree | file.others)


def read_comparison(folder: Path) -> ComparisonFile:
    """The file in the folder, without its comparisons. Raises `UserError` for another, or one that leads out
    of the folder."""
    path = folder / COMPARE_FILE
    tree = read_json(unlinked_file(path))
    if fault := _fault(tree):
        raise UserError(f"'{path}': {fault}")
    for names in (names for by_data in tree["runs"].values() for names in by_data.values()):
        refuse_outside(folder, path, [name for name in names if name != ITSELF])
    return ComparisonFile(
        tree["command"],
        tree["measure"],
        tuple(tree["data"]),
        {arm["name"]: tuple(arm["words"]) for arm in tree["arms"]},
        tree["runs"],
        {key: value for key, value in tree.items() if key not in OWN_KEYS},
    )


def _fault(tree) -> str:
    if not isinstance(tree, dict) or not isinstance(tree.get("command"), str):
        return "expected a comparison: its command, measure, data, arms, runs"
    if tree.get("measure") not in MEASURES:
        return "expected measure, a name of what is measured"
    if not _are_names(tree.get("data")):
        return "expected data, a list of names"
    arms = tree.get("arms")
    if not isinstance(arms, list) or not all(isinstance(arm, dict) for arm in arms):
        return "expected arms, a list of names with words"
    if not _are_names([arm.get("name") for arm in arms]) or not all(_are_texts(a.get("words")) for a in arms):
        return "expected arms, a list of names with words"
    runs = tree.get("runs")
    if not isinstance(runs, dict) or runs.keys() != {arm["name"] for arm in arms}:
        return "expected runs of each arm"
    for arm, by_data in runs.items():
        if not isinstance(by_data, dict) or by_data.keys() != {*tree["data"]}:
            return f"expected runs of the arm {arm!r:.100} on each data set"
        if not all(_are_names(names) for names in by_data.values()):
            return f"expected runs of the arm {arm!r:.100}, lists of the names of folders below it"
    return ""


def _are_names(names) -> bool:
    """Whether it is a list of different texts, and not empty."""
    return _are_texts(names) and 0 < len(names) == len({*names})


def _are_texts(values) -> bool:
    return isinstance(values, list) and len(values) <= MOST_NAMES and all(isinstance(v, str) for v in values)
