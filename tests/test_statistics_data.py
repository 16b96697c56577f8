"""Ranks over data sets and performance profiles, against scipy, scikit-posthocs and enumeration; numbers of
curves."""

import json
import math
from itertools import combinations, permutations, product

import numpy as np
import pytest
from scipy import stats

from nnlab.statistics.courses import area, best, cost_to_target, final, held
from nnlab.statistics.over_data import (
    MOST_RANK_SUMS,
    Profile,
    Ranking,
    critical_difference,
    friedman,
    joined_groups,
    mean_ranks,
    performance_profile,
    rank_arms,
    rank_table,
)

NAN, INF = np.nan, np.inf


def test_ranks_are_scipys():
    table = np.random.default_rng(0).integers(0, 4, size=(6, 5)).astype(float)
    for larger, cost in ((False, table), (True, -table)):
        assert np.array_equal(rank_table(table, larger), stats.rankdata(cost, axis=1))
    assert np.array_equal(mean_ranks(table), stats.rankdata(table, axis=1).mean(0))
    assert rank_table(np.array([[0.3 - 0.2, 0.2 - 0.1, 0.1, 0.2]])).tolist() == [[2, 2, 2, 4]]


def test_diverged_is_the_worst_rank():
    table = np.array([[1.0, NAN, 2.0, INF], [-INF, 3.0, 1.0, 2.0]])
    for larger in (False, True):
        ranks = rank_table(table, larger)
        assert ranks[0, [1, 3]].tolist() == [3.5, 3.5] and ranks[1, 0] == 4


@pytest.mark.parametrize(("data", "arms"), [(1, 3), (3, 3), (4, 2), (3, 4)])
def test_friedman_is_an_enumeration(data, arms):
    random = np.random.default_rng(data + arms)
    for values in (random.normal(size=(data, arms)), random.integers(0, 3, size=(data, arms)).astype(float)):
        ranks = rank_table(values)
        spread = ((ranks.sum(0) - ranks.sum() / arms) ** 2).sum()
        orders = product(*(list(permutations(row)) for row in ranks))
        spreads = [((np.sum(o, axis=0) - ranks.sum() / arms) ** 2).sum() for o in orders]
        assert friedman(ranks) == (pytest.approx(np.mean(np.array(spreads) >= spread - 1e-9)), True)


def test_friedman_is_scipys():
    for ties, shape in ((False, (40, 6)), (True, (60, 5)), (False, (2, 9))):
        values = np.random.default_rng(1).normal(size=shape) + np.linspace(0, 0.4, shape[1])
        values = np.round(values) if ties else values
        p, exact = friedman(rank_table(values))
        assert not exact and p == pytest.approx(stats.friedmanchisquare(*values.T).pvalue, rel=1e-9)
    many = np.random.default_rng(2).normal(size=(15, 3)) + np.array([0, 0, 0.5])
    exact = friedman(rank_table(many))
    assert exact[1] and exact[0] == pytest.approx(stats.friedmanchisquare(*many.T).pvalue, rel=0.2)
    assert friedman(np.full((60, 9), 5.0)) == (1, False) and friedman(np.ones((3, 1))) == (None, True)
    assert MOST_RANK_SUMS == 200_000  # by which the second shape is not exact


def test_critical_differences_are_demsars():
    """q of his table 5a, for k = 2, ..., 10."""
    table = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]
    for arms, q in enumerate(table, 2):
        assert critical_difference(arms, 14) == pytest.approx(
            q * math.sqrt(arms * (arms + 1) / (6 * 14)), abs=2e-3
        )


# scikit-posthocs 0.17.1: posthoc_nemenyi_friedman(np.array(TABLE)).to_numpy().round(4), above the diagonal
TABLE = [
    [20, -26, 9, 4, 15, 23], [-20, -2, -4, 43, 22, 21], [-3, -7, -6, 6, 25, 23], [10, -2, 5, 25, 25, 20],
    [-2, 5, 24, 7, 18, 35], [-9, -3, 14, 16, 21, 32], [-28, 10, -5, -7, 23, 32], [-4, -11, 5, 9, 34, 32],
    [2, 11, 3, 1, 26, 31], [-2, -8, 7, -15, 27, 30], [-16, 1, -5, 18, 0, 16], [7, 12, -17, 5, 23, 19],
]  # fmt: skip
NEMENYI_P = [
    0.9995, 0.9735, 0.6105, 0.0035, 0.0005, 0.998, 0.8095, 0.0113, 0.0019, 0.9643, 0.0444, 0.0094, 0.3014,
    0.1062, 0.9965,
]  # fmt: skip


def test_nemenyi_is_scikit_posthocs():
    """At the level of its p, the critical difference is the difference of the ranks."""
    means = mean_ranks(np.array(TABLE, float))
    for (i, j), p in zip(combinations(range(6), 2), NEMENYI_P, strict=True):
        assert (abs(means[i] - means[j]) > critical_difference(6, 12)) == (p < 0.05)
        if 0.001 < p < 0.9:
            assert critical_difference(6, 12, level=p) == pytest.approx(abs(means[i] - means[j]), rel=0.01)


def test_groups_are_the_largest_runs():
    means = np.array([1.0, 1.5, 2.0, 3.0, 3.5])
    assert joined_groups(means, 1.0) == [(0, 3), (2, 4), (3, 5)]
    assert joined_groups(means, 0.4) == [] and joined_groups(means, INF) == [(0, 5)]


def test_ranking():
    random = np.random.default_rng(4)
    table = random.normal(size=(10, 4)) + [3, 0, 0.1, 6]
    values = {f"data{i}": dict(zip("abcd", row, strict=True)) for i, row in enumerate(table)}
    ranking = rank_arms(values)
    assert set(ranking.arms[:2]) == {"b", "c"} and ranking.arms[2:] == ("a", "d") and ranking.p < 1e-4
    assert ranking.groups == (ranking.arms[:3], ranking.arms[2:]) and ranking.exact
    assert Ranking.from_json(json.loads(json.dumps(ranking.to_json(), allow_nan=False))) == ranking
    mirrored = {d: {a: -x for a, x in row.items()} for d, row in values.items()}
    assert rank_arms(mirrored, larger_is_better=True) == ranking


def test_ranking_that_shows_nothing():
    """Two data sets can show nothing, however clear they are; nor can a single arm."""
    ranking = rank_arms({d: {"a": 0.1, "b": 0.2, "c": None} for d in ("x", "y")})
    assert (ranking.mean_ranks, ranking.p) == ((1, 2, 3), pytest.approx(1 / 6))
    assert ranking.groups == (("a", "b", "c"),)
    single = rank_arms({"x": {"a": 1.0}})
    assert (single.mean_ranks, single.p, single.critical_difference, single.groups) == ((1,), None, None, ())
    for key, value in {"arms": "abc", "groups": ["ab"], "mean_ranks": [NAN], "data": [1], "p": "1"}.items():
        with pytest.raises(ValueError, match=f"'{key}' is"):
            Ranking.from_json(json.loads(json.dumps(ranking.to_json())) | {key: value})


def test_profile_by_hand():
    costs = {"a": [1, 4, 3, NAN], "b": [2, 2, 3, INF], "c": [INF, 8, 6, NAN]}
    profile = performance_profile({arm: np.array(row, float) for arm, row in costs.items()})
    assert profile.ratios == (1, 2, 4)
    assert profile.shares == {"a": (0.5, 0.75, 0.75), "b": (0.5, 0.75, 0.75), "c": (0, 0.25, 0.5)}
    assert Profile.from_json(json.loads(json.dumps(profile.to_json(), allow_nan=False))) == profile


def test_profile_of_extremes():
    zero = performance_profile({"a": np.array([0.0, 1e-320]), "b": np.array([1e-9, 1e308])})
    assert zero.shares == {"a": (1,), "b": (0,)}  # a ratio to 0, and one beyond all numbers, are none
    rounding = performance_profile({"a": np.array([0.3 - 0.2]), "b": np.array([0.1])})
    assert rounding.shares == {"a": (1,), "b": (1,)}
    failed = performance_profile({"a": np.array([NAN]), "b": np.array([NAN])})
    assert failed.ratios == (1,) and failed.shares == {"a": (0,), "b": (0,)}
    with pytest.raises(ValueError, match="0 or more, not -1"):
        performance_profile({"a": np.array([-1.0])})
    for tree in ({"ratios": [1]}, {"ratios": [1], "shares": {"a": 3}}, {"ratios": ["1"], "shares": {}}, []):
        with pytest.raises(ValueError, match="'(ratios|shares)' is"):
            Profile.from_json(tree)


CURVES = np.array(
    [
        [3.0, 2.0, 1.0, 2.0],
        [3.0, 1.5, NAN, NAN],  # stopped early
        [5.0, NAN, 4.0, 4.5],  # one epoch was infinite
        [NAN, NAN, NAN, NAN],
    ]
)


def test_numbers_of_curves():
    assert np.array_equal(final(CURVES), [2, 1.5, 4.5, NAN], equal_nan=True)
    assert np.array_equal(best(CURVES), [1, 1.5, 4, NAN], equal_nan=True)
    assert np.array_equal(best(CURVES, larger_is_better=True), [3, 3, 5, NAN], equal_nan=True)
    assert np.array_equal(area(CURVES), [2, 7.5 / 4, 18.5 / 4, NAN], equal_nan=True)
    assert area(CURVES, epochs=6) == pytest.approx([12 / 6, 10.5 / 6, 27.5 / 6, NAN], nan_ok=True)
    assert held(CURVES)[2].tolist() == [5, 5, 4, 4.5]


def test_numbers_of_rows_that_diverged():
    diverged = np.array([False, True, False, True])
    for numbers in (
        final(CURVES, diverged),
        best(CURVES, diverged=diverged),
        area(CURVES, diverged=diverged),
    ):
        assert np.isnan(numbers).tolist() == diverged.tolist()


def test_cost_to_a_target():
    steps = np.array([10, 20, 30, 40])
    assert cost_to_target(CURVES, 2.0, steps).tolist() == [20, 20, INF, INF]
    assert cost_to_target(CURVES, 3.0, steps).tolist() == [10, 10, INF, INF]
    assert cost_to_target(CURVES, 4.0, steps, larger_is_better=True).tolist() == [INF, INF, 10, INF]
    seconds = np.arange(16.0).reshape(4, 4)
    assert cost_to_target(CURVES, 2.0, seconds).tolist() == [1, 5, INF, INF]


def test_curves_without_epochs_and_too_many():
    none = np.zeros((2, 0))
    for numbers in (final(none), best(none), area(none), area(none, epochs=3)):
        assert np.isnan(numbers).all() and len(numbers) == 2
    assert cost_to_target(none, 1.0, np.zeros(0)).tolist() == [INF, INF]
    with pytest.raises(ValueError, match="epochs = 3, and the curves have 4"):
        area(CURVES, epochs=3)
    assert area(np.full((1, 2), 1e308))[0] == pytest.approx(1e308)
