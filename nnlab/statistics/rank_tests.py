"""Exact tests of paired differences that ask for no distribution: of signs, and of signed ranks.

Both suppose only that each difference could as well have had the other sign. A difference may be infinite:
the row of one arm diverged, which is the worst of all.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

# Beyond, the normal distribution is off by less than 2% of a p of 0.01.
MOST_EXACT_PAIRS = 200


def least_p(n: int) -> float:
    """The smallest two-sided p that either test can give of n pairs: all signs the same, 2 of 2^n.

    >>> least_p(5), least_p(6)
    (0.0625, 0.03125)
    """
    return min(1.0, 2.0 ** (1 - n))


def fewest_pairs(level: float) -> int:
    """The fewest pairs whose `least_p` is at most the level.

    >>> fewest_pairs(0.05), fewest_pairs(0.05 / 3)
    (6, 7)
    """
    return max(1, math.ceil(1 - math.log2(level)))


def sign_test(differences: np.ndarray) -> float:
    """Two-sided p of as few of either sign by n fair coins, zeros left out (Dixon and Mood 1946).

    >>> sign_test(np.array([1.0, 2.0, 3.0, 1.0, 5.0, 0.0]))
    0.0625
    """
    above, below = int((differences > 0).sum()), int((differences < 0).sum())
    return _coins_p(above + below, min(above, below))


@lru_cache
def _coins_p(n: int, fewer: int) -> float:
    """2 P(at most `fewer` heads of n coins), at most 1: of whole numbers, so exact for any n."""
    ways = as_few = 1
    for k in range(fewer):
        ways = ways * (n - k) // (k + 1)
        as_few += ways
    return min(1.0, 2 * as_few / 2**n)


def wilcoxon_test(differences: np.ndarray, rounding: np.ndarray | float = 0.0) -> float:
    """Two-sided p of the sum of the positive differences' ranks by size (Wilcoxon 1945), exact with ties.

    Zeros take part in the ranking, and then go (Pratt 1959); equal sizes have their mean rank. Differences
    are equal that are not further apart than `rounding`, (n,).

    >>> wilcoxon_test(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    0.0625
    """
    sizes = np.abs(differences)
    doubled = doubled_ranks(sizes, np.broadcast_to(rounding, sizes.shape))
    counted = differences != 0
    ranks = tuple(sorted(doubled[counted].tolist()))
    positive = int(doubled[differences > 0].sum())
    if len(ranks) > MOST_EXACT_PAIRS:
        return _normal_p(ranks, positive)
    at_most, at_least = _signed_rank_tails(ranks)
    return float(min(1.0, 2 * min(at_most[positive], at_least[positive])))


def doubled_ranks(sizes: np.ndarray, rounding: np.ndarray) -> np.ndarray:
    """Twice the rank of each, ascending from 1, so that mean ranks are whole numbers."""
    if not len(sizes):
        return np.zeros(0, int)
    order = np.argsort(sizes, kind="stable")
    ordered, tolerance = sizes[order], rounding[order]
    with np.errstate(invalid="ignore"):  # infinite sizes are equal, though their difference is not a number
        apart = np.diff(ordered) > np.maximum(tolerance[1:], tolerance[:-1])
    group = np.concatenate([[0], np.cumsum(apart)])
    first = np.searchsorted(group, group, side="left") + 1
    last = np.searchsorted(group, group, side="right")
    doubled = np.empty(len(sizes), int)
    doubled[order] = first + last
    return doubled


@lru_cache(maxsize=64)
def _signed_rank_tails(ranks: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """P(sum <= w) and P(sum >= w) for w = 0, ..., sum(ranks), where each rank counts with probability 1/2."""
    chance = np.zeros(sum(ranks) + 1)
    chance[0], reached = 1.0, 0
    for rank in ranks:
        chance[rank : reached + rank + 1] += chance[: reached + 1].copy()
        reached += rank
        chance[: reached + 1] /= 2
    return np.cumsum(chance), np.cumsum(chance[::-1])[::-1]


def _normal_p(ranks: tuple[int, ...], positive: int) -> float:
    """By the normal distribution of the same mean and variance, with a correction for continuity."""
    doubled = np.array(ranks, float)
    distance = abs(positive - doubled.sum() / 2)
    step = 1.0  # half of the distance between two sums: one rank, doubled
    return min(1.0, math.erfc(max(0.0, distance - step) / math.sqrt((doubled**2).sum() / 4) / math.sqrt(2)))
