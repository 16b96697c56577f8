"""The Pareto front of trials is that of its definition, and quick for as many trials as a sweep may have."""

import time

import numpy as np
import pytest

from nnlab.search.trial import COMPLETE, FAILED, Trial, pareto_front, rank_trials


def by_definition(values: np.ndarray) -> list[int]:
    """The numbers of those that none beats in one objective without losing in another; less is better."""
    beaten = [any((w <= v).all() and (w < v).any() for w in values) for v in values]
    return [number for number, is_beaten in enumerate(beaten) if not is_beaten]


def complete(values) -> list[Trial]:
    return [Trial(n, {}, COMPLETE, tuple(map(float, v))) for n, v in enumerate(values)]


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_it_is_that_of_the_definition(objectives):
    numbers = np.random.default_rng(objectives)
    for _ in range(200):
        count, largest = numbers.integers(0, 20), numbers.integers(1, 9)  # few values, so that some are equal
        values = numbers.integers(0, largest, (count, objectives))
        signs = tuple(numbers.choice([-1, 1], objectives).tolist())
        front = pareto_front(complete(values), signs)
        assert [trial.number for trial in front] == by_definition(values * signs)


def test_where_all_trials_failed_there_is_none():
    assert rank_trials([Trial(0, {}, FAILED, reason="diverged")], (1, -1)) == []


def test_of_ten_thousand_trials_it_takes_no_time():
    """Shown with every progress line; once it took half a minute."""
    trials = complete(np.random.default_rng(0).normal(size=(10_000, 2)))
    began = time.process_time()
    assert pareto_front(trials, (1, 1))
    assert time.process_time() - began < 3
