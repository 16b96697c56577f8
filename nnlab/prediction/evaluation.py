"""Evaluates a run on labelled examples: a report for the average of its rows, and one for each row."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nnlab.errors import UserError
from nnlab.prediction.blocks import NewExamples
from nnlab.prediction.model import TrainedModel
from nnlab.prediction.new_examples import WrongExample
from nnlab.prediction.trained_rows import TrainedRow, mean_threshold
from nnlab.prediction.votes import Votes
from nnlab.records.summary import summarize
from nnlab.training.results import Result


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    examples  how many there were
    test      the report of the average of the rows, or of the only one; see `nnlab.metrics`
    rows      each row with its report; empty where there is one
    vote      of classes, that of the majority of several rows (see `Votes`); else empty
    threshold  of two classes, above which the positive one was predicted; None: where it was the likelier
    """

    examples: int
    test: dict
    rows: list[tuple[TrainedRow, dict]]
    threshold: float | None = None
    vote: dict = field(default_factory=dict)

    def summary(self) -> dict:
        """Over the rows, as that of a run (records/summary.py); the test set is the same for all."""
        return summarize([
            Result(
                row.number, row.seed, row.repeat, row.fold, "finished", 0, row.epoch, {}, report, {}, {},
                fixed_test=True,
            )
            for row, report in self.rows
        ])  # fmt: skip

    def as_json(self) -> dict:
        """What evaluation.json has of it."""
        tree = {"examples": self.examples, "test": self.test}
        if self.threshold is not None:
            tree["threshold"] = self.threshold
        if self.vote:
            tree["vote"] = self.vote
        if self.rows:
            keys = ("number", "seed", "repeat", "fold")
            summary = self.summary()
            tree |= {key: summary[key] for key in ("unit", "intervals", "metrics")}
            tree["rows"] = [
                {"row": row.number} | {key: getattr(row, key) for key in keys[1:]} | {"test": report}
                for row, report in self.rows
            ]
        return tree


def evaluate(model: TrainedModel, examples: NewExamples, row: int | None) -> Evaluation:
    """Evaluate the examples, which are read once. Raises `UserError`."""
    rows, count = model.rows_for(row), 0
    average_scoring = model.scoring(row)
    row_scorings = [model.scoring(trained_row.number) for trained_row in rows] if len(rows) > 1 else []
    votes = Votes() if len(rows) > 1 and model.spec.classes else None
    for block in examples.blocks():
        answers = []
        for scoring in [average_scoring, *row_scorings]:
            try:
                answers.append(scoring.add(block.x, block.targets))
            except WrongExample as e:
                column = examples.target if e.name == "y" else ""
                raise UserError(f"{examples.where(block.lines[e.example], column)}{e.fault}") from e
        count += len(block.x)
        if votes:
            average, *of_rows = answers
            cast = np.concatenate([each.predicted for each in of_rows])
            votes.add(cast, average.probabilities, average.true[0])
    reports = [
        (trained_row, scoring.report()) for trained_row, scoring in zip(rows, row_scorings, strict=False)
    ]
    vote = votes.report() if votes else {}
    return Evaluation(count, average_scoring.report(), reports, mean_threshold(rows), vote)
