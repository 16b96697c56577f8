"""Verdicts of a reproduction: on a value, by scipy's tests; on an order that was claimed."""

import numpy as np
import pytest
from scipy import stats

from nnlab.reproduction.published import Claim, Published
from nnlab.reproduction.verdicts import Ours, judge_cell, judge_claim

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("case", range(40))
def test_with_a_published_deviation_the_verdict_is_welchs_test(case):
    random = np.random.default_rng(case)
    mine = random.normal(0, random.uniform(0.5, 2), random.integers(2, 12))
    theirs = random.normal(random.uniform(0, 3), random.uniform(0.5, 2), random.integers(2, 12))
    published = Published(theirs.mean(), theirs.std(ddof=1), len(theirs))
    verdict = judge_cell(published, Ours.of(mine))
    assert (verdict.status == "inside") == (stats.ttest_ind(mine, theirs, equal_var=False).pvalue >= 0.05)
    assert verdict.difference == pytest.approx(mine.mean() - theirs.mean())


@pytest.mark.parametrize("n, theirs", [(2, None), (5, 1), (10, 1), (10, 4), (30, None)])
def test_without_one_a_mean_of_ours_is_inside_in_95_percent(n, theirs):
    """The published value is one more seed of ours, or the mean of `theirs` more."""
    random = np.random.default_rng(n)
    inside, trials = 0, 2000
    for _ in range(trials):
        published = Published(random.normal(7, 3, theirs or 1).mean(), None, theirs)
        inside += judge_cell(published, Ours.of(random.normal(7, 3, n))).status == "inside"
    assert stats.binomtest(inside, trials, 0.95).pvalue > 0.001


def test_the_interval_is_students():
    values = RANDOM.normal(3, 1, 7)
    ours = Ours.of(values)
    low, high = stats.t.interval(0.95, 6, values.mean(), stats.sem(values))
    assert (ours.mean, ours.low, ours.high) == pytest.approx((values.mean(), low, high))
    assert ours.n == 7 and ours.diverged == 0


@pytest.mark.parametrize("values, published, status", [
    ([1.0, 1.0, 1.0], Published(1.0), "inside"), ([1.0, 1.0], Published(1.5), "outside"),
    ([1.0, 1.0], Published(1.5, 0.0, 5), "outside"), ([2.0], Published(1.0), "single"),
    ([np.nan, np.inf], Published(1.0), "diverged"), ([1.0, 1.1, np.nan], Published(1.0), "diverged"),
    ([1.0, 2.0], None, "unpublished"),
])  # fmt: skip
def test_what_cannot_be_judged_is_not(values, published, status):
    assert judge_cell(published, Ours.of(np.array(values))).status == status


@pytest.mark.parametrize("factor", [1e-200, 1e200])
def test_sizes_whose_squares_overflow_or_vanish_are_judged_alike(factor):
    mine, sd = np.array([1.0, 2.0, 1.5]), 0.3
    for mean in (1.4, 3.0):
        usual = judge_cell(Published(mean, sd, 5), Ours.of(mine))
        scaled = judge_cell(Published(factor * mean, factor * sd, 5), Ours.of(factor * mine))
        assert scaled.status == usual.status and scaled.margin == pytest.approx(factor * usual.margin)


def claimed(text: str, larger_first=False) -> Claim:
    return Claim(text, tuple((name,) for name in text.split()), larger_first)


NOISE = RANDOM.normal(0, 1, 8)  # common to all cells, as their seeds are


@pytest.mark.parametrize("shifts, status", [
    ([0, 3, 6], "holds"), ([6, 3, 0], "reversed"), ([0, 3, 3.001], "undecided"), ([0, 3, 1], "reversed"),
])  # fmt: skip
def test_an_order_holds_where_every_neighbour_is_better(shifts, status):
    wiggle = 0.1 * RANDOM.normal(size=(3, 8))
    values = {name: shift + NOISE + own for name, shift, own in zip("abc", shifts, wiggle, strict=True)}
    assert judge_claim(claimed("a b c"), values).status == status
    mirrored = {name: -each for name, each in values.items()}
    assert judge_claim(claimed("a b c", larger_first=True), mirrored).status == status


def test_a_pairs_difference_is_of_the_first_and_p_is_holms_over_the_claim():
    values = {name: shift + RANDOM.normal(size=8) for name, shift in zip("abc", (0, 1, 5), strict=True)}
    first, second = judge_claim(claimed("a b c"), values).pairs
    p_values = [stats.ttest_rel(values[x], values[y]).pvalue for x, y in ("ab", "bc")]
    assert first.difference == pytest.approx((values["a"] - values["b"]).mean())
    assert [first.p_holm, second.p_holm] == pytest.approx(stats_holm(p_values))
    turned = judge_claim(claimed("c b"), values).pairs[0]
    assert turned.status == "reversed" and turned.difference == pytest.approx(-second.difference)
    assert (turned.low, turned.high) == pytest.approx((-second.high, -second.low))


def stats_holm(p_values):
    small, large = sorted(p_values)
    adjusted = {small: min(1, 2 * small), large: max(min(1, 2 * small), large)}
    return [adjusted[p] for p in p_values]


def test_equal_numbers_and_single_seeds_decide_nothing():
    assert judge_claim(claimed("a b"), {"a": NOISE, "b": NOISE}).status == "undecided"
    assert judge_claim(claimed("a b"), {"a": NOISE[:1], "b": NOISE[:1] + 9}).status == "undecided"
    assert judge_claim(claimed("a b"), {"a": NOISE}).status == "not run"


def test_cells_that_diverge_are_worse():
    diverging = np.full(8, np.nan)
    assert judge_claim(claimed("a b"), {"a": NOISE, "b": diverging}).status == "holds"
    assert judge_claim(claimed("b a"), {"a": NOISE, "b": diverging}).status == "reversed"
