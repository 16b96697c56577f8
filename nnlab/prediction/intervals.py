"""Prediction intervals from the residuals of validation examples: CV+, and split conformal with one fold.

Barber, Candes, Ramdas and Tibshirani 2021, "Predictive inference with the jackknife+".
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import numpy as np

from nnlab.errors import UserError
from nnlab.prediction.trained_rows import TrainedRow

BISECTION_STEPS = 60  # halvings of an interval, after which float64 resolves it no further
LEAST_COVERAGE = 0.5  # below it the two ends may cross


class ConformalIntervals:
    """Intervals that hold a new target with probability `coverage`, over new data and new training examples.

    Each of G models was trained without its own fold of the n examples, of which it has the residuals R_i.
    With mu_i the model that did not see example i,

        lower = the floor((1 - coverage) (n + 1))-th smallest of mu_i(x) - |R_i|
        upper = the ceil(coverage (n + 1))-th smallest of mu_i(x) + |R_i|

    New examples must be drawn like those. Then they are in the interval with the probability `coverage` at
    least if G = 1; of several folds, with 2 coverage - 1 at least and near `coverage` in practice.

    residuals  of each model (n_g, m), target - prediction
    repeats    of the split; in each of them every example has a residual, and it counts once

    Raises `UserError` for a coverage that so few examples do not allow.
    """

    def __init__(self, residuals: list[np.ndarray], coverage: float, repeats: int = 1):
        if not LEAST_COVERAGE <= coverage < 1:
            raise UserError(
                f"coverage = {coverage:g}: expected a number at least {LEAST_COVERAGE} and below 1"
            )
        self._sizes = [np.sort(np.abs(each), axis=0) for each in residuals]  # (n_g, m)
        total = sum(map(len, residuals))
        share, n = Fraction(str(coverage)), Fraction(total, repeats)
        if share > n / (n + 1):
            most = floor(1000 * n / (n + 1)) / 1000
            raise UserError(
                f"coverage = {coverage:g} needs {ceil(share / (1 - share)):,} validation examples, and the "
                f"run has the residuals of {ceil(n):,}: {most:g} at most"
            )
        self._rank = ceil(share * total * (1 + 1 / n))

    def ends(self, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(lower, upper), each (m, N), from the predictions of every model (G, m, N)."""
        # The k-th smallest of all v is the (n + 1 - k)-th smallest of all -v, negated.
        with np.errstate(over="ignore", invalid="ignore"):  # of numbers near 1e308
            return -self._upper(-predictions), self._upper(predictions)

    def _upper(self, predictions: np.ndarray) -> np.ndarray:
        """(m, N): of the sums predictions[g] + sizes[g] the one of the `_rank`, by bisection.

        How many sums are at most v is counted quickly in sorted sizes, where to sort all sums would take n
        log n for each new example.
        """
        low = np.min([p + s[:1].T for p, s in zip(predictions, self._sizes, strict=True)], 0)
        high = np.max([p + s[-1:].T for p, s in zip(predictions, self._sizes, strict=True)], 0)
        for _ in range(BISECTION_STEPS):
            middle = low + (high - low) / 2
            is_enough = self._count_at_most(middle, predictions) >= self._rank
            low, high = np.where(is_enough, low, middle), np.where(is_enough, middle, high)
        return high

    def _count_at_most(self, v: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """(m, N): how many sums are no larger than v (m, N)."""
        counts = np.zeros(v.shape, np.int64)
        for p, sizes in zip(predictions, self._sizes, strict=True):
            for target in range(len(v)):
                counts[target] += np.searchsorted(sizes[:, target], v[target] - p[target], side="right")
        return counts


def folds_with_residuals(rows: list[TrainedRow]) -> list[list[TrainedRow]]:
    """The rows of each fold, whose mean is a model that did not see the fold's validation examples. Raises
    `UserError` where residuals of these are missing."""
    folds: dict[tuple[int, int], list[TrainedRow]] = {}
    for row in rows:
        if "residuals" not in row.calibration:
            raise UserError(
                f"row {row.number} has no residuals of validation examples, of which intervals are made: it "
                f"was trained with split=none, among too many rows, or by an earlier version"
            )
        folds.setdefault((row.repeat, row.fold), []).append(row)
    for members in folds.values():
        if len({row.calibration["residuals"].shape for row in members}) > 1:
            raise UserError(f"row {members[0].number} and others of its fold have different residuals")
    return [*folds.values()]


def intervals_of_folds(folds: list[list[TrainedRow]], coverage: float) -> ConformalIntervals:
    """The intervals of the folds' mean predictions."""
    residuals = [np.mean([row.calibration["residuals"] for row in members], 0) for members in folds]
    return ConformalIntervals(residuals, coverage, repeats=len({members[0].repeat for members in folds}))
