"""Means of finite values: rows that diverged, or that did not train in an epoch, are left out."""

from __future__ import annotations

import math

import numpy as np


def mean_of_finite(values) -> float:
    """The mean of the finite values, NaN if there are none.

    >>> mean_of_finite([1.0, math.inf, 3.0])
    2.0
    """
    values = np.asarray(values, dtype=float)
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else math.nan


def means_over_rows(curves: np.ndarray) -> np.ndarray:
    """(epochs,): the mean of every epoch over the rows of `curves` (rows, epochs), finite values alone."""
    finite = np.isfinite(curves)
    counts = finite.sum(0)
    sums = np.where(finite, curves, 0).sum(0)
    return np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)
