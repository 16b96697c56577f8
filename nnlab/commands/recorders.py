"""Recording of all runs of a fit: each record goes to the run it belongs to, and finished runs are closed."""

from __future__ import annotations

from nnlab.checks import chance_level
from nnlab.checks.proposal import Outcome, OutcomeRecorder, suggest_lower_rate
from nnlab.commands.run_folders import PreparedRun
from nnlab.records.run import RunWriter
from nnlab.training.results import Record


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
        """The command of each run -> how it went."""
        runs_with_courses = zip(runs, self.writers, self.courses, strict=True)
        return {run.command: _outcome(writer, course) for run, writer, course in runs_with_courses}


def _outcome(writer: RunWriter, course: OutcomeRecorder) -> Outcome:
    """How a run went, compared with the chance level on its validation sets, or its training examples."""
    experiment, dataset = writer.experiment, writer.fit.datasets[writer.experiment.data]
    folds = [row.fold for row in writer.rows]
    loss = experiment.loss_for(dataset.spec)
    chance = chance_level.measure_chance(dataset, folds, loss, experiment.class_weight)
    return course.outcome(chance, suggest_lower_rate(experiment.optimizer))
