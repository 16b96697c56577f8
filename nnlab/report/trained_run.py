"""A run whose trained networks and data a report looks into: both are read once, for all sections."""

from __future__ import annotations

from functools import cached_property

from nnlab.prediction.loading import load_first
from nnlab.prediction.model import TrainedModel
from nnlab.prediction.trained_rows import TrainedRow
from nnlab.prediction.training_data import TrainingData
from nnlab.records.stored_run import StoredRun

ROWS_READ = 20  # of which sections show some, so that a run of thousands is as quick


class TrainedRun:
    """`stored`, and when they are asked for the `model` of its first rows and its `data`; each raises
    `UserError` where it cannot be had."""

    def __init__(self, stored: StoredRun):
        self.stored = stored

    @cached_property
    def model(self) -> TrainedModel:
        return load_first(self.stored, ROWS_READ)

    @cached_property
    def data(self) -> TrainingData:
        return TrainingData(self.stored, self.model)

    @property
    def first_row(self) -> TrainedRow:
        """The first row that did not diverge."""
        return self.model.rows_for(None)[0]

    def describe_row(self, row: TrainedRow) -> str:
        """`row 3 of 10`, where there are several; else nothing."""
        total = len(self.stored.rows)
        return f"row {row.number} of {total:,}" if total > 1 else ""
