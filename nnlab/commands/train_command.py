"""Execution of `nnlab train`: prepares and trains one run, or all runs of -m together as one population.

This module imports torch, so train.py imports it only after the command line has been validated.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from pathlib import Path

from nnlab.checks.proposal import propose_check
from nnlab.commands import early_end, training_session
from nnlab.commands.checkpointer import Checkpointer
from nnlab.commands.command_keys import experiment_settings
from nnlab.commands.command_settings import (
    checkpoint_settings,
    recorded_settings,
    recording,
    refuse_resume,
)
from nnlab.commands.composing import ComposedRun
from nnlab.commands.folders import remove_unstarted
from nnlab.commands.messages import print_advice
from nnlab.commands.pictures import EndedRun, refuse_pictures, show_pictures
from nnlab.commands.recorders import Recorders
from nnlab.commands.run_folders import PreparedRun, prepared_runs
from nnlab.experiment import Experiment
from nnlab.metrics import METRICS, recorded_name
from nnlab.records import hparams
from nnlab.records.checkpoint import Checkpoint
from nnlab.records.console import Console
from nnlab.records.equation_text import equation_lines
from nnlab.records.multirun_file import RUNS_FILE, write_run_names
from nnlab.records.run import RunRequest, RunWriter
from nnlab.records.run_folder import write_start_files
from nnlab.records.tensorboard import ROW_FOLDERS
from nnlab.records.text import shell_line
from nnlab.runtime.devices import device
from nnlab.training.data_cache import DataCache
from nnlab.training.fit import Fit
from nnlab.training.memory import memory_needed, refuse_too_large
from nnlab.training.rank_leader import leader
from nnlab.training.results import Record
from nnlab.training.unbalanced import unbalanced_advice

MAX_OPEN_FILES = 8192  # of all runs that train together
RESERVED_FILES = 100  # file descriptors for libraries, data, the terminal
DEFAULT_FILE_LIMIT = 256  # where the system does not tell its limit


def run(runs: list[ComposedRun]) -> int:
    """Train the runs, each into its folder, and compare several at the end; returns the exit code.

    A run's files are complete as soon as its rows have ended. The exit code is 1 if every row of some run
    diverged.
    """
    prepared = begin_runs(runs)
    return train_all(prepared, prepared[0].multirun_folder or prepared[0].folder)


def begin_runs(
    runs: list[ComposedRun],
    make_parent: Callable[[], Path] | None = None,
    check: Callable[[list[Fit]], None] | None = None,
    command: str = "train",
) -> list[PreparedRun]:
    """Prepare all runs of a command, `check` them, and only then make their folders. Raises `UserError`.

    Those of several are in the one that `make_parent()` returns, else in that of -m. There they can be
    resumed wherever the process is killed from now on.
    """
    prepare_run = partial(prepare, cache=DataCache())

    def check_all(fits: list[Fit]) -> None:
        if check:
            check(fits)
        if leader():  # what another rank cannot train is refused before any folder is made
            joint_fit(fits).lead(leader())

    prepared = list(prepared_runs(command, runs, prepare_run, make_parent, check_all))
    if folder := prepared[0].multirun_folder:
        try:
            for run in prepared:
                write_start_files(run.folder, recorded_settings(run.settings), run.command)
            write_run_names(folder, [run.folder for run in prepared])
        except OSError:
            remove_begun(folder, prepared)
            raise
    return prepared


def remove_begun(folder: Path, runs: list[PreparedRun]) -> None:
    """Remove the folders of runs that never started, and that of all of them unless it has something else."""
    for run in runs:
        remove_unstarted(run.folder)
    with suppress(OSError):
        (folder / RUNS_FILE).unlink(missing_ok=True)
        folder.rmdir()


@dataclass(frozen=True)
class Resumed:
    """Where the runs in a folder are that is resumed; they are named by their indices."""

    running: tuple[int, ...] = ()  # those of the fit that the checkpoint is of, in its order
    ended: frozenset[int] = frozenset()
    checkpoint: Checkpoint | None = None


def train_all(runs: list[PreparedRun], folder: Path, resumed: Resumed | None = None) -> int:
    """Train the runs, or go on with them, and compare several at the end; `folder` is that of the run, or of
    all runs of -m."""
    exit_code = _train_and_compare(runs, folder, resumed)
    draw_pictures(runs, folder)
    return exit_code


def draw_pictures(runs: list[PreparedRun], folder: Path) -> None:
    """The pictures that the runs ask for, once they have ended."""
    with early_end.reporting_what_is_saved(lambda: _describe_ended(folder)):
        ended = {run.name: EndedRun(run.folder, run.settings, run.command) for run in runs}
        show_pictures("train", ended, folder, runs[0].prepared.cache)


def _describe_ended(folder: Path) -> str:
    """What is saved where only pictures are still to be drawn."""
    again = shell_line(["nnlab", "train", f"resume={folder}"])
    return f"all that was trained is in '{folder}'; to draw its pictures: {again}"


def _train_and_compare(runs: list[PreparedRun], folder: Path, resumed: Resumed | None) -> int:
    if len(runs) == 1:
        return _train(runs, folder, _make_console, _print_conclusion, resumed)
    # Comparing runs reads their folders, which takes imports that a single run need not wait for.
    from nnlab.commands import several_runs

    exit_code = train_runs(runs, folder, resumed)
    several_runs.compare(runs)
    return exit_code


def train_runs(runs: list[PreparedRun], folder: Path, resumed: Resumed | None = None) -> int:
    """Train the runs below `folder` together, as many at a time as may be open, or go on with them, and leave
    the conclusions to the caller. Returns 1 if every row of some run diverged."""
    from nnlab.commands import several_runs

    def train_together(some: list[PreparedRun], how: Resumed | None) -> int:
        return _train(some, folder, several_runs.make_console, several_runs.conclude, how)

    remaining, exit_codes = list(enumerate(runs)), []
    if resumed:
        if resumed.running:
            exit_codes.append(train_together([runs[i] for i in resumed.running], resumed))
        done = {*resumed.running, *resumed.ended}
        remaining = [(i, run) for i, run in remaining if i not in done]
    while remaining:
        batch_size = _max_open_runs([run.prepared for _, run in remaining])
        begun_before = Resumed() if resumed else None
        exit_codes.append(train_together([run for _, run in remaining[:batch_size]], begun_before))
        remaining = remaining[batch_size:]
    return max(exit_codes)


def prepare(settings: dict, cache: DataCache | None = None) -> Fit:
    """The fit that the settings describe, with its data loaded and split; raises `UserError`.

    The runs of `-m` share the `cache`, so that each data set is loaded once.
    """
    keep = recording(settings).predictions
    refuse_resume(settings)
    checkpoint_settings(settings)
    experiment = Experiment.from_config(experiment_settings(settings))
    fit = Fit([experiment], DataCache() if cache is None else cache, predictions=keep)
    spec = fit.datasets[experiment.data].spec
    fit.experiments[0].advise(spec)
    refuse_pictures(settings, fit.experiments[0], spec)
    count, where = memory_needed(fit.stacks(), fit.datasets, fit.processes), device(fit.experiments[0].device)
    refuse_too_large(count, "this run", "take a smaller model, batch_size or data", where)
    return fit


def wants_picture(settings: dict, rows: int) -> bool:
    """Whether to draw the curves: with picture=auto, if there are several rows. Raises `UserError`."""
    setting = recording(settings).picture
    return rows > 1 if setting == "auto" else setting


def order_for(fit: Fit, folder: Path, settings: dict, command: str) -> RunRequest:
    """What to write of the first run of a fit, and into which folder."""
    picture = wants_picture(settings, rows=int((fit.experiment_of_row == 0).sum()))
    keep = recording(settings).predictions
    recorded = recorded_settings(settings)
    return RunRequest(folder, recorded, experiment_settings(settings), command, picture, keep)


def _train(
    runs: list[PreparedRun], folder: Path, make_console: Callable, conclude: Callable, resumed: Resumed | None
) -> int:
    """Train these runs in one fit; returns 1 if every row of some run diverged."""
    fit, recorders = joint_fit([run.prepared for run in runs]).lead(leader()), Recorders()
    describe = partial(
        training_session.save_and_describe_all,
        recorders.writers,
        [run.folder for run in runs],
        resumed is not None,
    )
    checkpoint = resumed.checkpoint if resumed else None
    if checkpoint:
        fit.resume(checkpoint.state)
    settings = [checkpoint_settings(run.settings) for run in runs]
    checkpointer = Checkpointer(folder, fit, recorders, settings)
    if leader():
        leader().how_to_resume = checkpointer.resume_line
    with early_end.reporting_what_is_saved(describe), ExitStack() as open_runs:
        for index, order in enumerate(_run_orders(runs)):
            sizes, is_closed = _written_before(index, resumed)
            recorders.add(open_runs.enter_context(RunWriter(order, fit, index, sizes, is_closed)))
        with make_console(runs, recorders, fit) as console:
            if checkpoint:
                from nnlab.commands import resumed_records  # imports that a new run need not wait for

                resumed_records.replay(recorders, checkpoint.state, console)

            def record_and_show(record: Record) -> None:
                recorders.record(record)
                console.record(record)
                if record.ended:
                    recorders.close(only_finished=True)

            training_session.train(fit, recorders.writers, record_and_show, checkpointer)
            recorders.close()
            checkpointer.remove()
            conclude(console, runs, recorders)
    rows = [summary["rows"] for summary in recorders.summaries.values()]
    return int(any(row["diverged"] == row["total"] for row in rows))


def _written_before(index: int, resumed: Resumed | None) -> tuple[dict[str, int] | None, bool]:
    """How much of the files of a run goes on, None if it is a new one; and whether it had ended before the
    checkpoint. `index` is its place in the fit."""
    if resumed is None or resumed.checkpoint is None:
        return (None if resumed is None else {}), False
    sizes = [*resumed.checkpoint.files.values()][index]
    return sizes, not sizes and resumed.running[index] in resumed.ended


def joint_fit(fits: list[Fit]) -> Fit:
    """One fit with the rows of all fits."""
    if len(fits) == 1:
        return fits[0]
    keep = [keep for fit in fits for keep in fit.keep]
    return Fit([fit.experiments[0] for fit in fits], fits[0].cache, predictions=keep)


def _run_orders(runs: list[PreparedRun]) -> list[RunRequest]:
    """What to write of each run, with the hyperparameters of all runs and the names of those that differ."""
    orders = [order_for(run.prepared, run.folder, run.settings, run.command) for run in runs]
    all_hparams, differ = hparams.align_hparams([order.hparams for order in orders])
    pairs = zip(orders, all_hparams, strict=True)
    return [replace(order, hparams=run_hparams, differ=differ) for order, run_hparams in pairs]


def _make_console(runs: list[PreparedRun], recorders: Recorders, fit: Fit) -> Console:
    """The screen that shows the epochs of one run."""
    (writer,) = recorders.writers
    validates, trains_together = writer.experiment.split.validates, len(fit.stacks()) <= fit.trained_at_once
    rows, epochs = len(fit.rows), writer.experiment.epochs
    metric = writer.experiment.metric
    return Console(
        writer.title, rows, epochs, writer.task, validates=validates, single_stack=trains_together,
        metric=recorded_name(metric) if metric in METRICS else "", rate=writer.experiment.schedule.varies,
    )  # fmt: skip


def _print_conclusion(console: Console, runs: list[PreparedRun], recorders: Recorders) -> None:
    """Print the results of one run, the learnt equation if there is one, and what to check next."""
    (writer,), folder = recorders.writers, runs[0].folder
    learnt = equation_lines(writer.equation, folder, len(writer.rows) > 1) if writer.equation else []
    console.close(recorders.summaries[0], folder, learnt)
    if sentence := unbalanced_advice([result.test for result in writer.fit.results], writer.experiment):
        print_advice("train", [sentence])
    for command, outcome in recorders.outcomes(runs).items():
        console.note(propose_check(outcome, command))


def _max_open_runs(fits: list[Fit]) -> int:
    """How many of these runs may be open at the same time, given the limit on file descriptors.

    Each run has a few open files, and one for each of its first rows.
    """
    # Many systems begin with 256 or 1,024 and let a process raise that up to a hard limit.
    try:
        import resource  # not on Windows

        _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
        limit = hard_limit
    except (ImportError, ValueError, OSError):
        limit = DEFAULT_FILE_LIMIT
    open_files = accumulate(2 + min(len(fit.rows), ROW_FOLDERS) for fit in fits)
    return max(1, sum(count <= min(limit, MAX_OPEN_FILES) - RESERVED_FILES for count in open_files))
