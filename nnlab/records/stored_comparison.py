"""Folders of runs as the arms of a comparison on their data sets. They may be a stranger's.

Runs are on the same data set if they train and are tested on the same examples; one arm if they differ in
nothing but seeds. Whatever cannot be compared is refused in a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, combinations, islice
from pathlib import Path

from nnlab.errors import UserError, list_names
from nnlab.records.arm_names import Flat, arm_words, compared_settings, differing_keys, with_defaults
from nnlab.records.arm_scores import STEPS, measured, rows_by_key, scores
from nnlab.records.comparison_file import (
    ITSELF,
    ComparisonFile,
    Comparisons,
    is_comparison,
    read_comparison,
)
from nnlab.records.course_scores import with_courses
from nnlab.records.measures import is_loss, pair_count, refuse_many_arms, refuse_unmeasured, usual_measure
from nnlab.records.multirun_file import RUNS_FILE, stored_run_names
from nnlab.records.run_summaries import kind_of_loss, task_name
from nnlab.records.same_examples import OF_EXAMPLES, by_examples, refuse_other_examples
from nnlab.records.stored_run import StoredRun
from nnlab.records.text import shell_word
from nnlab.records.verdict_scope import is_by_time
from nnlab.statistics.comparison import compare_arms
from nnlab.untrusted import is_number

NAMES_LISTED = 3
MOST_PAIRS = 1000  # of all quantities together: some seconds
ONE_ARM = "one arm"  # the name of what has none to be told from


@dataclass(frozen=True)
class StoredComparison:
    """Arms, each with its runs on every data set."""

    runs: dict[str, dict[str, list[StoredRun]]]  # arm -> data -> runs
    words: dict[str, tuple[str, ...]]  # arm -> its words
    data: tuple[str, ...]
    notes: tuple[str, ...] = ()  # what was left out
    target: float | None = None  # of the measure's curve, to which steps are counted

    def task(self, data: str) -> str:
        return task_name(next(iter(self.runs.values()))[data][0].summary)

    def measure(self, data: str, asked: str) -> str:
        """The name of what the arms are compared by on this data set; `asked` may be auto."""
        if asked != "auto":
            return asked
        available = self._measured(data)
        is_tested = not available or "test_loss" in available  # nothing is measured where every row diverged
        return usual_measure(self.task(data), is_tested, "val_error" in available)

    def comparisons(self, asked: str) -> Comparisons:
        """By all that was measured, of many arms by some of it; `asked` comes first. Raises `UserError`."""
        return {data: self._compare(data, self.measure(data, asked)) for data in self.data}

    def _compare(self, data: str, measure: str) -> dict:
        rows = {arm: rows_by_key(each[data]) for arm, each in self.runs.items()}
        of_data = {arm: each[data] for arm, each in self.runs.items()}
        curve_of = self.measure(data, "auto") if measure == STEPS else measure
        rows, of_curves = with_courses(rows, of_data, curve_of, self.target)
        kinds = {kind_of_loss(run.summary) for each in self.runs.values() for run in each[data]}
        if len(kinds) > 1 and any(map(is_loss, of_curves)):
            of_curves = []
        # Where every row diverged, nothing is measured.
        available = [*of_curves[:1], *(self._measured(data) or [measure]), *of_curves[1:]]
        refuse_unmeasured(measure, available, data)
        if len(kinds) > 1 and is_loss(measure):
            raise UserError(
                f"measure = '{measure}': the losses of these arms are of different kinds; test_error and "
                f"val_error are the same for all"
            )
        others = [n for n in available if n != measure and not (len(kinds) > 1 and is_loss(n))]
        names = [measure, *others[: MOST_PAIRS // max(1, pair_count(len(rows))) - 1]]
        first = next(iter(self.runs.values()))[data][0]
        known = first.summary.get("intervals"), is_by_time(first.settings)
        return {name: compare_arms(scores(rows, name, *known)) for name in names}

    def _measured(self, data: str) -> list[str]:
        return measured({arm: rows_by_key(each[data]) for arm, each in self.runs.items()})

    def has_repeats(self, data: str) -> bool:
        """Whether the splits of these data are drawn several times, so that they are the pairs."""
        runs = (run for each in self.runs.values() for run in each[data])
        return any(row.get("repeat", 0) for run in runs for row in run.rows)

    def pairs(self, data: str) -> tuple[int, tuple[str, str]]:
        """The fewest rows that two arms have in common, and which arms these are."""
        rows = {arm: {*rows_by_key(each[data])} for arm, each in self.runs.items()}
        return min((len(rows[a] & rows[b]), (a, b)) for a, b in combinations(rows, 2))

    def hopeless(self) -> list[str]:
        """The arms of which every row diverged."""
        return [
            arm
            for arm, each in self.runs.items()
            if all(row["status"] == "diverged" for runs in each.values() for run in runs for row in run.rows)
        ]


def read_folders(folders: Sequence[Path]) -> StoredComparison:
    """The arms in these folders: of runs, of all runs of -m, of comparisons. Raises `UserError`."""
    if len(folders) == 1 and is_comparison(folders[0]):
        return of_file(folders[0], read_comparison(folders[0]))
    return of_runs([run for folder in folders for run in runs_in(folder)])


def runs_in(folder: Path) -> list[StoredRun]:
    """The runs of one folder. Raises `UserError`."""
    if is_comparison(folder):
        return [run for each in _runs_of(folder, read_comparison(folder)) for run in each]
    if (folder / RUNS_FILE).exists():
        return [StoredRun(folder / name) for name in stored_run_names(folder)]
    return [StoredRun(folder)]


def of_file(folder: Path, file: ComparisonFile) -> StoredComparison:
    """The arms as compare.json has them. Raises `UserError` where their runs are not what it says."""
    runs = {
        arm: {data: [_run_below(folder, name) for name in each[data]] for data in file.data}
        for arm, each in file.runs.items()
    }
    refuse_many_arms(len(runs))
    for data in file.data:
        of_data = [run for each in runs.values() for run in each[data]]
        _refuse_unfinished(of_data)
        refuse_other_examples(of_data)
    target = file.others.get("target")
    return StoredComparison(
        {arm: runs[arm] for arm in file.arms},
        dict(file.arms),
        file.data,
        target=float(target) if is_number(target) else None,
    )


def _runs_of(folder: Path, file: ComparisonFile) -> list[list[StoredRun]]:
    return [
        [_run_below(folder, name) for name in names] for each in file.runs.values() for names in each.values()
    ]


def _run_below(folder: Path, name: str) -> StoredRun:
    return StoredRun(folder if name == ITSELF else folder / name)


def of_runs(runs: Sequence[StoredRun]) -> StoredComparison:
    """The arms of any runs: those that differ in nothing but seeds are one. Raises `UserError`."""
    runs = list({run.path.resolve(): run for run in runs}.values())
    _refuse_unfinished(runs)
    by_data = by_examples(runs)
    arms = _by_arm(by_data)
    refuse_many_arms(len(arms))
    each_words = arm_words([settings for settings, _ in arms])
    words = {" ".join(each) or ONE_ARM: each for each in each_words}
    of_arm = {
        name: {data: [run for run in of_data if run in members] for data, of_data in by_data.items()}
        for name, (_, members) in zip(words, arms, strict=True)
    }
    shared = [data for data in by_data if all(each[data] for each in of_arm.values())]
    if not shared:
        _refuse_apart(of_arm)
    notes = [
        f"'{data}' is left out: {_without(of_arm, data)} did not train on it"
        for data in by_data
        if data not in shared
    ]
    notes += [note for data in shared for note in _unpaired(of_arm, data)]
    kept = {arm: {data: each[data] for data in shared} for arm, each in of_arm.items()}
    return StoredComparison(kept, words, tuple(shared), tuple(notes))


def _without(arms: dict[str, dict[str, list[StoredRun]]], data: str) -> str:
    """The arms that are not on the data."""
    return list_names([arm for arm, each in arms.items() if not each[data]], NAMES_LISTED)


def _unpaired(arms: dict[str, dict[str, list[StoredRun]]], data: str) -> list[str]:
    """Which seeds of arms not all have."""
    seeds = {arm: {key[0] for key in rows_by_key(each[data])} for arm, each in arms.items()}
    common = set.intersection(*seeds.values())
    return [
        f"{arm} has further seeds on {data}, {list_names(further, NAMES_LISTED)}: they are paired only with "
        f"arms that have them too"
        for arm, own in seeds.items()
        if common and (further := [*map(str, sorted(own - common))])
    ]


def _refuse_unfinished(runs: Sequence[StoredRun]) -> None:
    for run in runs:
        if not run.ended:
            whole = next((p for p in (run.path, *run.path.parents[:2]) if (p / RUNS_FILE).exists()), run.path)
            raise UserError(
                f"'{run.path}' has not ended: nnlab train resume={shell_word(str(whole))} goes on with it"
            )


def _by_arm(by_data: dict[str, list[StoredRun]]) -> list[tuple[Flat, list[StoredRun]]]:
    """Settings, and the runs that have them, on whatever data.

    Every source of data has keys and defaults of its own, so that settings of data and split are an arm's
    only if runs on the same data differ in them.
    """
    runs = [run for of_data in by_data.values() for run in of_data]
    flats = iter(with_defaults([compared_settings(run.settings) for run in runs]))
    of_data = [list(islice(flats, len(each))) for each in by_data.values()]
    varied = {key for each in of_data for key in differing_keys(each)}
    arms: dict[str, tuple[Flat, list[StoredRun]]] = {}
    for run, flat in zip(runs, chain.from_iterable(of_data), strict=True):
        settings = {k: v for k, v in flat.items() if k in varied or not k.startswith(OF_EXAMPLES)}
        arms.setdefault(repr(sorted(settings.items())), (settings, []))[1].append(run)
    return [*arms.values()]


def _refuse_apart(arms: dict[str, dict[str, list[StoredRun]]]) -> None:
    each = next(iter(arms.values()))
    lacking = [f"{data} lacks {_without(arms, data)}" for data in each]
    raise UserError(
        f"these runs are on different data, and no data set has all arms: {list_names(lacking, NAMES_LISTED)}"
    )
