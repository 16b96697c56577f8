"""The full-length test of the rates rung: rates that work for some hundred steps but not for the job."""

from dataclasses import replace

import numpy as np
import pytest
from check_jobs import job
from networks import one_thread  # noqa: F401

import nnlab
from nnlab import MLP, InverseTimeDecay, Nesterov, Regularizer, Uniform
from nnlab.checks import full_length, rates
from nnlab.checks.full_length import RATE_FACTORS, FullLengthTest
from nnlab.checks.subject import Budget, Subject

SMALL = Budget(rates=32, rate_seeds=2)
SLIDE = nnlab.Experiment(
    model=MLP(hidden=(64, 64), activation="tanh"), init=Uniform(bound=0.05), epochs=20, batch_size=16,
    regularizer=Regularizer(dropout=0.5), optimizer=Nesterov(lr=0.1, gamma=0.9),
    schedule=InverseTimeDecay(decay=1e-6),
)  # fmt: skip


def mean_error(experiment, lr):
    """On the test set, over five seeds that no check looks at."""
    run = nnlab.fit(replace(experiment, seed=50, seeds=5, optimizer=replace(experiment.optimizer, lr=lr)))
    list(run)
    return np.mean([result.test["error"] for result in run.results])


def test_the_slides_rate_is_too_large_for_digits():
    verdict = rates.check(Subject(SLIDE, SMALL))
    assert verdict.status == "warn" and verdict.worst.cause == "lr_high"
    better = verdict.details["suggestion"]
    assert f"optimizer.lr={better:.2g}" in verdict.worst.advice and better < 0.1
    assert mean_error(SLIDE, better) < 0.6 * mean_error(SLIDE, 0.1)


@pytest.mark.parametrize("lr", [0.02, 0.04])
def test_rates_that_are_fine_in_the_end_pass(lr):
    fine = replace(SLIDE, optimizer=replace(SLIDE.optimizer, lr=lr))
    verdict = rates.check(Subject(fine, SMALL))
    assert verdict.status == "pass" and verdict.details["longer"]["steps"] == 20 * 68


def test_a_rate_far_below_the_best_needs_no_longer_look():
    verdict = rates.check(Subject(job("digits", optimizer=nnlab.Adam(lr=1e-3)), SMALL))
    assert verdict.status == "pass" and verdict.details["longer"] is None


def test_a_small_budget_looks_no_longer():
    assert full_length.run(Subject(SLIDE, Budget(work=1e6))) is None


def shares(job_rate, lower, own_loss=1.0, lower_loss=0.2, classes=True, examples=300):
    """Errors of the job's rate and of the best lower one, by seed; the other lower ones know nothing."""
    error = np.full((len(RATE_FACTORS), len(job_rate)), 0.9)
    error[0], error[2] = job_rate, lower
    loss = np.full(error.shape, lower_loss)
    loss[0] = own_loss
    return FullLengthTest(0.1 * np.array(RATE_FACTORS), loss, error, 1000, examples, classes)


def test_what_is_far():
    high, low = [0.11, 0.1, 0.12, 0.11], [0.04, 0.05, 0.04, 0.04]
    ratios = shares(high, low)
    assert ratios.clearly_better and ratios.chosen_rate == 2
    assert ratios.judged_errors == pytest.approx((0.115, 0.04))  # the last two seeds judge
    assert "11.5% wrong at 0.1 and 4.0% wrong at 0.016" in full_length.warn(ratios, "0.1").found
    assert shares([np.inf, np.inf, 0.5, np.inf], low).clearly_better  # it diverged
    assert not shares(low, high).clearly_better
    assert not shares(high, [0.04, 0.04, 0.04, 0.12]).clearly_better  # not on every seed
    assert not shares(high, low, own_loss=0.25).clearly_better  # not in the loss
    assert not shares(high, [0.09, 0.09, 0.09, 0.09]).clearly_better  # not by much
    assert not shares([0.04] * 4, [0.02] * 4, examples=100).clearly_better  # two examples of a hundred
    assert shares([60.0] * 4, [30.0] * 4, classes=False).clearly_better
    assert "an RMSE of 60" in full_length.warn(shares([60.0] * 4, [30.0] * 4, classes=False), "0.1").found
