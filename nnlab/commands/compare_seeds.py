"""`nnlab compare FOLDER seeds=+5`: more seeds of every arm, by its own settings, into the folder.

A row depends on its settings and seed alone, so seeds 0 to 4 and then 5 to 9 are those of 0 to 9 at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nnlab.commands.command_settings import recorded_settings
from nnlab.commands.compare_command import train_and_compare
from nnlab.commands.compare_conclusion import conclude, show_by
from nnlab.commands.compare_folder_words import FoldersRequest
from nnlab.commands.folders import remove_unstarted
from nnlab.commands.messages import advice_on_stderr, print_advice
from nnlab.commands.process import freeze_imports
from nnlab.commands.recorded_command import with_words
from nnlab.commands.run_folders import PreparedRun
from nnlab.commands.train_command import prepare
from nnlab.errors import UserError
from nnlab.records.comparison_file import (
    ITSELF,
    ComparisonFile,
    Comparisons,
    is_comparison,
    read_comparison,
    write_comparison,
)
from nnlab.records.files import to_jsonable
from nnlab.records.multirun_file import write_run_names
from nnlab.records.run_folder import SPLITS_FILE, write_start_files
from nnlab.records.stored_comparison import StoredComparison, of_file, of_runs, runs_in
from nnlab.records.stored_run import StoredRun
from nnlab.records.terminal import Terminal
from nnlab.records.test_predictions import splits
from nnlab.records.text import shell_line
from nnlab.training.data_cache import DataCache
from nnlab.training.fingerprints import fingerprints
from nnlab.training.fit import Fit
from nnlab.untrusted import refuse_links_below


@dataclass(frozen=True)
class MoreSeeds:
    """The seeds that are trained of every arm."""

    first: int
    count: int

    @property
    def folder_name(self) -> str:
        last = self.first + self.count - 1
        return f"seeds{self.first}" + f"-{last}" * (self.count > 1)


def add_seeds(folder: Path, request: FoldersRequest) -> int:
    """Train the seeds that are asked for, and compare all; returns 1 if every row of some arm diverged.

    Another measure is that of runs which become a comparison; a comparison keeps its own, and is shown by
    the other one too.
    """
    refuse_links_below(folder)
    file = read_comparison(folder) if is_comparison(folder) else _file_of_runs(folder, request)
    stored = of_file(folder, file)
    comparisons = stored.comparisons(file.measure)
    asked = file.asked(request.measure, request.target)
    if asked != file:  # refused before it trains, if it is not measured
        of_file(folder, asked).comparisons(asked.measure)
    seeds = _seeds_to_train(stored, request)
    if not seeds.count:
        write_comparison(folder, file, comparisons)
        Terminal().line(f"all arms have {request.seeds} seeds: there is nothing to train")
        return conclude(folder) if file == asked else show_by(folder, request.measure, request.target)
    with advice_on_stderr("compare"):
        runs, more = _prepare(folder, stored, seeds)
    print_advice("compare", _note_on_pairs(stored, comparisons))
    freeze_imports()
    part = folder / seeds.folder_name
    _begin(part, runs)
    # Named before they train, so that nobody compares without them what is half trained.
    write_comparison(folder, file.with_runs(more), comparisons)
    exit_code = train_and_compare(runs, part)
    return exit_code if file == asked else show_by(folder, request.measure, request.target)


def _file_of_runs(folder: Path, request: FoldersRequest) -> ComparisonFile:
    """The compare.json that runs get which were not trained to be compared."""
    stored = of_runs(runs_in(folder))
    runs = {
        arm: {data: [_name_below(folder, run) for run in runs] for data, runs in each.items()}
        for arm, each in stored.runs.items()
    }
    command = shell_line(["nnlab", "compare", str(folder)])
    file = ComparisonFile(command, "auto", stored.data, stored.words, runs)
    return file.asked(request.measure, request.target)


def _name_below(folder: Path, run: StoredRun) -> str:
    return ITSELF if run.path == folder else run.path.relative_to(folder).as_posix()


def _seeds_to_train(stored: StoredComparison, request: FoldersRequest) -> MoreSeeds:
    """Those after all that there are. Raises `UserError`."""
    of_arms = [
        {row["seed"] for run in runs for row in run.rows}
        for each in stored.runs.values()
        for runs in each.values()
    ]
    first, most = 1 + max(max(seeds) for seeds in of_arms), max(map(len, of_arms))
    count = request.more_seeds if request.seeds is None else request.seeds - most
    if count < 0:
        raise UserError(
            f"seeds={request.seeds}: there are {most} already; seeds=+{request.seeds} trains as many more"
        )
    return MoreSeeds(first, count)


def _note_on_pairs(stored: StoredComparison, comparisons: Comparisons) -> list[str]:
    """That pairs become others, where the folds of one seed were compared."""
    by_folds = [
        data
        for data, of_data in comparisons.items()
        if next(iter(of_data.values())).unit == "split" and not stored.has_repeats(data)
    ]
    if not by_folds:
        return []
    where = f" on {' and '.join(by_folds)}" if len(stored.data) > 1 else ""
    return [
        f"arms were compared fold by fold{where}, of one seed; with more they are compared seed by seed, by "
        f"the means over the folds: n, intervals and p are of other pairs"
    ]


def _prepare(
    folder: Path, stored: StoredComparison, seeds: MoreSeeds
) -> tuple[list[PreparedRun], dict[str, dict[str, str]]]:
    """A run of each arm on each data set, and the names of their folders. Raises `UserError`."""
    cache, prepared, names = DataCache(), [], {}
    for arm, each in stored.runs.items():
        for data, runs in each.items():
            trained = runs[0]
            settings = trained.settings | {"seed": seeds.first, "seeds": seeds.count}
            fit = prepare(settings, cache)
            _refuse_changed_data(trained, fit)
            name = f"{seeds.folder_name}/{trained.path.name if trained.path != folder else 0}"
            names.setdefault(arm, {})[data] = name
            command = with_words(trained.command, [f"seed={seeds.first}", f"seeds={seeds.count}"])
            run_name = arm if len(stored.data) == 1 else f"{arm} {data}"
            prepared.append(
                PreparedRun(run_name, fit, folder / name, settings, command, folder / seeds.folder_name)
            )
    return prepared, names


def _refuse_changed_data(trained: StoredRun, fit: Fit) -> None:
    """Raise `UserError` unless the data, and their splits, are those that the stored run trained on."""
    (e,) = fit.experiments
    stored = trained.summary.get("fingerprints")
    is_old = not isinstance(stored, dict)
    if not (_has_splits(trained, fit) if is_old else stored == fingerprints(e, fit.cache)):
        raise UserError(
            f"the data are not those that the run in '{trained.path}' was trained on: the same file is "
            f"needed, and the same working directory if its path is relative"
        )


def _has_splits(trained: StoredRun, fit: Fit) -> bool:
    """Whether a run without fingerprints had these data and splits. Raises `UserError` where it does not say:
    its rows would have no pairs."""
    if not (trained.path / SPLITS_FILE).exists():
        raise UserError(
            f"'{trained.path}' is of a version that did not keep which examples train and test: more seeds "
            f"have no pairs there; train all of them anew"
        )
    dataset = fit.datasets[fit.experiments[0].data]
    folds = {row.fold.key: row.fold for row in fit.rows}.values()
    now = [*splits([*folds], dataset)]
    return trained.spec in (None, dataset.spec) and to_jsonable(trained.splits) == now


def _begin(part: Path, runs: list[PreparedRun]) -> None:
    """Make the folders of the runs. Raises `UserError` if somebody has made that of all."""
    try:
        part.mkdir()
    except FileExistsError:
        raise UserError(
            f"'{part}' is there already, and compare.json does not name it: remove or rename it"
        ) from None
    try:
        for run in runs:
            run.folder.mkdir()
            write_start_files(run.folder, recorded_settings(run.settings), run.command)
        write_run_names(part, [run.folder for run in runs])
    except OSError:
        remove_unstarted(part)
        raise
