"""How many more seeds would decide: where Student's test of this effect has a power of 80%."""

from __future__ import annotations

import math

import numpy as np

from nnlab.statistics.rank_tests import fewest_pairs

POWER = 0.8
MOST_MORE = 10_000


def power_of_t(effect: float, n: np.ndarray, level: float, overlap: float = 0.0) -> np.ndarray:
    """P(the two-sided test of n differences rejects, in the right direction).

    t has the noncentral distribution of n - 1 degrees and delta = effect / sqrt(1 / n + overlap), where
    effect = mean / sd of the differences.
    """
    from scipy.special import nctdtr, stdtrit  # imported late: it takes as long as training a small model

    n = np.asarray(n, float)
    delta = np.minimum(effect / np.sqrt(1 / n + overlap), 1e12)
    missed = nctdtr(n - 1, delta, stdtrit(n - 1, 1 - level / 2))
    return 1 - np.where(missed >= 0, missed, 0.0)  # NaN where it is below 1e-180


def more_units(effect: float, n: int, level: float, overlap: float = 0.0) -> int | None:
    """How many more than n would decide with a power of 80% at this effect; None: more than 10,000.

    >>> more_units(0.8, 10, 0.05)
    5
    """
    low, high = max(n, 1), n + MOST_MORE  # not enough, or not known to be; enough
    if effect <= 0 or power_of_t(effect, high, level, overlap) < POWER:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of_t(effect, middle, level, overlap) >= POWER else (middle, high)
    return high - n


def more_equal_signs(favourable: int, n: int, level: float) -> int | None:
    """How many more than n would decide by their signs alone, of which so many are favourable, if as large a
    share of them stays so and no other has the opposite sign: 2^(1 - favourable) <= level.

    >>> more_equal_signs(4, 4, 0.05), more_equal_signs(2, 4, 0.05)
    (2, 8)
    """
    if not favourable:
        return None
    more = max(1, math.ceil(fewest_pairs(level) * n / favourable) - n)
    return more if more <= MOST_MORE else None
