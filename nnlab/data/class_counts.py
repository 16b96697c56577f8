"""How many examples of each class there are to divide, or groups with one: too few cannot be stratified."""

from __future__ import annotations

import numpy as np

from nnlab.data.dataset import Dataset
from nnlab.data.divisions import Division
from nnlab.errors import UserError, advise


def class_counts(dataset: Dataset, division: Division, rest: np.ndarray) -> np.ndarray:
    """The number of examples of each class in training and validation, or of groups that have one.

    Raises `UserError` for a class with one, which cannot be stratified.
    """
    y, m = dataset.y, len(dataset.classes)
    counts = total = division.units_with_class(rest, y, m)
    if dataset.given("test") is None:
        total = division.units_with_class(np.arange(len(y)), y, m)
    for c in np.flatnonzero(total == 1)[:1]:
        having = "has" if division.unit == "example" else "is in"
        raise UserError(
            f"split.stratify = true: class '{dataset.classes[c]}' {having} 1 {division.unit}, which "
            f"cannot be in two sets; add examples of it (data.limit may be too low), take it out, or set "
            f"split.stratify=false"
        )
    return counts


def warn_of_small_classes(dataset: Dataset, division: Division, counts: np.ndarray, k: int) -> None:
    """Advice, like scikit-learn's, if a class is too small to be in every validation set."""
    smallest = np.where(counts > 0, counts, counts.max()).argmin()
    if counts[smallest] < k:
        having = "has" if division.unit == "example" else "is in"
        advise(
            f"split.k = {k}: class '{dataset.classes[smallest]}' {having} "
            f"{count_text(counts[smallest], division.unit)} to divide, so some validation sets have none of "
            f"it; choose a smaller k"
        )


def count_text(number: int, noun: str) -> str:
    """`1 group`, `2,000 groups`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
