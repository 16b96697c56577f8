"""Training what `nnlab train` asks for: one run, or those of -m as rows of the same stacks.

Everything here may import torch: train.py imports it once the words are known to be right.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import accumulate
from pathlib import Path

from nnlab.checks.proposal import proposal
from nnlab.commands import early_end
from nnlab.commands.command_keys import of_experiment
from nnlab.commands.command_settings import TrainSettings
from nnlab.commands.composing import ComposedRun
from nnlab.commands.recorders import Recorders
from nnlab.commands.run_folders import PreparedRun, prepared_runs
from nnlab.experiment import Experiment
from nnlab.records import hparams
from nnlab.records.console import Console
from nnlab.records.formula import lines as equation_lines
from nnlab.records.run import Order, Run
from nnlab.records.tensorboard import ROW_FOLDERS
from nnlab.runtime.devices import device
from nnlab.training.data_cache import DataCache
from nnlab.training.fit import Fit
from nnlab.training.memory import needed, refuse_too_large
from nnlab.training.results import Record

MOST_FILES = 8192  # open at once, by all runs
SPARE_FILES = 100  # that others need: libraries, data, the terminal
USUAL_FILES = 256  # where the system does not say how many there may be


def run(runs: list[ComposedRun]) -> int:
    """Train the runs, each into its folder; of several, compare them at the end.

    A run's files are complete as soon as its rows have ended. 1 if every row of some run diverged.
    """
    every = list(prepared_runs("train", runs, partial(prepare, cache=DataCache())))
    if len(every) == 1:
        return _train(every, _console, _conclude)
    # A table of runs reads their folders: imports that one run does not wait for.
    from nnlab.commands import several_runs

    rest, codes = every, []
    while rest:
        count = _at_once([run.prepared for run in rest])
        codes.append(_train(rest[:count], several_runs.console, several_runs.conclude))
        rest = rest[count:]
    several_runs.compare(every)
    return max(codes)


def prepare(settings: dict, cache: DataCache | None = None) -> Fit:
    """The fit that the settings describe, its data loaded and split; raises `UserError`.

    The runs of `-m` load their data once: they share the `cache`.
    """
    wants_picture(settings, rows=1)
    experiment = Experiment.from_config(of_experiment(settings))
    fit = Fit([experiment], DataCache() if cache is None else cache)
    experiment.schedule.advise(experiment.epochs)
    count, where = needed(fit.stacks(), fit.datasets, fit.processes), device(fit.experiments[0].device)
    refuse_too_large(count, "this run", "take a smaller model, batch_size or data", where)
    return fit


def wants_picture(settings: dict, rows: int) -> bool:
    """Whether to draw the curves: as asked, else where there are several rows. Raises `UserError`."""
    asked = TrainSettings(settings.get("picture", "auto")).picture
    return rows > 1 if asked == "auto" else asked


def order(fit: Fit, folder: Path, settings: dict, command: str) -> Order:
    """Where a run goes, the first of a fit, and what is written beside its numbers."""
    picture = wants_picture(settings, rows=int((fit.owner == 0).sum()))
    return Order(folder, settings, of_experiment(settings), command, picture)


def _train(runs: list[PreparedRun], console_of: Callable, conclude: Callable) -> int:
    """Train these runs in one fit, whether one or several; 1 if every row of some run diverged."""
    fit, recorders = _joined([run.prepared for run in runs]), Recorders()
    kept = partial(early_end.kept_of, recorders.writers, [run.folder for run in runs])
    with early_end.naming(kept), ExitStack() as open_runs:
        for place, one in enumerate(_orders(runs)):
            recorders.add(open_runs.enter_context(Run(one, fit, place)))
        with console_of(runs, recorders, fit) as console:

            def read(record: Record) -> None:
                recorders.record(record)
                console.record(record)
                if record.ended:
                    recorders.close(only_if_over=True)

            early_end.train(fit, recorders.writers, read)
            recorders.close()
            conclude(console, runs, recorders)
    rows = [summary["rows"] for summary in recorders.summaries.values()]
    return int(any(row["diverged"] == row["total"] for row in rows))


def _joined(fits: list[Fit]) -> Fit:
    """The rows of all fits in one."""
    if len(fits) == 1:
        return fits[0]
    return Fit([fit.experiments[0] for fit in fits], fits[0].cache)


def _orders(runs: list[PreparedRun]) -> list[Order]:
    """What to write of each run, with the hyperparameters of all and what tells them apart."""
    each = [order(run.prepared, run.folder, run.settings, run.command) for run in runs]
    every, differ = hparams.beside([one.hparams for one in each])
    return [replace(one, hparams=its, differ=differ) for one, its in zip(each, every, strict=True)]


def _console(runs: list[PreparedRun], recorders: Recorders, fit: Fit) -> Console:
    """A view of one run's epochs."""
    (writer,) = recorders.writers
    validates, together = writer.experiment.split.validates, len(fit.stacks()) <= fit.processes
    rows, epochs = len(fit.rows), writer.experiment.epochs
    return Console(writer.title, rows, epochs, writer.task, validates=validates, together=together)


def _conclude(console: Console, runs: list[PreparedRun], recorders: Recorders) -> None:
    """What is printed at the end of one run."""
    (writer,), folder = recorders.writers, runs[0].folder
    learnt = equation_lines(writer.equation, folder, len(writer.rows) > 1) if writer.equation else []
    console.close(recorders.summaries[0], folder, learnt)
    for command, outcome in recorders.outcomes(runs).items():
        console.note(proposal(outcome, command))


def _at_once(fits: list[Fit]) -> int:
    """How many of these may be open at once: each has a few files, one for each of its first rows."""
    # Many systems begin with 256 or 1,024 and let a process raise that up to a hard limit.
    try:
        import resource  # not on Windows

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        allowed = hard
    except (ImportError, ValueError, OSError):
        allowed = USUAL_FILES
    files = accumulate(2 + min(len(fit.rows), ROW_FOLDERS) for fit in fits)
    return max(1, sum(count <= min(allowed, MOST_FILES) - SPARE_FILES for count in files))
