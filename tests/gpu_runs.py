"""Helpers for the GPU tests: train experiments on the GPU and the CPU, and compare the results."""

from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
import torch
from networks import Points

from nnlab import Experiment, Regularizer
from nnlab.checks.subject import Budget
from nnlab.models import MLP
from nnlab.testing import fake_gpu
from nnlab.testing.rows import draws_of_the_cpu
from nnlab.training.fit import Fit
from nnlab.training.step import Step

REAL = torch.cuda.device_count() > 0  # of which `--gpu` leaves one in sight
CLASSES, NUMBERS = Points(), Points(classes=0)
BASE = Experiment(
    data=CLASSES, model=MLP(hidden=(9,), activation="tanh"), regularizer=Regularizer(), batch_size=16,
    epochs=3,
)  # fmt: skip


SHORT = replace(BASE, epochs=2)
SMALL = Budget(
    seeds=2, parameters=500, sample=20, examples=10, steps=50, rates=8, rate_seeds=2, rate_steps=20
)


def rows_of(group, parts) -> list[Experiment]:
    return [replace(BASE, seed=k, **{group: part}) for k, part in enumerate(parts)]


@contextmanager
def gpu():
    """A real GPU if there is one, else a fake one.

    There every step is made as if it were recorded as a CUDA graph: the host may read nothing of it, and
    nothing may come from the host.
    """
    if REAL:
        yield
        return
    call = Step.__call__
    with fake_gpu() as fake:

        def recorded(step, *inputs, **how):
            with fake.recording(step.grad.is_cuda):
                call(step, *inputs, **how)

        with mock.patch.object(Step, "__call__", recorded):
            yield fake


def on_gpu(experiments, **options):
    with gpu():
        return curves(experiments, "cuda", **options)


def curves(experiments, device, **options):
    """The results, and each row's numbers epoch by epoch. In float64 beside a real GPU, whose rounding is its
    own."""
    exact = {"dtype": "float64"} if REAL else {}
    fit, epochs_of_row = Fit([replace(e, device=device, **exact) for e in experiments], **options), {}
    for record in fit:
        for i, row in enumerate(record.rows):
            metrics = [record.metrics[m][i] for m in sorted(record.metrics)]
            histograms = record.histograms.values()
            ends = [end for h in histograms for end in (*h.edges[i, [0, -1]], h.counts[i].sum())]
            epochs_of_row.setdefault(int(row), []).append([*metrics, *ends])
    return fit.results, epochs_of_row


TOLERANCE = dict(rtol=2e-3, atol=1e-4) if REAL else dict(rtol=1e-4, atol=1e-6)


def assert_same_numbers(there, on_cpu):
    """But for rounding: a real GPU's; and on a CPU a few products of one row are made in another way."""
    (results, seen), (expected, curve) = there, on_cpu
    assert [(r.row, r.status, r.best_epoch) for r in results] == [
        (r.row, r.status, r.best_epoch) for r in expected
    ]
    assert seen.keys() == curve.keys()
    for row in curve:
        for actual_epoch, expected_epoch in zip(seen[row], curve[row], strict=True):
            np.testing.assert_allclose(actual_epoch, expected_epoch, **TOLERANCE)
    for actual_epoch, expected_epoch in zip(results, expected, strict=True):
        assert (
            actual_epoch.weights.keys() == expected_epoch.weights.keys()
            and actual_epoch.test.keys() == expected_epoch.test.keys()
        )
        for name, weights in expected_epoch.weights.items():
            np.testing.assert_allclose(actual_epoch.weights[name], weights, err_msg=name, **TOLERANCE)
        for name in ("loss", "accuracy", "rmse") & expected_epoch.test.keys():
            np.testing.assert_allclose(
                actual_epoch.test[name], expected_epoch.test[name], err_msg=name, **TOLERANCE
            )


@pytest.fixture
def same_draws():
    """A GPU draws numbers of its own; here it is given those of the CPU."""
    with draws_of_the_cpu():
        yield
