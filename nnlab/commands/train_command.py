"""Training what `nnlab train` asks for: one run, or those of -m as rows of the same stacks.

Everything here may import torch: train.py imports it once the words are known to be right.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import accumulate
from pathlib import Path

from nnlab.checks import chance_level
from nnlab.checks.proposal import Course, Outcome, lower_rate, proposal, proposal_of_several
from nnlab.commands import early_end
from nnlab.commands.command_keys import of_experiment
from nnlab.commands.command_settings import TrainSettings
from nnlab.commands.composing import ComposedRun
from nnlab.commands.run_folders import PreparedRun, prepared_runs
from nnlab.experiment import Experiment
from nnlab.records import hparams, runs_table
from nnlab.records.console import Beside, Console
from nnlab.records.formula import lines as equation_lines
from nnlab.records.run import Order, Run
from nnlab.records.run_summaries import BRIEF_LETTERS, brief
from nnlab.records.tensorboard import ROW_FOLDERS
from nnlab.records.text_columns import shortened
from nnlab.records.titles import about
from nnlab.runtime.devices import device
from nnlab.search.rankable import doubtful
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
    rest = list(prepared_runs("train", runs, partial(prepare, cache=DataCache())))
    every, codes = rest, []
    while rest:
        count = _at_once([run.prepared for run in rest])
        codes.append(_train(rest[:count], several=len(every) > 1))
        rest = rest[count:]
    if len(every) > 1:
        doubts = _doubts([run.prepared for run in every])
        runs_table.compare({run.name: run.folder for run in every}, doubts)
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


class Recorders:
    """The writers of all runs of a fit, and how each run goes; a run is closed as soon as its rows end."""

    def __init__(self):
        self.writers: list[Run] = []
        self.courses: list[Course] = []
        self.summaries: dict[int, dict] = {}  # of the runs that are closed, by place

    def add(self, writer: Run) -> None:
        self.writers.append(writer)
        self.courses.append(Course(len(writer.rows)))

    def record(self, record: Record) -> None:
        """Take in a record of the fit."""
        for writer, course in zip(self.writers, self.courses, strict=True):
            part = None if writer.closed else writer.record(record)
            if part and not part.refit:
                course.record(part)

    def close(self, only_if_over: bool = False) -> None:
        """Write the results of the runs that are not closed yet."""
        for place, writer in enumerate(self.writers):
            if not writer.closed and (writer.over or not only_if_over):
                self.summaries[place] = writer.close()

    def outcomes(self, runs: list[PreparedRun]) -> dict[str, Outcome]:
        """How each run went, by its command."""
        each = zip(runs, self.writers, self.courses, strict=True)
        return {run.command: _outcome(writer, course) for run, writer, course in each}


def _train(runs: list[PreparedRun], several: bool) -> int:
    """Train these runs in one fit, whether one or several; 1 if every row of some run diverged."""
    fit, recorders = _joined([run.prepared for run in runs]), Recorders()
    kept = partial(early_end.kept_of, recorders.writers, [run.folder for run in runs])
    with early_end.naming(kept), ExitStack() as open_runs:
        for place, one in enumerate(_orders(runs)):
            recorders.add(open_runs.enter_context(Run(one, fit, place)))
        with _console(runs, recorders.writers, fit, several) as console:

            def read(record: Record) -> None:
                recorders.record(record)
                console.record(record)
                if record.ended:
                    recorders.close(only_if_over=True)

            early_end.train(fit, recorders.writers, read)
            recorders.close()
            outcomes = recorders.outcomes(runs)
            if several:
                console.note(proposal_of_several(outcomes))
            else:
                _conclude(console, recorders.writers[0], recorders.summaries[0], outcomes)
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


def _console(runs: list[PreparedRun], writers: list[Run], fit: Fit, several: bool) -> Console:
    """A view of one run's epochs; of several, of how many have ended and which is the best so far."""
    epochs, task = max(experiment.epochs for experiment in fit.experiments), writers[0].task
    validates = any(experiment.split.validates for experiment in fit.experiments)
    stacks = len(fit.stacks())
    if not several:
        together = stacks <= fit.processes  # whether all stacks train at the same time
        return Console(writers[0].title, len(fit.rows), epochs, task, validates=validates, together=together)
    names = tuple(shortened(name, BRIEF_LETTERS) for name in brief([run.name for run in runs]))
    title = f"{len(runs)} runs: {len(fit.rows)} rows in {stacks} stack{'s' * (stacks > 1)}"
    metric = ""
    if not _doubts([run.prepared for run in runs]):
        metric = _comparable_metric(writers, validates)
    return Console(title, len(fit.rows), epochs, task, beside=Beside(names, fit.owner, metric))


def _conclude(console: Console, writer: Run, summary: dict, outcomes: dict[str, Outcome]) -> None:
    """What is printed at the end of one run."""
    folder = writer.folder.path
    learnt = equation_lines(writer.equation, folder, len(writer.rows) > 1) if writer.equation else []
    console.close(summary, folder, learnt)
    for command, outcome in outcomes.items():
        console.note(proposal(outcome, command))


def _outcome(writer: Run, course: Course) -> Outcome:
    """How a run went, beside what chance gives on its validation sets, or its training examples."""
    experiment, dataset = writer.experiment, writer.fit.datasets[writer.experiment.data]
    folds = [row.fold for row in writer.rows]
    chance = chance_level.of(dataset, folds, experiment.loss_for(dataset.spec))
    return course.outcome(chance, lower_rate(experiment.optimizer))


def _comparable_metric(writers: list[Run], validates: bool) -> str:
    """The metric by which runs in training are compared: none, if they train on different data."""
    part = "val" if validates else "train"
    if len({writer.about["data"] for writer in writers}) > 1:
        return ""
    is_one_loss = len({writer.about["loss_is"] for writer in writers}) == 1
    return f"{part}_loss" if is_one_loss else f"{part}_error"


def _doubts(fits: list[Fit]) -> list[str]:
    """What to say of the order of these fits' runs, those on each data set by themselves."""
    by_data: dict[str, list[Experiment]] = {}
    for fit in fits:
        experiment = fit.experiments[0]
        data = about(experiment, fit.datasets[experiment.data].spec)["data"]
        by_data.setdefault(data, []).append(experiment)
    sentences = (doubtful(experiments, fits[0].cache) for experiments in by_data.values())
    return [sentence for sentence in sentences if sentence]


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
