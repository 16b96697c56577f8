"""The columns of predictions in a CSV file: `prediction`, and `probability_<class>` of each class."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nnlab.allowed import LARGEST_EXACT_INTEGER
from nnlab.data.spec import DataSpec

SIGNIFICANT_DIGITS = 8  # what float32 resolves; more would say nothing


def prediction_names(spec: DataSpec) -> list[str]:
    """The names of the columns that say what was predicted; of several targets, one for each."""
    return _column_per_target("prediction", spec)


def probability_names(spec: DataSpec) -> list[str]:
    """The names of the columns with the probabilities of the classes; none in a regression."""
    return [f"probability_{name}" for name in spec.classes]


def interval_names(spec: DataSpec) -> list[str]:
    """The names of the columns with the ends of prediction intervals, of each target its two."""
    ends = [_column_per_target(end, spec) for end in ("lower", "upper")]
    return [name for pair in zip(*ends, strict=True) for name in pair]


def target_names(spec: DataSpec) -> list[str]:
    """The names of the columns with the true labels or numbers."""
    return _column_per_target("target", spec)


def _column_per_target(what: str, spec: DataSpec) -> list[str]:
    if spec.classes or spec.outputs == 1:
        return [what]
    return [f"{what}_{name}" for name in spec.targets or range(spec.outputs)]


def prediction_cells(spec: DataSpec, classes: np.ndarray | None, values: np.ndarray) -> Iterator[list]:
    """The cells of `prediction_names`, line by line: the names of the classes (n,), or the values (n, m).

    Empty where there is no prediction: the class -1, or NaN.
    """
    if classes is None:
        yield from _rounded(values)
    else:
        names = [*spec.classes, ""]  # the last one is that of -1
        yield from ([names[number]] for number in classes.tolist())


def probability_cells(spec: DataSpec, values: np.ndarray) -> Iterator[list]:
    """The cells of `probability_names`, line by line, of probabilities (n, classes)."""
    yield from _rounded(values if spec.classes else values[:, :0])


def interval_cells(lower: np.ndarray, upper: np.ndarray) -> Iterator[list]:
    """The cells of `interval_names`, line by line, of ends (n,) or (n, m)."""
    yield from _rounded(np.stack([lower, upper], -1).reshape(len(lower), -1))


def target_cells(spec: DataSpec, y: np.ndarray) -> Iterator[list]:
    """The cells of `target_names`, line by line: of class numbers (n,), or true numbers (n, m)."""
    yield from ([spec.classes[number]] for number in y.tolist()) if spec.classes else map(plain_numbers, y)


def plain_numbers(numbers: np.ndarray) -> list[int | float]:
    """The numbers as Python values, whole ones as int, so that they are written without a point."""
    return [int(v) if v.is_integer() and abs(v) <= LARGEST_EXACT_INTEGER else v for v in map(float, numbers)]


def _rounded(values: np.ndarray) -> Iterator[list]:
    number_format = f"%.{SIGNIFICANT_DIGITS}g"
    for line in values.tolist():
        yield [
            "" if value != value else float(number_format % value) for value in line
        ]  # NaN differs from itself
