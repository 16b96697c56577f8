"""Exact tests, Holm, letters, power and the bootstrap: against enumeration, closed forms and scipy."""

from itertools import combinations, permutations, product

import numpy as np
import pytest
from scipy import stats

from nnlab.statistics import rank_tests
from nnlab.statistics.holm import holm_adjusted, holm_levels, letters
from nnlab.statistics.power import more_equal_signs, more_units, power_of_t
from nnlab.statistics.rank_tests import least_p, sign_test, wilcoxon_test
from nnlab.statistics.resampling import LEAST_VALUES, bca_intervals
from nnlab.statistics.student import moments, student_interval, student_p

INF = np.inf
DIFFERENCES = {
    "no ties": [0.3, -1.2, 2.5, 0.1, -0.7, 3.0],
    "ties": [1, 1, -1, 2, -2, 2, 3, 1],
    "zeros": [0, 0, 1, -2, 3, 3],
    "one sign": [1, 2, 3, 4, 5],
    "diverged": [INF, 1, -2, INF, -INF, 3],
    "all diverged": [INF, INF, INF],
    "single": [2],
    "all zero": [0, 0, 0],
    "none": [],
}


def enumerated(differences, statistic) -> float:
    """The share of all signs for which the statistic is at least as far from its middle."""
    d = np.array(differences, float)
    observed = abs(statistic(d))
    signed = [
        abs(statistic(np.where(d == 0, 0, np.abs(d) * signs))) for signs in product([1, -1], repeat=len(d))
    ]
    return float(np.mean(np.array(signed) >= observed - 1e-9))


def signed_ranks(d):
    return float((stats.rankdata(np.abs(d)) * np.sign(d)).sum()) if len(d) else 0.0


@pytest.mark.parametrize("name", DIFFERENCES)
def test_rank_tests_are_enumerations(name):
    d = np.array(DIFFERENCES[name], float)
    with np.errstate(invalid="ignore"):
        assert sign_test(d) == pytest.approx(enumerated(d, lambda x: np.sign(x).sum()), abs=1e-12)
        assert wilcoxon_test(d) == pytest.approx(enumerated(d, signed_ranks), abs=1e-12)
    assert wilcoxon_test(d) >= least_p(len(d)) if len(d) else True
    assert wilcoxon_test(d) == wilcoxon_test(-d) == wilcoxon_test(d[::-1])


def test_rank_tests_are_scipys():
    random = np.random.default_rng(0)
    for n in (1, 2, 7, 25, 50):
        d = random.normal(size=n) + 0.2
        assert wilcoxon_test(d) == pytest.approx(stats.wilcoxon(d, method="exact").pvalue, rel=1e-9)
        coarse = np.round(d)
        above, below = int((coarse > 0).sum()), int((coarse < 0).sum())
        expected = stats.binomtest(above, above + below).pvalue if above + below else 1
        assert sign_test(coarse) == pytest.approx(expected, rel=1e-12)
    coarse = np.round(random.normal(size=11) + 0.5)
    exact = stats.PermutationMethod(n_resamples=np.inf)
    assert 0 in coarse
    assert wilcoxon_test(coarse) == pytest.approx(
        stats.wilcoxon(coarse, zero_method="pratt", method=exact).pvalue, rel=1e-9)  # fmt: skip


# Above the diagonal of scikit-posthocs 0.17.1: posthoc_wilcoxon(ARMS, method="exact", p_adjust="holm")
ARMS = [
    [2.04, -2.56, 0.42, -0.57, -0.45, -0.22, -2.02, -0.23, -0.87, 3.32, 0.23, -0.35],
    [0.22, -0.17, -0.56, 0.11, 0.98, 0.26, 1.46, 0.3, 0.52, 2.05, 1.05, -0.01],
    [0.82, 1.54, 2.94, 0.73, 0.76, 2.0, 0.11, 0.71, 1.88, 1.58, 1.09, 1.67],
    [-1.33, 2.52, 0.54, -0.17, 1.78, 2.2, 1.06, 0.42, 1.53, 1.45, 2.91, 2.25],
]
HOLM_OF_WILCOXON = [0.466796875, 0.1259765625, 0.255859375, 0.21240234375, 0.27685546875, 0.90966796875]


def test_wilcoxon_with_holm_is_scikit_posthocs():
    p = [wilcoxon_test(np.subtract(a, b)) for a, b in combinations(ARMS, 2)]
    assert holm_adjusted(p) == pytest.approx(HOLM_OF_WILCOXON, rel=1e-9)


def test_sign_test_of_a_thousand_pairs():
    d = np.where(np.arange(1000) < 560, 1.0, -1.0)
    assert sign_test(d) == pytest.approx(stats.binomtest(560, 1000).pvalue, rel=1e-9)
    assert sign_test(np.ones(1000)) == 2.0**-999 == least_p(1000)


def test_many_pairs_go_by_the_normal_distribution(monkeypatch):
    """It is off by less than 2% of p, where it takes over."""
    random = np.random.default_rng(1)
    for decimals in (9, 0):  # the second has ties and zeros
        d = random.normal(size=300)
        d = np.round(d - d.mean() + 0.14, decimals)
        approximate = wilcoxon_test(d)
        with monkeypatch.context() as exactly:
            exactly.setattr(rank_tests, "MOST_EXACT_PAIRS", 1000)
            assert approximate == pytest.approx(wilcoxon_test(d), rel=0.02) and 1e-3 < approximate < 0.2
    assert 0 < wilcoxon_test(random.normal(size=1000)) <= 1


def test_sizes_that_differ_by_rounding_are_tied():
    """0.3 - 0.2 and 0.2 - 0.1 are not the same number, and rank as the same."""
    d = np.array([0.3 - 0.2, 0.1 - 0.2, 0.2 - 0.1, 0.4 - 0.3, 0.5])
    assert len({*np.abs(d)}) > 2
    assert wilcoxon_test(d, 1e-15) == wilcoxon_test(np.round(d, 9)) != wilcoxon_test(d)


def test_holm():
    """p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm") of R, as of any order."""
    p = np.array([0.01, 0.02, 0.03, 0.04, 0.05])
    expected = [0.05, 0.08, 0.09, 0.09, 0.09]
    for order in permutations(range(5)):
        assert holm_adjusted(p[list(order)].tolist()) == pytest.approx([expected[i] for i in order])
    assert holm_adjusted([]) == [] and holm_adjusted([None]) == [None]
    assert holm_adjusted([0.5, None, 0.9]) == [1, None, 1]
    assert holm_levels([0.04, 0.01, None]) == pytest.approx([0.05 / 2, 0.05 / 3, 0.05 / 3])


def test_holm_rejects_where_each_is_below_its_level():
    random = np.random.default_rng(2)
    for _ in range(200):
        p = (random.random(6) ** 3).tolist()
        levels = np.array(holm_levels(p))
        order = np.argsort(p)
        rejected = np.logical_and.accumulate(np.array(p)[order] <= levels[order])
        assert [holm_adjusted(p)[i] <= 0.05 for i in order] == rejected.tolist()


def test_arms_share_a_letter_unless_they_differ():
    random = np.random.default_rng(3)
    for _ in range(300):
        count = int(random.integers(1, 13))
        upper = np.triu(random.random((count, count)) < random.random(), 1)
        differ = upper | upper.T
        words = letters(differ)
        assert words[0][0] == "a" and all(words)
        for i, j in combinations(range(count), 2):
            assert bool(set(words[i]) & set(words[j])) != differ[i, j]


def test_letters_by_hand():
    """Of a line of five whose neighbours do not differ: ab, bc, ...; none and all differ."""
    apart = np.abs(np.subtract.outer(range(5), range(5)))
    assert letters(apart > 1) == ["a", "ab", "bc", "cd", "d"]
    assert letters(apart > 2) == ["a", "ab", "abc", "bc", "c"]
    assert letters(apart > 9) == ["a"] * 5 and letters(apart > 0) == list("abcde")
    many = letters(~np.eye(60, dtype=bool))
    assert len({*many}) == 60 and all(len(word) == 1 for word in many)


@pytest.mark.parametrize(("n", "level", "overlap"), [(5, 0.05, 0), (12, 0.005, 0), (40, 0.05, 0.1)])
def test_power_is_simulated(n, level, overlap):
    random, effect, count = np.random.default_rng(4), 0.9, 20_000
    # What all share adds `overlap` to the variance of their mean, and nothing to their spread.
    d = effect + random.normal(size=(count, n)) + np.sqrt(overlap) * random.normal(size=(count, 1))
    t = d.mean(1) / (d.std(1, ddof=1) * np.sqrt(1 / n + overlap))
    share = (t > stats.t.ppf(1 - level / 2, n - 1)).mean()
    predicted = float(power_of_t(effect, n, level, overlap))
    assert abs(share - predicted) < 4 * np.sqrt(predicted * (1 - predicted) / count)


def test_how_many_more_is_the_first_that_is_enough():
    for effect, n, level, overlap in product((0.2, 0.7, 5), (2, 10), (0.05, 0.05 / 190), (0.0, 0.01)):
        more = more_units(effect, n, level, overlap)
        if more is None:
            assert overlap and effect == 0.2
            continue
        enough = power_of_t(effect, n + np.arange(more + 1), level, overlap) >= 0.8
        assert more >= 1 and enough[-1] and not enough[1:-1].any()
    assert more_units(0.0, 10, 0.05) is None and more_units(1e-3, 10, 0.05) is None
    assert more_units(1e300, 2, 1e-4) == 1
    # statsmodels.stats.power.TTestPower().solve_power(0.5, alpha=0.05, power=0.8) = 33.37, for one side more
    assert more_units(0.5, 10, 0.05) == 24
    assert [more_equal_signs(n, n, 0.05) for n in (1, 5, 6)] == [5, 1, 1]
    assert [more_equal_signs(k, 10, 0.05) for k in (0, 1, 5, 6)] == [None, 50, 2, 1]
    assert more_equal_signs(1, 5000, 0.05) is None


def test_bca_is_scipys():
    """Of other resamples, so within what resampling leaves open; skewed, so that BCa moves it; scipy is given
    the level that stands for t sqrt(n / (n - 1))."""
    for n in (12, 30):
        values = np.random.default_rng(n).exponential(size=n)
        mine = np.array(bca_intervals([values])[0])
        level = 1 - 2 * stats.norm.sf(stats.t.ppf(0.975, n - 1) * np.sqrt(n / (n - 1)))
        theirs = stats.bootstrap((values,), np.mean, confidence_level=level, n_resamples=40_000, rng=5)
        assert mine == pytest.approx(tuple(theirs.confidence_interval), abs=0.05 * values.std())
        student = np.array(student_interval(*moments(values), n))
        assert (mine > student + 0.06 * values.std()).all()  # the tail is above


def test_bca_of_a_sample_is_its_own():
    """It is the same beside others, twice, and shifts and scales with its values; mirrored too."""
    random = np.random.default_rng(6)
    samples = [random.normal(size=n) ** 2 for n in (10, 10, 7, LEAST_VALUES - 1)]
    together = bca_intervals([*samples, np.ones(10), ()])
    assert together[3:] == [None] * 3
    for sample, interval in zip(samples[:3], together, strict=False):
        assert bca_intervals([sample])[0] == pytest.approx(interval, rel=1e-12)
        assert bca_intervals([5e9 * sample])[0] == pytest.approx([5e9 * x for x in interval], rel=1e-9)
        low, high = bca_intervals([-sample])[0]
        assert (-high, -low) == pytest.approx(interval, abs=0.01 * sample.std())


def test_student_of_any_size():
    for scale in (1e-320, 1e-300, 1.0, 1e300, 1e308):
        mean, std = moments(np.array([0.5, 0.75, 1.0]) * scale)
        assert mean == pytest.approx(0.75 * scale) and std == pytest.approx(0.25 * scale, rel=1e-2)
    assert moments(np.array([7.0])) == (7.0, None)
    assert moments(np.zeros(3)) == (0.0, 0.0)
    assert moments(np.array([0.1 + 0.2, 0.3, 0.3]))[1] == 0
    assert student_p(1.0, 1e-200, 3) < 1e-200
