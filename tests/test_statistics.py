"""`compare_arms`: as scipy where all is well; by hand where values are missing, equal or infinite."""

import json
import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from nnlab.statistics.comparison import Comparison, compare_arms
from nnlab.statistics.scores import Scores


def scores_of(*, larger_is_better=False, **arms):
    """One value a seed."""
    return Scores({name: np.array(v, float)[:, None, None] for name, v in arms.items()}, larger_is_better)


def compared(scores: Scores) -> Comparison:
    """The comparison, which is as JSON has it, without NaN."""
    comparison = compare_arms(scores)
    text = json.dumps(comparison.to_json(), allow_nan=False)
    assert Comparison.from_json(json.loads(text)) == comparison
    return comparison


def random_arms(count=3, seeds=10, seed=0, step=0.3):
    random = np.random.default_rng(seed)
    shared = random.normal(size=seeds)
    return {f"arm{i}": shared + random.normal(size=seeds) + step * i for i in range(count)}


@pytest.mark.parametrize("seeds", [2, 3, 10, 57])
def test_a_pair_is_scipys(seeds):
    arms = random_arms(seeds=seeds)
    comparison = compared(scores_of(**arms))
    for pair in comparison.pairs:
        a, b = arms[pair.a], arms[pair.b]
        expected = stats.ttest_rel(a, b)
        assert pair.p == pytest.approx(expected.pvalue, rel=1e-9)
        assert (pair.low, pair.high) == pytest.approx(tuple(expected.confidence_interval(0.95)), rel=1e-9)
        assert pair.difference == pytest.approx((a - b).mean()) and pair.difference <= 0
        below = int((a < b).sum())
        assert pair.p_sign == pytest.approx(stats.binomtest(below, seeds).pvalue, rel=1e-12)
        assert pair.p_wilcoxon == pytest.approx(stats.wilcoxon(a, b, method="exact").pvalue, rel=1e-9)
        assert pair.superiority == pytest.approx(below / seeds)
        assert pair.effect == pytest.approx(abs(a - b).mean() and abs((a - b).mean()) / np.sqrt(
            (a.var(ddof=1) + b.var(ddof=1)) / 2))  # fmt: skip
        assert pair.least_p == min(1, 2.0 ** (1 - seeds)) and pair.n == pair.units == seeds
    for arm in comparison.arms:
        interval = stats.t.interval(0.95, seeds - 1, arms[arm.name].mean(), stats.sem(arms[arm.name]))
        assert (arm.low, arm.high) == pytest.approx(interval)
        assert (arm.n, arm.diverged) == (seeds, 0)


def test_both_directions_are_mirror_images():
    arms = random_arms(5)
    losses = compared(scores_of(**arms))
    gains = compared(scores_of(**{name: -v for name, v in arms.items()}, larger_is_better=True))
    assert [a.name for a in losses.arms] == [a.name for a in gains.arms]
    assert [a.letters for a in losses.arms] == [a.letters for a in gains.arms]
    for less, more in zip(losses.pairs, gains.pairs, strict=True):
        assert (less.a, less.b, less.p_holm, less.verdict) == (more.a, more.b, more.p_holm, more.verdict)
        assert less.difference == -more.difference and less.superiority == more.superiority
        assert (less.low, less.high) == (-more.high, -more.low)


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e-9, 1e9, 1e150, 1e300])
def test_any_scale_has_the_same_tests(scale):
    arms = random_arms(4)
    one, other = (compared(scores_of(**{k: v * s for k, v in arms.items()})) for s in (1.0, scale))
    for plain, scaled in zip(one.pairs, other.pairs, strict=True):
        assert (plain.a, plain.b, plain.verdict, plain.more_seeds, plain.p_wilcoxon) == (
            scaled.a, scaled.b, scaled.verdict, scaled.more_seeds, scaled.p_wilcoxon)  # fmt: skip
        for key in ("p", "p_holm", "effect"):
            assert getattr(plain, key) == pytest.approx(getattr(scaled, key), rel=1e-6), key
        for key in ("difference", "low", "high", "bootstrap_low", "bootstrap_high"):
            assert getattr(plain, key) * scale == pytest.approx(getattr(scaled, key), rel=1e-6), key


def test_equal_bits_are_identical():
    arms = random_arms(2)
    comparison = compared(scores_of(same=arms["arm0"], **arms))
    pair = comparison.pair("same", "arm0")
    assert pair.verdict == "identical" and (pair.difference, pair.superiority, pair.effect) == (0, 0.5, 0)
    assert pair.p is pair.p_holm is pair.low is pair.high is pair.bootstrap_low is pair.more_seeds is None
    assert pair.p_sign == pair.p_wilcoxon == 1
    of_single = compared(scores_of(a=[0.5], b=[0.5])).pairs[0]
    assert of_single.verdict == "identical" and of_single.n == 1
    with_diverged = compared(scores_of(a=[0.5, np.nan, 1], b=[0.5, np.inf, 1])).pairs[0]
    assert with_diverged.verdict == "identical" and (with_diverged.n, with_diverged.units) == (2, 3)


@pytest.mark.parametrize(
    ("seeds", "verdict", "more"), [(2, "undecided", 4), (5, "undecided", 1), (6, "better", 0)]
)
def test_differences_all_the_same(seeds, verdict, more):
    """No spread, so no t and no interval; the signs decide. 0.3 - 0.1 and 0.4 - 0.2 differ by rounding."""
    base = np.arange(seeds) / 10
    pair = compared(scores_of(a=base, b=base + 0.2)).pairs[0]
    assert pair.constant and pair.p is pair.low is pair.high is pair.bootstrap_high is None
    assert (pair.a, pair.verdict, pair.more_seeds, pair.decided_by) == ("a", verdict, more, "sign")
    assert pair.p_holm == pair.p_sign == pair.p_wilcoxon == pair.least_p


def test_one_seed():
    pair = compared(scores_of(a=[2.0], b=[1.0])).pairs[0]
    assert (pair.a, pair.difference, pair.n, pair.superiority) == ("b", -1, 1, 1) and not pair.constant
    assert pair.p is pair.p_holm is pair.low is pair.effect is pair.more_seeds is None
    assert (pair.p_sign, pair.p_wilcoxon, pair.least_p, pair.verdict) == (1, 1, 1, "undecided")


def test_one_arm():
    comparison = compared(scores_of(a=[2.0, 3.0]))
    assert not comparison.pairs and comparison.arms[0].letters == "a"


NAN = np.nan


def test_who_diverged_more_is_never_better():
    """b is far better in the seeds that it survived; where it did not survive six, that is shown."""
    random = np.random.default_rng(1)
    for count in range(1, 11):
        diverged = np.where(np.arange(10) < count, NAN, 0)
        a, b = random.normal(size=(2, 10)) / 100
        pair = compared(scores_of(a=a + 1, b=b + diverged)).pairs[0]
        assert (pair.a, pair.diverged_a, pair.diverged_b, pair.n) == ("a", 0, count, 10 - count)
        assert pair.superiority == count / 10
        assert pair.p_diverged == pytest.approx(stats.binomtest(0, count).pvalue)
        assert pair.p_sign == pytest.approx(stats.binomtest(count, 10).pvalue)
        assert pair.verdict == ("diverged" if count >= 6 else "undecided"), count
        assert pair.difference is None if count == 10 else pair.difference > 0.9
        needed = 6 if count == 5 else 7  # at half of the level, where b could also be shown to be better
        assert pair.more_seeds == (0 if count >= 6 else math.ceil(needed * 10 / count) - 10)


def test_who_diverged_less_may_be_better_by_its_mean():
    random = np.random.default_rng(1)
    good, bad = random.normal(size=10) / 10, 1 + random.normal(size=10) / 10
    for worst in (NAN, np.inf, -np.inf):
        bad[3] = worst
        pair = compared(scores_of(bad=bad, good=good)).pairs[0]
        assert (pair.a, pair.verdict, pair.decided_by, pair.n) == ("good", "better", "student", 9)
        assert pair.p == pytest.approx(
            stats.ttest_rel(np.delete(good, 3), np.delete(bad, 3)).pvalue, rel=1e-9
        )
        assert pair.superiority == 1 and pair.p_wilcoxon == pair.p_sign == 2 / 2**10


def test_as_many_diverged_in_both():
    a, b = random_arms(2, seeds=8, step=5).values()
    a[[0, 1]], b[[1, 2]] = NAN, NAN
    pair = compared(scores_of(a=a, b=b)).pairs[0]
    assert (pair.a, pair.n, pair.diverged_a, pair.diverged_b) == ("a", 5, 2, 2)
    assert pair.p_diverged == 1 and pair.superiority == (5 + 1 + 0.5) / 8


def test_all_diverged():
    comparison = compared(scores_of(a=[NAN] * 9, b=[np.inf] * 9, c=np.arange(9.0)))
    assert [arm.name for arm in comparison.arms] == ["c", "a", "b"]
    assert [arm.letters for arm in comparison.arms] == ["a", "b", "b"]
    both = comparison.pair("a", "b")
    assert (both.verdict, both.n, both.units, both.superiority) == ("undecided", 0, 9, 0.5)
    assert comparison.pair("a", "c").verdict == "diverged" and comparison.pair("a", "c").a == "c"
    assert comparison.arms[1].mean is None and comparison.arms[1].diverged == 9


def test_absent_is_not_diverged():
    """Only the seeds that both arms have are paired, whatever stands in the places of the others."""
    random = np.random.default_rng(2)
    a, b = random.normal(size=(12, 1, 3)), random.normal(size=(12, 1, 3)) + 0.5
    present_a, present_b = np.ones(a.shape, bool), np.ones(a.shape, bool)
    present_a[10:], present_b[0] = False, False
    a[10:] = NAN
    comparison = compared(Scores({"a": a, "b": b}, present={"a": present_a, "b": present_b}))
    short = compared(Scores({"a": a[1:10], "b": b[1:10]}))
    assert comparison.pairs == short.pairs
    assert [(arm.name, arm.n, arm.diverged) for arm in comparison.arms] == [("a", 10, 0), ("b", 11, 0)]
    none = compared(Scores({"a": a, "b": b}, present={"a": present_a, "b": ~present_a})).pairs[0]
    assert (none.units, none.n, none.verdict, none.superiority) == (0, 0, "undecided", None)


def test_folds_are_averaged_and_splits_are_corrected():
    random = np.random.default_rng(3)
    a, b = random.normal(size=(2, 6, 1, 5))
    of_seeds = compared(Scores({"a": a, "b": b}, overlap=0.25))
    means = scores_of(a=a.mean((1, 2)), b=b.mean((1, 2)))
    assert of_seeds.unit == "seed"
    assert of_seeds.pairs[0].p == pytest.approx(compared(means).pairs[0].p, rel=1e-9)
    splits = Scores({"a": a[:1], "b": b[:1]}, overlap=0.25)
    pair, d = compared(splits).pairs[0], (a - b)[0].ravel()
    error = d.std(ddof=1) * np.sqrt(1 / 5 + 0.25)
    assert splits.unit == "split" and pair.n == 5
    assert pair.p == pytest.approx(2 * stats.t.sf(abs(d.mean()) / error, 4), rel=1e-9)
    assert (pair.high - pair.low) / 2 == pytest.approx(stats.t.ppf(0.975, 4) * error, rel=1e-9)
    assert pair.p_sign is pair.p_wilcoxon is pair.bootstrap_low is pair.least_p is None
    # Rows with the same split are no further units: seeds are averaged, repeats and folds are units.
    many = Scores({"a": random.normal(size=(3, 4, 5)), "b": random.normal(size=(3, 4, 5))}, overlap=0.25)
    assert compared(many).pairs[0].n == 20
    assert many.units_of("a")[1] == pytest.approx(many.values["a"][:, 0, 1].mean())
    unknown = compared(Scores(many.values, overlap=None))
    assert unknown.pairs[0].p is unknown.pairs[0].low is unknown.arms[0].low is None
    assert unknown.pairs[0].verdict == "undecided" and unknown.pairs[0].difference < 0


def test_splits_that_do_not_overlap_are_independent():
    a, b = np.random.default_rng(4).normal(size=(2, 1, 10, 1))
    pair = compared(Scores({"a": a, "b": b})).pairs[0]
    assert pair.p == pytest.approx(stats.ttest_rel(a.ravel(), b.ravel()).pvalue, rel=1e-9)
    assert pair.p_wilcoxon is not None


def test_letters_say_what_verdicts_say():
    comparison = compared(scores_of(**random_arms(20, step=0.4)))
    letters = {arm.name: set(arm.letters) for arm in comparison.arms}
    assert len(comparison.pairs) == 190 and comparison.arms[0].letters.startswith("a")
    assert {pair.verdict for pair in comparison.pairs} == {"better", "undecided"}
    for a, b in combinations(letters, 2):
        assert (comparison.pair(a, b).verdict == "better") == (not letters[a] & letters[b])


def test_holm_decides_not_the_single_p():
    comparison = compared(scores_of(**random_arms(5, seeds=20)))
    undecided = [p for p in comparison.pairs if p.p <= 0.05 < p.p_holm]
    assert undecided and all(p.verdict == "undecided" and p.more_seeds > 0 for p in undecided)


def test_wrong_scores_and_trees():
    with pytest.raises(ValueError, match="one shape"):
        Scores({"a": np.ones((2, 1, 1)), "b": np.ones((3, 1, 1))})
    with pytest.raises(ValueError, match="one shape"):
        Scores({"a": np.ones(3)})
    with pytest.raises(ValueError, match="without values: b"):
        Scores({"a": np.ones((3, 1, 1))}, present={"b": np.ones((3, 1, 1))})
    with pytest.raises(KeyError, match="no pair"):
        compared(scores_of(a=[1.0], b=[2.0])).pair("a", "c")


def test_trees_that_were_not_written_by_it():
    tree = compared(scores_of(**random_arms())).to_json()
    tree = json.loads(json.dumps(tree | {"of a later version": 1}))
    assert Comparison.from_json(tree) == compared(scores_of(**random_arms()))
    for path, value, message in [
        (["arms"], {}, "'arms' is not a list"),
        (["pairs", 0], 3, "Pair: 3 is not an object"),
        (["pairs", 0, "n"], 2.5, "Pair: 'n' is 2.5, not int"),
        (["pairs", 0, "n"], True, "Pair: 'n' is True, not int"),
        (["pairs", 0, "p"], "0.1", "'p' is '0.1', not float . None"),
        (["pairs", 0, "p"], math.nan, "'p' is nan"),
        (["arms", 1, "name"], ["a"] * 99, r"'name' is \['a', .*\.\.\., not str"),
        (["unit"], None, "Comparison: 'unit' is None, not str"),
    ]:
        wrong = json.loads(json.dumps(tree))
        place = wrong
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        with pytest.raises(ValueError, match=message):
            Comparison.from_json(wrong)
    del tree["pairs"][0]["effect"]
    with pytest.raises(ValueError, match="Pair: 'effect' is missing"):
        Comparison.from_json(tree)
    with pytest.raises(ValueError, match="'arms' is not a list"):
        Comparison.from_json([])


def test_numbers_near_the_largest_there_is():
    random = np.random.default_rng(5)
    largest = np.finfo(float).max
    comparison = compared(
        scores_of(a=largest * random.uniform(0.9, 1, 8), b=-largest * random.uniform(0.9, 1, 8))
    )
    assert comparison.pairs[0].verdict == "better" and comparison.pairs[0].a == "b"
    both_signs = largest * np.where(np.arange(8) % 2, 0.8, -0.79)
    extreme = compared(scores_of(a=both_signs, b=both_signs[::-1], c=both_signs / 2))
    assert all(pair.effect is None or math.isfinite(pair.effect) for pair in extreme.pairs)
    tiny = compared(scores_of(a=np.full(8, 1e300), b=1e-300 * random.normal(size=8)))
    assert tiny.pairs[0].a == "b" and tiny.pairs[0].effect is None


@pytest.mark.parametrize("units, arms", [(4, 2), (6, 2), (6, 3), (7, 3), (3, 5)])
def test_more_seeds_where_all_signs_are_the_same_decide(units, arms):
    """Each arm ahead of the next in every unit, by ranks: so many more units of the same are the fewest."""

    def verdicts(count):
        steps = {name: np.arange(count) + 100.0 * n for n, name in enumerate("abcdefg"[:arms])}
        values = {name: each[:, None, None] for name, each in steps.items()}
        return compare_arms(Scores(values, by_ranks=True)).pairs

    more = {pair.more_seeds for pair in verdicts(units)} - {0}
    first = min(more) if more else 0
    assert {pair.verdict for pair in verdicts(units + max(more, default=0))} == {"better"}
    assert not more or "better" not in {pair.verdict for pair in verdicts(units + max(more) - 1)}
    assert (units + first >= 6) and (len(more) > 0) == (2 ** (1 - units) * arms * (arms - 1) / 2 > 0.05)


def test_no_seeds_at_all():
    comparison = compared(Scores({"a": np.ones((0, 1, 1)), "b": np.ones((0, 1, 1))}))
    assert comparison.arms[0].mean is None and comparison.pairs[0].verdict == "undecided"
