"""`nnlab check` of networks of images: a budget in multiply-adds, directions, channels, planted faults."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from check_mutants import patched, times
from networks import one_thread  # noqa: F401

import nnlab
from nnlab.autodiff.central_differences import BEST_STEP
from nnlab.autodiff.convolution import Convolution
from nnlab.autodiff.directional_differences import compare_directions
from nnlab.autodiff.pooling import MaxPool
from nnlab.checks import gradients, saturation, subset
from nnlab.checks.rates import affordable_batch_size, budgeted_counts
from nnlab.checks.subject import Budget, Subject
from nnlab.models import CNN

JOB = nnlab.Experiment(data=nnlab.Digits(), model=CNN(blocks=(4, "pool", 6, "pool"), hidden=(8,)))


def checked(rung, job=JOB, **budget):
    return rung.check(Subject(job, Budget(**budget)))


def test_a_sound_network_passes_and_ties_are_kinks():
    """After relu whole windows are 0: of their gradients all are right."""
    verdict = checked(gradients, sample=30)
    assert verdict.status == "pass", verdict.worst.found
    assert verdict.details["boxes"]["pool1: dx"]["kinks"] > 0
    assert verdict.details["boxes"]["pool1: dx"]["autograd"] < 1e-12


def test_a_large_network_is_sampled_and_compared_along_directions():
    verdict = checked(gradients, parameters=100, sample=20)
    assert verdict.status == "pass", verdict.worst.found
    assert " and 3 random directions of each within " in verdict.worst.found
    assert verdict.details["parameters"]["conv2.weight"]["directions"] == 3


def test_the_budget_of_differences_is_in_multiply_adds():
    few = checked(gradients, parameters=100, work=1e6).details["parameters"]["conv2.weight"]
    assert few["compared"] == 10 and few["directions"] == 3


@pytest.mark.parametrize("box, factor, input, named", [
    (Convolution, 0.99, 1, "conv"), (Convolution, -1, 0, "conv2: dx"), (MaxPool, 2, 0, "pool"),
])  # fmt: skip
def test_a_planted_fault_is_named(box, factor, input, named):
    with patched(box, "bprop", times(factor, input)):
        verdict = checked(gradients, parameters=100, sample=10)
    assert verdict.status == "fail" and verdict.worst.found.startswith(named), verdict.worst.found
    assert "is wrong" in verdict.worst.found


def test_an_error_in_few_elements_shows_along_directions():
    """Which no sample of 10 of 10,000 elements would find, and references need not be there."""
    x = torch.linspace(-1, 1, 10_000, dtype=torch.float64)
    a = torch.cos(torch.arange(10_000, dtype=torch.float64))

    def value():
        return float((a * x.square()).sum())

    right = (2 * a * x).numpy()
    wrong = right.copy()
    wrong[17] += 0.05
    before = x.clone()
    center = value()
    for gradient, largest in ((right, 1e-8), (wrong, np.inf)):
        error = compare_directions("x", gradient, x, value, center, 1.0).error
        assert error < largest and (error > 1e-5) == (gradient is wrong)
    assert torch.equal(x, before)


def test_kinks_that_all_directions_cross_are_no_errors():
    """Of 20,000 relus some are always nearer to 0 than a step."""
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, 20_000) * 20 * BEST_STEP)
    x[10_000:] = torch.from_numpy(np.random.default_rng(1).uniform(-1, 1, 10_000))

    def value():
        return float(x.clamp_min(0).square().sum() + x[10_000:].clamp_min(0).sum())

    gradient = 2 * x.clamp_min(0)
    gradient[10_000:] += (x[10_000:] > 0).double()
    comparison = compare_directions("x", gradient.numpy(), x, value, value(), value())
    assert comparison.error <= 1e-5


def test_a_channel_is_one_unit():
    """A place of a feature map that is 0 for all examples is not a dead unit: the channel lives elsewhere."""
    verdict = checked(saturation, seeds=2)
    assert verdict.details["start"]["activations"]["conv1_relu"]["stuck"] == 0


def test_work_counts_the_multiply_adds_of_a_convolution():
    subject = Subject(JOB)
    assert subject.graph.work == subject.graph.multiply_adds > subject.graph.parameter_count
    small = Subject(JOB, Budget(work=1e8))
    rates, seeds, steps = budgeted_counts(small)
    assert (rates, seeds, steps) < budgeted_counts(subject)
    assert affordable_batch_size(small, rates * seeds * steps) < 64


def test_a_large_network_has_other_rates_on_the_subset_only_if_its_own_fails():
    """With the verdict that all rates together have."""
    slow = replace(JOB, optimizer=nnlab.Adam(lr=1e-5))
    for job, status in ((JOB, "pass"), (slow, "fail")):
        small, large = (checked(subset, job, steps=400, work=work) for work in (1e6, 1e18))
        assert small.status == large.status == status
        assert small.worst.found == large.worst.found
        assert len(large.details["factors"]) > 5
        assert len(small.details["factors"]) == (1 if status == "pass" else len(large.details["factors"]))
        assert np.array_equal(small.details["loss"][0], large.details["loss"][0], equal_nan=True)
