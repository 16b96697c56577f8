"""A bounded part of scripts/compare_simulations.py: intervals hold, and few winners are false."""

import importlib.util
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "compare_simulations.py"


@pytest.fixture(scope="module")
def simulations():
    spec = importlib.util.spec_from_file_location("compare_simulations", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_share(hits: np.ndarray, low: float, high: float):
    """The share is within the bounds, or three standard errors beyond."""
    error = 3 * np.sqrt(np.array([low * (1 - low), high * (1 - high)]) / len(hits))
    assert low - error[0] <= np.mean(hits) <= high + error[1]


@pytest.mark.parametrize(
    ("kind", "low"), [("normal", 0.95), ("heavy-tailed", 0.95), ("discrete", 0.94), ("skewed", 0.92)]
)
def test_intervals_hold_the_difference(simulations, kind, low):
    student, bca = simulations.coverage(100, kind, seeds=10, shared=True)
    assert_share(student, low, 0.97)
    assert_share(bca, 0.9, 0.97)


@pytest.mark.parametrize(("arms", "diverge"), [(2, 0.3), (5, 0)])
def test_few_false_winners(simulations, arms, diverge):
    """By each p alone, five arms have one far more often."""
    holm, single = simulations.false_winners(100, "normal", 10, arms, shared=True, diverge=diverge)
    assert_share(holm, 0.02, 0.05)
    assert arms == 2 or single.mean() > 0.15


def test_adding_seeds_until_a_difference_is_shown_finds_too_many(simulations, monkeypatch):
    """As docs/reliability.md and a note of nnlab compare say."""
    monkeypatch.setattr(simulations.resampling, "RESAMPLE_COUNT", 10)
    first, second, third = simulations.winners_by_looks(150, "normal", arms=5, looks=3).T
    assert_share(first, 0.02, 0.05)
    assert (first <= second).all() and (second <= third).all() and third.mean() > first.mean() + 0.02


def test_as_many_seeds_as_it_says_decide(simulations):
    shown, seeds = simulations.power(150, "normal", effect=1.0, arms=3)
    assert_share(shown, 0.8, 0.86)
    assert len({*seeds}) == 1 and 10 < seeds[0] < 20


def test_overlapping_splits_need_the_correction(simulations):
    corrected, student, _, false_winners = simulations.overlapping_splits(400, "10 holdouts")
    assert_share(corrected, 0.95, 0.95)
    assert_share(false_winners, 0.05, 0.05)
    assert student.mean() < 0.8


def test_winners_are_those_of_the_comparison(simulations):
    random = np.random.default_rng(0)
    for diverge in (0, 0.3):
        values = simulations.draw(random, "normal", 12, np.array([0, 0, 0.5, 1, 1.5]), shared=True)
        values[random.random(values.shape) < diverge] = np.nan
        adjusted = simulations.holm_adjusted(simulations.deciding_p(values))
        comparison = simulations.compared(values)
        shown = [comparison.pair(*pair).verdict != "undecided" for pair in combinations("01234", 2)]
        assert shown == [p is not None and p <= 0.05 for p in adjusted] and 0 < sum(shown) < 10
