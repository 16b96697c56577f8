"""Recording of all runs of a fit: each record goes to the run it belongs to, and finished runs are closed."""

from __future__ import annotations

import shlex

from nnlab.checks import chance_level
from nnlab.checks.proposal import Outcome, OutcomeRecorder, suggest_lower_rate
from nnlab.commands.command_line import key_of
from nnlab.commands.run_folders import PreparedRun
from nnlab.records.files import RECORDING_KEYS
from nnlab.records.run import RunWriter
from nnlab.records.text import shell_line
from nnlab.training.results import Record

# Of an experiment, but not of what it trains.
RECORDED_CURVES = ("record", "histograms")


class Recorders:
    """The writers and courses of all runs of a fit; a run is closed as soon as its rows have ended."""

    def __init__(self):
        self.writers: list[RunWriter] = []
        self.courses: list[OutcomeRecorder] = []
        self.summaries: dict[int, dict] = {}  # index of a closed run -> its summary

    def add(self, writer: RunWriter) -> None:
        self.writers.append(writer)
        self.courses.append(OutcomeRecorder(len(writer.rows)))

    def record(self, record: Record) -> None:
        """Pass a record of the fit to its run."""
        for writer, course in zip(self.writers, self.courses, strict=True):
            part = None if writer.closed else writer.record(record)
            if part and not part.refit:
                course.record(part)

    def close(self, only_finished: bool = False) -> None:
        """Write the results of the runs that are not closed yet, or of the finished ones among them."""
        for index, writer in enumerate(self.writers):
            if not writer.closed and (writer.all_ended or not only_finished):
                self.summaries[index] = writer.close()

    def outcomes(self, runs: list[PreparedRun]) -> dict[str, Outcome]:
        """The command that trains each run, whatever it recorded -> how it went."""
        runs_with_courses = zip(runs, self.writers, self.courses, strict=True)
        return {
            trained_command(run.command): _outcome(writer, course)
            for run, writer, course in runs_with_courses
        }


def trained_command(command: str) -> str:
    """The command without what is recorded, drawn or called somehow: a check takes the same experiment, and
    has neither its pictures nor its folder.

    >>> trained_command("nnlab train optimizer.lr=9 'show=[curves]' caption=Divergence hydra.run.dir=here")
    'nnlab train optimizer.lr=9'
    """
    words = [word for word in shlex.split(command) if not is_recording(word)]
    return shell_line(words)


def is_recording(override: str) -> bool:
    """Whether the word `KEY=VALUE` says what is recorded, or where."""
    group = key_of(override).partition(".")[0]
    return "=" in override and group in {*RECORDING_KEYS, *RECORDED_CURVES, "hydra"}


def _outcome(writer: RunWriter, course: OutcomeRecorder) -> Outcome:
    """How a run went, compared with the chance level on its validation sets, or its training examples."""
    experiment, dataset = writer.experiment, writer.fit.datasets[writer.experiment.data]
    folds = [row.fold for row in writer.rows]
    loss = experiment.loss_for(dataset.spec)
    chance = chance_level.measure_chance(dataset, folds, loss, experiment.class_weight)
    return course.outcome(chance, suggest_lower_rate(experiment.optimizer))
