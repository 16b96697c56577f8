"""Whether a row's predictions for its test set are kept in its `Result`, and the memory that they take."""

from __future__ import annotations

from typing import Literal

import numpy as np

from nnlab.data.spec import DataSpec
from nnlab.experiment import Row

MOST_LISTED = 2**20  # numbers in a run's table of predictions, for `auto` to keep them
MOST_KEPT = 2**23  # numbers in the results of all rows of a run, for `auto`: 64 MB
NUMBER_BYTES = 8

Keep = bool | Literal["auto"]  # whether to keep predictions; auto: where they are small


def keeps_predictions(keep: Keep, rows: list[Row], outputs: int) -> bool:
    """Whether the predictions of a run's rows are kept, each of `outputs` numbers an example."""
    if keep != "auto":
        return keep
    tests = {row.fold.key: row.fold.test for row in rows}
    listed = len(np.unique(np.concatenate([*tests.values()]))) * outputs
    return listed <= MOST_LISTED and predictions_bytes(rows, outputs) <= MOST_KEPT * NUMBER_BYTES


def predictions_bytes(rows: list[Row], outputs: int) -> int:
    """What the predictions of these rows take."""
    return NUMBER_BYTES * outputs * sum(len(row.fold.test) for row in rows)


def are_of_row(predictions: dict[str, np.ndarray], row: Row, spec: DataSpec) -> bool:
    """Whether a row can have predicted this, or nothing: a file that a stranger wrote may say anything."""
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
