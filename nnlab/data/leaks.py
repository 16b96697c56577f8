"""Which columns of a table alone tell the target, as what was written down after it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nnlab.data.columns import Column
from nnlab.data.identifiers import ranks

FEWEST_EXAMPLES = 50  # with fewer a leak may be luck
MOST_EXAMPLES = 20_000  # by which columns are judged
LEAK_SHARE = 0.995  # of examples whose class, or whose target's variance, one column tells
COPY_CORRELATION = 0.9999  # rank correlation with the target above which a column is a copy of it
FEWEST_IN_BIN = 5  # examples, below which the class of a bin is luck
MOST_BINS, EXAMPLES_OF_BIN = 32, 20  # that a column of numbers is divided into
LEAST_PRESENT = 0.5  # share of the numbers of a column, below which their correlation is not looked at


@dataclass(frozen=True)
class Leak:
    """A column that alone tells the target.

    share    of the examples whose class it tells, or of the variance of a number
    is_copy  whether it cannot be a mere cause: a category, one value against all others, or a rank
             correlation of nearly 1. A threshold in a number may be what there is to learn.
    """

    name: str
    share: float
    is_copy: bool


def find_leaks(columns: tuple[Column, ...], raw: np.ndarray, y: np.ndarray, classes: bool) -> list[Leak]:
    """The leaks among columns, whose raw inputs are (N, d_raw); y (N,) has classes, or (N, m) numbers."""
    inputs = [column for column in columns if column.is_input]
    if len(raw) < FEWEST_EXAMPLES or len(inputs) < 2:  # a single input may well determine the target
        return []
    rows = np.linspace(0, len(raw) - 1, min(len(raw), MOST_EXAMPLES)).astype(int)
    raw, y = raw[rows], y[rows]
    values = _single_values(columns, raw)
    judged = (_class_leak(column, v, y) if classes else _number_leak(column, v, y) for column, v in values)
    return [leak for leak in judged if leak]


def _single_values(columns: tuple[Column, ...], raw: np.ndarray) -> Iterator[tuple[Column, np.ndarray]]:
    """The columns of numbers, of categories or of dates, and the values (N,) of each: its number, its code,
    or the last part of its date, mostly its days since 1970."""
    start = 0
    for column in columns:
        if column.type in ("number", "category", "boolean", "date") and column.is_input:
            yield column, raw[:, start + len(column.raw) - 1]
        start += len(column.raw)


def _class_leak(column: Column, values: np.ndarray, y: np.ndarray) -> Leak | None:
    base = np.bincount(y).max() / len(y)

    def told(bins: np.ndarray) -> float:
        """The share of examples whose class the bins tell; 0 if that is hardly better than a guess."""
        known = _majority_share(bins, y)
        return known if known >= LEAK_SHARE and known - base > (1 - base) / 2 else 0.0

    copied = told(_one_value_or_not(values, len(np.unique(y))))
    if column.type in ("category", "boolean"):
        share = max(copied, told(values))
        return Leak(column.name, share, True) if share else None
    share = told(_parts_of_range(values))
    return Leak(column.name, max(copied, share), copied > 0) if copied or share else None


def _parts_of_range(numbers: np.ndarray) -> np.ndarray:
    """(N,) the part of the range that each number is in; missing ones are a part of their own."""
    bins = max(2, min(MOST_BINS, np.isfinite(numbers).sum() // EXAMPLES_OF_BIN))
    edges = np.unique(np.nanquantile(numbers, np.linspace(0, 1, bins + 1)))
    return np.where(np.isnan(numbers), -1, np.searchsorted(edges[1:-1], numbers, "right"))


def _one_value_or_not(numbers: np.ndarray, most_values: int) -> np.ndarray:
    """(N,) the values, if there are no more than this; else which are the most frequent one."""
    values, index, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    return index if len(values) <= most_values else (index == counts.argmax()).astype(int)


def _majority_share(bins: np.ndarray, y: np.ndarray) -> float:
    """The share of examples in the class that most of their bin have, and that is not alone there."""
    _, bins = np.unique(bins, return_inverse=True)
    counts = np.zeros((bins.max() + 1, y.max() + 1), np.int64)
    np.add.at(counts, (bins, y), 1)
    return counts.max(1)[counts.sum(1) >= FEWEST_IN_BIN].sum() / len(y)


def _number_leak(column: Column, values: np.ndarray, y: np.ndarray) -> Leak | None:
    """The share of a target's variance that a column tells: by its ranks, or the means of its categories."""
    share = max((_explained(column, values, target) for target in y.T if np.ptp(target) > 0), default=0.0)
    copies = column.type in ("category", "boolean") or share >= COPY_CORRELATION**2
    return Leak(column.name, share, copies) if share >= LEAK_SHARE else None


def _explained(column: Column, values: np.ndarray, target: np.ndarray) -> float:
    if column.type in ("number", "date"):
        present = np.isfinite(values)
        if present.mean() < LEAST_PRESENT or not np.ptp(values[present]) or not np.ptp(target[present]):
            return 0.0
        return float(np.corrcoef(ranks(values[present]), ranks(target[present]))[0, 1] ** 2)
    _, bins, counts = np.unique(values, return_inverse=True, return_counts=True)
    if counts.min() < FEWEST_IN_BIN:
        return 0.0
    means = np.bincount(bins, target) / counts
    return float(1 - ((target - means[bins]) ** 2).sum() / ((target - target.mean()) ** 2).sum())
