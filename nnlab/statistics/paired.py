"""Two arms, unit by unit (seed by seed, or split by split): differences, and which of them diverged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnlab.statistics.scores import Scores
from nnlab.statistics.student import ROUNDING_SHARE, moments


@dataclass(frozen=True)
class PairedValues:
    """What the units that both arms have measured, (units,); NaN: diverged.

    a is the arm that diverged in fewer units, else that with the better mean difference.
    """

    a: str
    b: str
    values_a: np.ndarray
    values_b: np.ndarray
    larger_is_better: bool
    correction: float | None
    identical: bool  # all rows that both have are equal, bit for bit

    def differences(self) -> np.ndarray:
        """(n,): a - b of the units in which both are finite; 0 where they differ by rounding alone."""
        both = np.isfinite(self.values_a) & np.isfinite(self.values_b)
        return _difference(self.values_a[both], self.values_b[both])

    def rounding(self) -> np.ndarray:
        """(units,): differences no further apart are equal."""
        return 2 * ROUNDING_SHARE * _sizes(self.values_a, self.values_b)

    def advantages(self) -> np.ndarray:
        """(units,): above 0 where a is better; infinite where one of them diverged, 0 where both did."""
        sign = 1.0 if self.larger_is_better else -1.0
        finite_a, finite_b = np.isfinite(self.values_a), np.isfinite(self.values_b)
        numbers = sign * _difference(np.nan_to_num(self.values_a), np.nan_to_num(self.values_b))
        infinite = np.where(finite_a == finite_b, 0.0, np.where(finite_a, np.inf, -np.inf))
        return np.where(finite_a & finite_b, numbers, infinite)

    def diverged(self) -> tuple[int, int]:
        return tuple(int((~np.isfinite(each)).sum()) for each in (self.values_a, self.values_b))

    def constant(self) -> bool:
        """Whether the differences (two or more) are all the same but for rounding: no spread to divide by."""
        both = np.isfinite(self.values_a) & np.isfinite(self.values_b)
        d = self.differences()
        return bool(len(d) > 1 and (np.abs(d - np.median(d)) <= self.rounding()[both]).all())

    def favours_a(self, differences: np.ndarray) -> bool:
        mean = moments(differences)[0] if len(differences) else 0.0
        return mean > 0 if self.larger_is_better else mean < 0

    def pooled_std(self) -> float | None:
        """sqrt((s_a^2 + s_b^2) / 2) over the units in which both are finite: the noise of one arm."""
        both = np.isfinite(self.values_a) & np.isfinite(self.values_b)
        if both.sum() < 2:
            return None
        return float(np.hypot(*(moments(x[both])[1] for x in (self.values_a, self.values_b))) / 2**0.5)


def pair_values(scores: Scores, a: str, b: str) -> PairedValues:
    """The units of two arms, over the rows that both have; the better of them comes first."""
    rows = scores.rows_of(a) & scores.rows_of(b)
    raw_a, raw_b = (np.asarray(scores.values[arm], float)[rows] for arm in (a, b))
    finite_a, finite_b = np.isfinite(raw_a), np.isfinite(raw_b)
    same = np.array_equal(finite_a, finite_b) and np.array_equal(raw_a[finite_a], raw_b[finite_b])
    forth, back = (
        PairedValues(first, second, scores.units_of(first, rows), scores.units_of(second, rows),
                     scores.larger_is_better, scores.correction, bool(same and finite_a.any()))
        for first, second in ((a, b), (b, a))
    )  # fmt: skip
    return back if _is_better(back) else forth


def _is_better(pair: PairedValues) -> bool:
    diverged_a, diverged_b = pair.diverged()
    return diverged_a < diverged_b if diverged_a != diverged_b else pair.favours_a(pair.differences())


def _sizes(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(np.nan_to_num(a)), np.abs(np.nan_to_num(b)))


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a - b, 0 where it is within rounding; the largest number there is where it would overflow."""
    largest = np.finfo(float).max
    with np.errstate(over="ignore"):
        d = np.clip(a - b, -largest, largest)
    return np.where(np.abs(d) <= ROUNDING_SHARE * _sizes(a, b), 0.0, d)
