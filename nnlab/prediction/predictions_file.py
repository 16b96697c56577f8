"""predictions.csv: what a run predicts for new examples, a line for each, in their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np

from nnlab.data.spec import DataSpec
from nnlab.errors import UserError, advise, shortened
from nnlab.prediction.blocks import Block, NewExamples
from nnlab.prediction.model import TrainedModel
from nnlab.prediction.new_examples import WrongExample
from nnlab.prediction.trained_rows import mean_threshold
from nnlab.records.csv_text import CsvTable, csv_cell, gets_mark
from nnlab.records.prediction_columns import (
    interval_cells,
    interval_names,
    prediction_cells,
    prediction_names,
    probability_cells,
    probability_names,
)

PREDICTIONS_FILE = "predictions.csv"


class Tally:
    """A summary of predictions: how often each class; or the mean and range of each number, and the mean
    width of its intervals, if they have a `coverage`."""

    def __init__(self, spec: DataSpec, coverage: float | None = None, threshold: float | None = None):
        self.spec, self.coverage, self.threshold, self.examples = spec, coverage, threshold, 0
        self.classes: Counter[int] = Counter()
        self.sums, self.widths = np.zeros(spec.outputs), np.zeros(spec.outputs)
        self.lows, self.highs = np.full(spec.outputs, np.inf), np.full(spec.outputs, -np.inf)

    def add(self, classes: np.ndarray | None, values: np.ndarray, ends: tuple | None = None) -> None:
        self.examples += len(values)
        if ends is not None:
            lower, upper = ends
            self.widths += (upper - lower).reshape(len(values), -1).sum(0)
        if classes is not None:
            self.classes.update(classes.tolist())
            return
        self.sums += values.sum(0)
        self.lows, self.highs = np.minimum(self.lows, values.min(0)), np.maximum(self.highs, values.max(0))


def predict_into(
    table: CsvTable,
    model: TrainedModel,
    examples: NewExamples,
    row: int | None,
    coverage: float | None = None,
) -> Tally:
    """Predict the examples, block by block, and write a line for each; with intervals of that `coverage`, if
    it is given. Raises `UserError`."""
    tally = Tally(model.spec, coverage, mean_threshold(model.rows_for(row)))
    identifier_cells = [examples.identifier] if examples.identifier is not None else []
    interval_columns = interval_names(model.spec) if coverage is not None else []
    prediction_columns = prediction_names(model.spec) + interval_columns + probability_names(model.spec)
    table.line([*identifier_cells, *prediction_columns])
    _advise_marked("class", model.spec.classes)
    has_advised = False
    for block in examples.blocks():
        has_advised = has_advised or _advise_marked(str(examples.identifier), block.identifiers or [])
        try:
            classes, values = model.answers(block.x, row)
            ends = model.predict_interval(block.x, coverage, row) if coverage is not None else None
        except WrongExample as e:
            raise UserError(f"{examples.where(block.lines[e.example])}{e.fault}") from e
        tally.add(classes, values, ends)
        table.lines(_lines(model.spec, block, classes, values, ends))
    return tally


def _advise_marked(what: str, texts: Sequence[str]) -> bool:
    """Advice, if the table has an apostrophe in front of any of these; whether it has."""
    marked = next(filter(gets_mark, texts), None)
    if marked is not None:
        advise(
            f"the {what} {shortened(marked)} is written {shortened(csv_cell(marked))}, with an apostrophe in "
            f"front: a spreadsheet would compute it"
        )
    return marked is not None


def _lines(
    spec: DataSpec, block: Block, classes: np.ndarray | None, values: np.ndarray, ends: tuple | None
) -> Iterator[list]:
    identifier_cells = (
        ([name] for name in block.identifiers) if block.identifiers is not None else ([] for _ in values)
    )
    columns = zip(
        identifier_cells,
        prediction_cells(spec, classes, values),
        interval_cells(*ends) if ends is not None else ([] for _ in values),
        probability_cells(spec, values),
        strict=True,
    )
    yield from (list(chain(*cells)) for cells in columns)
