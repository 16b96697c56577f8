"""Who records the runs of a fit: their files, how each goes, and their results as soon as their rows end."""

from __future__ import annotations

from nnlab.checks import chance_level
from nnlab.checks.proposal import Course, Outcome, lower_rate
from nnlab.commands.run_folders import PreparedRun
from nnlab.records.run import Run
from nnlab.training.results import Record


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


def _outcome(writer: Run, course: Course) -> Outcome:
    """How a run went, beside what chance gives on its validation sets, or its training examples."""
    experiment, dataset = writer.experiment, writer.fit.datasets[writer.experiment.data]
    folds = [row.fold for row in writer.rows]
    chance = chance_level.of(dataset, folds, experiment.loss_for(dataset.spec))
    return course.outcome(chance, lower_rate(experiment.optimizer))
