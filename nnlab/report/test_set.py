"""What a run predicted for its test set, as arrays, from test_predictions.csv."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnlab.errors import UserError
from nnlab.prediction.mistakes import class_numbers
from nnlab.records.stored_run import StoredRun

PROBABILITY_PREFIX = "probability_"


@dataclass(frozen=True)
class TestedClasses:
    """n examples of the test set, of C classes: means over the rows that tested them."""

    classes: list[str]
    target: np.ndarray  # (n,): index of the true class
    prediction: np.ndarray  # (n,): of the predicted class, -1 where there is none
    probabilities: np.ndarray  # (n, C)
    rows: int  # the most rows that were averaged


@dataclass(frozen=True)
class TestedNumbers:
    """n examples of the test set, of one target."""

    name: str  # "" of the only target
    target: np.ndarray  # (n,)
    prediction: np.ndarray  # (n,)
    rows: int


def tested_classes(stored: StoredRun) -> TestedClasses:
    """The predicted classes. Raises `UserError` where the folder does not have them."""
    columns = stored.test_predictions
    named = [name for name in columns if name.startswith(PROBABILITY_PREFIX)]
    classes = [name.removeprefix(PROBABILITY_PREFIX) for name in named]
    if not classes or not {"target", "prediction"} <= columns.keys():
        raise UserError("test_predictions.csv has no probabilities of classes")
    probabilities = np.stack([_numbers(columns, name) for name in named], 1)
    target, prediction = (class_numbers(columns[name], tuple(classes)) for name in ("target", "prediction"))
    if (target < 0).any():
        raise UserError("test_predictions.csv has a target that is none of its classes")
    return TestedClasses(classes, target, prediction, probabilities, _rows(columns))


def tested_numbers(stored: StoredRun) -> list[TestedNumbers]:
    """The predicted numbers of each target. Raises `UserError` where the folder does not have them."""
    columns = stored.test_predictions
    names = [
        name.removeprefix("target") for name in columns if name == "target" or name.startswith("target_")
    ]
    if not names or any(f"prediction{name}" not in columns for name in names):
        raise UserError("test_predictions.csv has no targets with their predictions")
    return [
        TestedNumbers(
            name.removeprefix("_"),
            _numbers(columns, f"target{name}"),
            _numbers(columns, f"prediction{name}"),
            _rows(columns),
        )
        for name in names
    ]


def _rows(columns: dict[str, np.ndarray]) -> int:
    counts = columns.get("rows")
    return 1 if counts is None or counts.dtype.kind != "i" or not len(counts) else int(counts.max())


def _numbers(columns: dict[str, np.ndarray], name: str) -> np.ndarray:
    if columns[name].dtype.kind not in "if":
        raise UserError(f"test_predictions.csv: the column {name!r:.60} is not of numbers")
    return columns[name].astype(float)
