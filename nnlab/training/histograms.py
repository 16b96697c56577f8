"""Histograms of values that arrive in pieces, such as a network's outputs batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from nnlab.training.results import Histograms

HISTOGRAM_BINS = 30  # as many as TensorBoard itself makes
LARGEST_COUNTED = 1e300  # so that the width of a range does not overflow

Pieces = Iterable[tuple[str, int, np.ndarray]]  # name, row, some of its values in any shape


def histograms(rows: int, pieces: Callable[[], Pieces]) -> dict[str, Histograms]:
    """The histogram of each name and row, in 30 equal bins from its least to its largest value.

    It is `np.histogram(values, 30)` of all the values of a row, in float64. `pieces` is gone through
    twice, for the limits and for the counts, so that no more than one piece is ever in memory. NaN and
    infinities (1e300 or more) are not counted; a row without any finite value has counts of zero.
    """
    edges = {name: _edges(low, high) for name, (low, high) in _limits(rows, pieces()).items()}
    counts = {name: np.zeros((rows, HISTOGRAM_BINS), int) for name in edges}
    for name, k, values in pieces():
        limits = edges[name][k, [0, -1]]
        counts[name][k] += np.histogram(_counted_values(values), HISTOGRAM_BINS, limits)[0]
    return {name: Histograms(counts[name], edges[name]) for name in edges}


def _limits(rows: int, pieces: Pieces) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The least and the largest value of each row, (rows,) each; inf and -inf where there is none."""
    limits = {}
    for name, k, values in pieces:
        low, high = limits.setdefault(name, (np.full(rows, np.inf), np.full(rows, -np.inf)))
        values = _counted_values(values)
        low[k], high[k] = values.min(initial=low[k]), values.max(initial=high[k])
    return limits


def _edges(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(rows, 31). Values all but equal lie in the middle of a range of 1, as in np.histogram."""
    empty = low > high
    low, high = np.where(empty, 0.0, low), np.where(empty, 1.0, high)
    # Any narrower, and numpy finds no edges between the ends.
    narrowest = 4 * HISTOGRAM_BINS * np.spacing(np.maximum(abs(low), abs(high)))
    margin = np.where(high - low > narrowest, 0.0, np.maximum(0.5, narrowest))
    return np.linspace(low - margin, high + margin, HISTOGRAM_BINS + 1, axis=1)


def _counted_values(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float64).ravel()
    counted = abs(values) < LARGEST_COUNTED
    return values if counted.all() else values[counted]
