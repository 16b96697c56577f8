"""Comparisons for tests: of random values, or with a pair as it is said to be."""

from dataclasses import replace
from functools import cache

import numpy as np

from nnlab.statistics.comparison import Arm, Comparison, Pair, compare_arms
from nnlab.statistics.scores import Scores


def a_pair(a="adam", b="sgd", **numbers) -> Pair:
    """A pair of ten seeds by 1.2 points of error, with other numbers where they are given."""
    usual = {
        "units": 10, "n": 10, "difference": -0.012, "low": -0.018, "high": -0.006, "bootstrap_low": None,
        "bootstrap_high": None, "p": 0.004, "p_holm": 0.004, "p_sign": None, "p_wilcoxon": None,
        "p_diverged": None, "least_p": 0.002, "superiority": None, "effect": None, "constant": False,
        "diverged_a": 0, "diverged_b": 0, "more_seeds": 0, "decided_by": "student", "verdict": "better",
    }  # fmt: skip
    return Pair(a, b, **usual | numbers)


def compared(*pairs: Pair, larger_is_better=False, unit="seed") -> Comparison:
    """The comparison that has these pairs, of arms whose own numbers do not matter."""
    names = dict.fromkeys(name for pair in pairs for name in (pair.a, pair.b))
    arms = (Arm(name, 0.02 + n / 100, 0.01, 0.05, 0.01, 10, 0, "a") for n, name in enumerate(names))
    return Comparison(tuple(arms), pairs, larger_is_better, unit)


def random_values(names, seeds=10, repeats=1, folds=1, step=0.004, noise=0.004, seed=0, diverged=0.0):
    """Arm -> errors (seeds, repeats, folds), each a step worse than the one before, with common noise."""
    rng = np.random.default_rng(seed)
    shape = seeds, repeats, folds
    common = rng.normal(0, noise, shape)
    values = {name: 0.03 + step * n + common + rng.normal(0, noise, shape) for n, name in enumerate(names)}
    return {name: np.where(rng.random(shape) < diverged, np.nan, each) for name, each in values.items()}


@cache
def _random_comparison(count, larger_is_better, overlap, options) -> Comparison:
    names = [str(n) for n in range(count)]
    return compare_arms(Scores(random_values(names, **dict(options)), larger_is_better, overlap))


def random_comparison(names, larger_is_better=False, overlap=0.0, **options) -> Comparison:
    """Of arms with these names; one of as many arms and the same options is not computed again."""
    made = _random_comparison(len(names), larger_is_better, overlap, tuple(sorted(options.items())))
    pairs = (replace(pair, a=names[int(pair.a)], b=names[int(pair.b)]) for pair in made.pairs)
    arms = (replace(arm, name=names[int(arm.name)]) for arm in made.arms)
    return replace(made, arms=tuple(arms), pairs=tuple(pairs))
