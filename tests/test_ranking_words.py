"""Ranks over data sets, in words: no claim but by Friedman's test and the critical difference."""

import numpy as np
import pytest
from compared_arms import random_comparison

from nnlab.pictures.ranked_arms import draw
from nnlab.records.ranking_words import (
    profile_of,
    ranking_lines,
    ranking_of,
    ranking_sentences,
    ranks_on_data,
)
from nnlab.statistics.over_data import least_friedman_p, performance_profile, rank_arms


def ranked(tables: int, arms: int, noise=0.0):
    rng = np.random.default_rng(0)
    return rank_arms(
        {f"data{n}": {f"arm{k}": k + noise * rng.normal() for k in range(arms)} for n in range(tables)}
    )


def test_arms_that_differ():
    lines = [*ranking_sentences(ranked(10, 3))]
    assert lines[0] == "arm0 ranks better than arm2 over 10 data sets (mean ranks 1.00 and 3.00)"
    assert lines[1].startswith("arms differ whose mean ranks are further apart than 1.05, Nemenyi's critical")
    assert "p < 0.001 by Friedman's test" in lines[1] and len(lines) == 2


def test_too_few_data_sets_show_nothing():
    line, _ = ranking_sentences(ranked(2, 2))
    assert line == "no difference shown over 2 data sets: p = 0.5 by Friedman's test, exact"


@pytest.mark.parametrize("data, arms", [(2, 2), (4, 3), (10, 5), (30, 12)])
@pytest.mark.parametrize("noise", [0.0, 1.0, 100.0])
def test_a_claim_has_the_better_rank_and_the_needed_distance(data, arms, noise):
    ranking = ranked(data, arms, noise)
    ranks = dict(zip(ranking.arms, ranking.mean_ranks, strict=True))
    claims = [line.split() for line in ranking_sentences(ranking) if " ranks better than " in line]
    for words in claims:
        assert ranks[words[4]] - ranks[words[0]] > ranking.critical_difference and ranking.p <= 0.05
    apart = [d for a in ranks for b in ranks if (d := ranks[b] - ranks[a]) > ranking.critical_difference]
    assert len(claims) == (min(6, len(apart)) if ranking.p <= 0.05 else 0)
    assert all(len(line) <= 80 for line in ranking_lines(ranking))


def test_it_ranks_by_what_is_better_and_a_diverged_arm_last():
    names = ["optimizer=a", "optimizer=b", "optimizer=c"]
    better_if_less = random_comparison(names, step=0.05)
    better_if_more = random_comparison(names, step=0.05, larger_is_better=True)
    ranking = ranking_of({"one": better_if_less, "other": better_if_more})
    assert ranking.mean_ranks == (2.0, 2.0, 2.0)
    ranking = ranking_of({"one": better_if_less, "other": random_comparison(names, step=0.05, diverged=1.0)})
    assert ranking.arms[0] == "optimizer=a" and ranking.mean_ranks == (1.5, 2.0, 2.5)
    assert ranking_of({"one": better_if_less}) is None
    both = {"one": better_if_less, "other": better_if_more}
    assert ranks_on_data(both, names) == {"one": [1.0, 2.0, 3.0], "other": [3.0, 2.0, 1.0]}


def test_few_data_sets_say_what_they_cannot_show():
    """Three data sets on which two arms rank alike have p = 2 of 2^3, the least that there is."""
    two = {name: {"a": 0.1, "b": 0.2} for name in ("digits", "wine", "iris")}
    ranking = rank_arms(two)
    assert ranking.p == pytest.approx(least_friedman_p(2, 3)) == 0.25
    assert "3 data sets cannot give less than p = 0.25" in " ".join(ranking_sentences(ranking))
    three = rank_arms({name: {**each, "c": 0.3} for name, each in two.items()})
    assert three.p == pytest.approx(least_friedman_p(3, 3))
    assert "can hardly decide" in " ".join(ranking_sentences(three))
    many = rank_arms({f"data {n}": each for n, each in enumerate([*two.values()] * 3)})
    assert "hardly" not in " ".join(ranking_sentences(many))


def test_a_profile_takes_costs_of_all_arms_on_the_same_seeds():
    values = [{"a": np.array([1.0, 2.0]), "b": np.array([2.0, 2.0])}]
    assert profile_of(("a", "b"), values).shares == {"a": (1.0, 1.0), "b": (0.5, 1.0)}
    assert profile_of(("a", "c"), values) is None
    assert profile_of(("a", "b"), [{"a": np.array([1.0]), "b": np.array([1.0, 2.0])}]) is None
    assert profile_of(("a", "b"), [{"a": np.array([-1.0]), "b": np.array([1.0])}]) is None


@pytest.mark.parametrize("data, arms", [(2, 2), (10, 5), (4, 30)])
@pytest.mark.parametrize("with_profile", [True, False])
def test_the_picture_has_every_arm_and_group(data, arms, with_profile):
    ranking = ranked(data, arms, 3.0)
    costs = {arm: np.arange(1.0, 4) * (1 + n) for n, arm in enumerate(ranking.arms)}
    png = draw(ranking, performance_profile(costs) if with_profile else None)
    assert png.startswith(b"\x89PNG") and len(png) > 5000
