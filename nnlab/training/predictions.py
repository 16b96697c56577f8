"""Which answers of a row its `Result` keeps, and the memory that they take: predictions for the test set, and
residuals of the validation set."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from nnlab.data.spec import DataSpec
from nnlab.experiment import Row

MAX_TABLE_VALUES = 2**20  # values in a run's table of predictions, up to which `auto` keeps them
MAX_KEPT_VALUES = 2**23  # values in the results of all rows of a run, up to which `auto` keeps them: 64 MB
MAX_RESIDUALS = 2**20  # values in the residuals of all rows of a run
FEWEST_RESIDUALS = 100  # examples of a row: where no more would fit, none are kept
VALUE_BYTES = 8

KeepPredictions = bool | Literal["auto"]  # whether to keep predictions; auto: where they are small


def keeping_answers(rows: list[Row], keep: KeepPredictions, spec: DataSpec) -> list[Row]:
    """The rows of a run, with what their results keep: predictions for the test set, and residuals."""
    keeps_predictions, count = should_keep_predictions(keep, rows, spec.outputs), residuals_kept(rows, spec)
    return [replace(row, keeps_predictions=keeps_predictions, keeps_residuals=count) for row in rows]


def should_keep_predictions(keep: KeepPredictions, rows: list[Row], outputs: int) -> bool:
    """Whether the predictions of a run's rows are kept, with `outputs` values for each example."""
    if keep != "auto":
        return keep
    test_sets = {row.fold.key: row.fold.test for row in rows}
    table_values = len(np.unique(np.concatenate([*test_sets.values()]))) * outputs
    return (
        table_values <= MAX_TABLE_VALUES and predictions_bytes(rows, outputs) <= MAX_KEPT_VALUES * VALUE_BYTES
    )


def predictions_bytes(rows: list[Row], outputs: int) -> int:
    """The memory that the predictions of these rows take."""
    return VALUE_BYTES * outputs * sum(len(row.fold.test) for row in rows)


def residuals_kept(rows: list[Row], spec: DataSpec) -> int:
    """Of how many validation examples each of a run's rows keeps its residuals, at most; 0 for none."""
    count = 0 if spec.classes else MAX_RESIDUALS // (len(rows) * spec.outputs)
    return count if count >= FEWEST_RESIDUALS else 0


def residuals_bytes(row: Row, outputs: int) -> int:
    """The memory that a row's residuals take."""
    return VALUE_BYTES * outputs * min(row.keeps_residuals, len(row.fold.validation))


def can_be_predictions_of(predictions: dict[str, np.ndarray], row: Row, spec: DataSpec) -> bool:
    """Whether these, or none, can be a row's predictions: a file that a stranger wrote may say anything."""
    if not predictions:
        return True
    names = {"examples", "values", "classes"} if spec.classes else {"examples", "values"}
    shape, classes = (len(row.fold.test), spec.outputs), predictions.get("classes", np.zeros(0, np.int64))
    return (
        predictions.keys() == names
        and np.array_equal(predictions["examples"], row.fold.test)
        and predictions["values"].shape == shape
        and predictions["values"].dtype == np.float64
        and classes.dtype.kind == "i"
        and ("classes" not in names or classes.shape == shape[:1])
        and bool(((classes >= -1) & (classes < spec.outputs)).all())
    )
