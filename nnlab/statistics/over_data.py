"""Arms over several data sets: average ranks with their critical difference, and performance profiles.

A table is (data sets, arms), one number for each, as a mean over seeds; NaN or infinite: that arm diverged
there, which is the worst of all (two that did are equal).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import permutations

import numpy as np

from nnlab.statistics.json_trees import instance_of, listed, plain
from nnlab.statistics.rank_tests import doubled_ranks
from nnlab.statistics.student import CONFIDENCE_LEVEL, ROUNDING_SHARE

# Exact p as long as each data set more asks for no more sums than these, some 0.2 seconds: 3 data sets and 6
# arms, or 10 and 4.
MOST_RANK_SUMS = 200_000


@dataclass(frozen=True)
class Ranking:
    """Arms by their mean rank over data sets, the best first (Demsar 2006, Statistical comparisons of
    classifiers over multiple data sets).

    mean_ranks           1 is the best; equal numbers share their mean rank
    p                    Friedman's test that no arm is better over data sets than another; `exact`, or by the
                         chi-square distribution; None of a single arm
    critical_difference  Nemenyi's: arms whose mean ranks are further apart differ; None of a single arm
    groups               arms that are not shown to differ, each group as large as can be; all of them where
                         Friedman's p is above 5%
    """

    data: tuple[str, ...]
    arms: tuple[str, ...]
    mean_ranks: tuple[float, ...]
    p: float | None
    exact: bool
    critical_difference: float | None
    groups: tuple[tuple[str, ...], ...]

    def to_json(self) -> dict:
        return asdict(self)

    @staticmethod
    def from_json(tree: dict) -> Ranking:
        """The inverse of `to_json`; ValueError where a key is missing or its value is of another kind."""
        names = {key: _plain_tuple(listed(tree, key), "str", key) for key in ("data", "arms")}
        groups = tuple(_plain_tuple(group, "str", "groups") for group in listed(tree, "groups"))
        ranks = _plain_tuple(listed(tree, "mean_ranks"), "float", "mean_ranks")
        return instance_of(Ranking, tree, **names, groups=groups, mean_ranks=ranks)


def rank_arms(values: dict[str, dict[str, float]], larger_is_better: bool = False) -> Ranking:
    """The ranking of `values`, data set -> arm -> number (None: it diverged), the same arms in each.

    >>> ranking = rank_arms({"digits": {"sgd": 0.2, "adam": 0.1}, "wine": {"sgd": 0.3, "adam": 0.3}})
    >>> ranking.arms, ranking.mean_ranks, ranking.p
    (('adam', 'sgd'), (1.25, 1.75), 1.0)
    """
    arms = list(next(iter(values.values())))
    rows = [[math.nan if row[arm] is None else row[arm] for arm in arms] for row in values.values()]
    ranks = rank_table(np.array(rows, float), larger_is_better)
    means = ranks.mean(0)
    order = np.argsort(means, kind="stable")
    p, exact = friedman(ranks)
    difference = critical_difference(len(arms), len(rows)) if len(arms) > 1 else None
    shown = p is not None and p <= 1 - CONFIDENCE_LEVEL
    joined = joined_groups(means[order], difference if shown else math.inf)
    names = tuple(arms[i] for i in order)
    return Ranking(
        tuple(values), names, tuple(means[order].tolist()), p, exact, difference,
        tuple(names[first:last] for first, last in joined),
    )  # fmt: skip


def rank_table(table: np.ndarray, larger_is_better: bool = False) -> np.ndarray:
    """(data sets, arms): 1 for the best of a data set; equal ones share the mean of their ranks."""
    costs = np.where(np.isfinite(table), -table if larger_is_better else table, np.inf)
    rounding = np.where(np.isfinite(costs), np.abs(costs), 0) * ROUNDING_SHARE
    return np.array([doubled_ranks(*row) for row in zip(costs, rounding, strict=True)]) / 2


def mean_ranks(table: np.ndarray, larger_is_better: bool = False) -> np.ndarray:
    """(arms,): the mean of the ranks over the data sets."""
    return rank_table(table, larger_is_better).mean(0)


def friedman(ranks: np.ndarray) -> tuple[float | None, bool]:
    """(p, whether it is exact) of Friedman's test (1937) on ranks (data sets, arms).

    Its statistic is the spread of the rank sums, sum_j (R_j - mean)^2. With few data sets p is the share of
    all orders within the data sets that have as large a one; else by chi-square with k - 1 degrees, corrected
    for ties.
    """
    data, arms = ranks.shape
    if arms < 2:
        return None, True
    p = _exact_friedman(np.rint(2 * ranks).astype(int))
    if p is not None:
        return p, True
    from scipy.special import chdtrc  # imported late: it takes as long as training a small model

    # Of one data set the ranks' variance over arms, which ties make smaller.
    variance = ranks.var(1, ddof=1).sum()
    spread = ((ranks.sum(0) - ranks.sum() / arms) ** 2).sum()
    return (float(chdtrc(arms - 1, spread / variance)) if variance else 1.0), False


def least_friedman_p(arms: int, data: int) -> float:
    """The smallest p of the exact test: the arms rank alike on all data sets, in any of k! orders of (k!)^N.

    >>> least_friedman_p(2, 3), round(least_friedman_p(3, 3), 4)
    (0.25, 0.0278)
    """
    return float(math.factorial(arms)) ** (1 - data) if arms <= 100 else 0.0


def _exact_friedman(doubled: np.ndarray) -> float | None:
    """None where there are too many orders. The first data set stays: only where others differ counts."""
    data, arms = doubled.shape
    if math.factorial(min(arms, 10)) > MOST_RANK_SUMS:
        return None
    centred = doubled - (arms + 1)  # the mean of doubled ranks
    sums = Counter({tuple(sorted(centred[0].tolist())): 1})
    for row in centred[1:]:
        orders = Counter(permutations(row.tolist()))
        if len(sums) * len(orders) > MOST_RANK_SUMS:
            return None
        sums = _added(sums, orders)
    observed = int((centred.sum(0) ** 2).sum())
    as_large = sum(count for each, count in sums.items() if sum(x * x for x in each) >= observed)
    return as_large / sum(sums.values())


def _added(sums: Counter, orders: Counter) -> Counter:
    """Rank sums of one data set more. Their order does not matter, so they are sorted, and far fewer."""
    keys, counts = np.array(list(sums)), np.array(list(sums.values()), dtype=object)
    more, more_counts = np.array(list(orders)), np.array(list(orders.values()), dtype=object)
    added: Counter = Counter()
    for key, count in zip(keys, counts, strict=True):
        for each, times in zip(np.sort(key + more, axis=1).tolist(), more_counts, strict=True):
            added[tuple(each)] += count * times
    return added


def critical_difference(arms: int, data: int, level: float = 1 - CONFIDENCE_LEVEL) -> float:
    """Nemenyi's (1963): q sqrt(k (k + 1) / (6 N)), where q is the quantile of the studentized range of k
    arms / sqrt(2).

    >>> round(critical_difference(5, 30), 3)
    1.114
    """
    from scipy.stats import studentized_range  # imported late: it takes longer than training a small model

    q = float(studentized_range.ppf(1 - level, arms, np.inf)) / math.sqrt(2)
    return q * math.sqrt(arms * (arms + 1) / (6 * data))


def joined_groups(ascending: np.ndarray, difference: float) -> list[tuple[int, int]]:
    """(first, last + 1) of the largest runs of ascending mean ranks no further apart; not of single ones."""
    ends = np.searchsorted(ascending, ascending + difference + 1e-9, side="right").tolist()
    runs = [(first, end) for first, end in enumerate(ends) if end - first > 1]
    return [run for i, run in enumerate(runs) if i == 0 or run[1] > runs[i - 1][1]]


@dataclass(frozen=True)
class Profile:
    """Performance profiles (Dolan and More 2002, Benchmarking optimization software).

    The ratio of an arm is its cost on a problem over the best arm's cost there. shares[arm] has for each of
    `ratios`, ascending from 1, the share of problems on which the arm's ratio is no larger: at 1, where it is
    the best; at the last, where it did not fail.
    """

    ratios: tuple[float, ...]
    shares: dict[str, tuple[float, ...]]

    def to_json(self) -> dict:
        return asdict(self)

    @staticmethod
    def from_json(tree: dict) -> Profile:
        """The inverse of `to_json`; ValueError likewise."""
        shares = listed(tree, "shares", dict).items()
        return Profile(
            _plain_tuple(listed(tree, "ratios"), "float", "ratios"),
            {arm: _plain_tuple(each, "float", "shares") for arm, each in shares},
        )


def _plain_tuple(values: list, kind: str, name: str) -> tuple:
    if not isinstance(values, list):
        raise ValueError(f"'{name}' is not a list")
    return tuple(plain(value, kind, f"'{name}'") for value in values)


def performance_profile(costs: dict[str, np.ndarray]) -> Profile:
    """Of `costs`, arm -> (problems,), which are 0 or more: an error, a loss, steps to a target.

    NaN or infinite: the arm failed there. Where the best cost is 0, others have no ratio, as if they failed.

    >>> performance_profile({"sgd": np.array([2.0, 3.0]), "adam": np.array([1.0, 6.0])}).shares["sgd"]
    (0.5, 1.0)
    """
    ratios = performance_ratios(np.array(list(costs.values()), float))
    steps = np.unique(np.append(ratios[np.isfinite(ratios)], 1.0))
    shares = (ratios[:, :, None] <= steps).mean(1)  # (arms, steps)
    return Profile(tuple(steps.tolist()), dict(zip(costs, map(tuple, shares.tolist()), strict=True)))


def performance_ratios(costs: np.ndarray) -> np.ndarray:
    """(arms, problems): cost / the smallest cost of the problem; infinite where an arm failed."""
    costs = np.where(np.isfinite(costs), costs, np.inf)
    if (costs < 0).any():
        raise ValueError(f"a performance profile is of costs of 0 or more, not {costs.min()}")
    best = costs.min(0)
    equal = np.isfinite(costs) & (costs <= best * (1 + ROUNDING_SHARE))
    usable = np.isfinite(costs) & (best > 0)
    with np.errstate(over="ignore"):
        ratios = np.divide(costs, best, out=np.full(costs.shape, np.inf), where=usable)
    return np.where(equal, 1.0, ratios)
