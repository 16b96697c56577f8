"""Two arms, unit by unit (seed by seed, or split by split): differences, and which of them diverged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from nnlab.statistics.rank_tests import doubled_ranks
from nnlab.statistics.scores import Scores
from nnlab.statistics.student import ROUNDING_SHARE, moments


@dataclass(frozen=True, eq=False)
class PairedValues:
    """What the units that both arms have measured, (units,); NaN: diverged.

    a is the arm that diverged in fewer units, else that with the better mean difference. `correction` is
    n_test / n_train where units overlap, 0 where they are independent, None where no test can be made.
    """

    a: str
    b: str
    values_a: np.ndarray
    values_b: np.ndarray
    larger_is_better: bool
    correction: float | None
    identical: bool  # all rows that both have are equal, bit for bit
    by_ranks: bool = False  # then a is the arm with the larger sum of ranks

    @cached_property
    def both(self) -> np.ndarray:
        """(units,): in which both are finite."""
        return np.isfinite(self.values_a) & np.isfinite(self.values_b)

    @cached_property
    def differences(self) -> np.ndarray:
        """(n,): a - b of the units in which both are finite; 0 where they differ by rounding alone."""
        a, b, largest = self.values_a[self.both], self.values_b[self.both], np.finfo(float).max / 2
        with np.errstate(over="ignore"):
            d = np.clip(a - b, -largest, largest)
        return np.where(np.abs(d) <= self.rounding[self.both] / 2, 0.0, d)

    @cached_property
    def rounding(self) -> np.ndarray:
        """(units,): differences no further apart are equal."""
        sizes = np.maximum(np.abs(self.values_a), np.abs(self.values_b))
        return np.where(self.both, 2 * ROUNDING_SHARE * sizes, 0.0)

    @cached_property
    def advantages(self) -> np.ndarray:
        """(units,): above 0 where a is better; infinite where one of them diverged, 0 where both did."""
        alone = np.isfinite(self.values_a).astype(int) - np.isfinite(self.values_b)
        advantages = np.array([-np.inf, 0.0, np.inf])[alone + 1]
        advantages[self.both] = self.differences if self.larger_is_better else -self.differences
        return advantages

    @cached_property
    def moments(self) -> tuple[float | None, float | None]:
        """Mean and standard deviation of the differences."""
        return moments(self.differences) if self.both.any() else (None, None)

    @cached_property
    def constant(self) -> bool:
        """Whether the differences (two or more) are all the same but for rounding: no spread to divide by."""
        d, rounding = self.differences, self.rounding[self.both]
        if len(d) < 2:
            return False
        middle = np.sort(d)[len(d) // 2]
        return bool((d >= middle - rounding).all() and (d <= middle + rounding).all())

    @property
    def diverged(self) -> tuple[int, int]:
        a, b = (int((~np.isfinite(values)).sum()) for values in (self.values_a, self.values_b))
        return a, b

    @property
    def rank_sum(self) -> float:
        """The sum of the signed ranks of the advantages: above 0 in favour of a."""
        ranks = doubled_ranks(np.abs(self.advantages), self.rounding)
        return float((np.sign(self.advantages) * ranks).sum())

    @property
    def favours_a(self) -> bool:
        """Whether a has the better mean over the units in which both are finite."""
        mean = self.moments[0] or 0.0
        return mean > 0 if self.larger_is_better else mean < 0

    def pooled_std(self) -> float | None:
        """sqrt((s_a^2 + s_b^2) / 2) over the units in which both are finite: the noise of one arm."""
        if self.both.sum() < 2:
            return None
        stds = (moments(values[self.both])[1] for values in (self.values_a, self.values_b))
        return float(np.hypot(*(std / 2**0.5 for std in stds)))

    def swapped(self) -> PairedValues:
        return replace(self, a=self.b, b=self.a, values_a=self.values_b, values_b=self.values_a)


def pair_values(scores: Scores, a: str, b: str) -> PairedValues:
    """The units of two arms, over the rows that both have; the better of them comes first."""
    rows = scores.rows_of(a) & scores.rows_of(b)
    raw_a, raw_b = (np.asarray(scores.values[arm], float)[rows] for arm in (a, b))
    finite_a, finite_b = np.isfinite(raw_a), np.isfinite(raw_b)
    same = np.array_equal(finite_a, finite_b) and np.array_equal(raw_a[finite_a], raw_b[finite_b])
    units = (scores.units_of(arm, rows) for arm in (a, b))
    identical = bool(same and (finite_a.any() or scores.by_ranks))
    pair = PairedValues(a, b, *units, scores.larger_is_better, scores.correction, identical, scores.by_ranks)
    if scores.by_ranks:
        return pair.swapped() if pair.rank_sum < 0 else pair
    swapped = pair.swapped()
    (diverged_a, diverged_b), mean_is_better = pair.diverged, swapped.favours_a
    return swapped if diverged_b < diverged_a or (diverged_a == diverged_b and mean_is_better) else pair
