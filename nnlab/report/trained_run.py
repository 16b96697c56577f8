"""A run whose trained networks and data a report looks into: both are read once, for all sections."""

from __future__ import annotations

from functools import cached_property

from nnlab.prediction.loading import load
from nnlab.prediction.model import TrainedModel
from nnlab.prediction.trained_rows import TrainedRow
from nnlab.prediction.training_data import TrainingData
from nnlab.records.stored_run import StoredRun


class TrainedRun:
    """`stored`, and when they are asked for its `model` and its `data`; each raises `UserError` where it
    cannot be had."""

    def __init__(self, stored: StoredRun):
        self.stored = stored

    @cached_property
    def model(self) -> TrainedModel:
        return load(self.stored)

    @cached_property
    def data(self) -> TrainingData:
        return TrainingData(self.stored, self.model)

    @property
    def first_row(self) -> TrainedRow:
        """The first row that did not diverge."""
        return self.model.rows_for(None)[0]

    def describe_row(self, row: TrainedRow) -> str:
        """`row 3 of 10`, where there are several; else nothing."""
        return f"row {row.number} of {len(self.model.rows)}" if len(self.model.rows) > 1 else ""
