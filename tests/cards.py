"""What the tests of the GPU share: experiments trained on it, and the same ones on the CPU."""

from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

import numpy as np
import torch
from networks import Points

from nnlab import Experiment, Regularizer
from nnlab.models import MLP
from nnlab.testing import pretended_card
from nnlab.training.fitting import Fit
from nnlab.training.step import Step

REAL = torch.cuda.device_count() > 0  # of which `--gpu` leaves one in sight
CLASSES, NUMBERS = Points(), Points(classes=0)
BASE = Experiment(
    data=CLASSES, model=MLP(hidden=(9,), activation="tanh"), regularizer=Regularizer(), batch_size=16,
    epochs=3,
)  # fmt: skip


def rows_of(group, parts) -> list[Experiment]:
    return [replace(BASE, seed=k, **{group: part}) for k, part in enumerate(parts)]


@contextmanager
def gpu():
    """A real one if there is one, else a pretended one.

    There every step is made as if it were recorded as a CUDA graph: the host may read nothing of it, and
    nothing may come from the host.
    """
    if REAL:
        yield
        return
    call = Step.__call__
    with pretended_card() as card:

        def recorded(step, *inputs, **how):
            with card.recording(step.grad.is_cuda):
                call(step, *inputs, **how)

        with mock.patch.object(Step, "__call__", recorded):
            yield


def on_gpu(experiments, **options):
    with gpu():
        return curves(experiments, "cuda", **options)


def curves(experiments, device, **options):
    """In float64 beside a real GPU, whose rounding is its own."""
    exact = {"dtype": "float64"} if REAL else {}
    fit, seen = Fit([replace(e, device=device, **exact) for e in experiments], **options), {}
    for record in fit:
        for i, row in enumerate(record.rows):
            seen.setdefault(int(row), []).append([record.metrics[m][i] for m in sorted(record.metrics)])
    return fit.results, seen


def assert_same_numbers(there, here):
    """But for rounding: of a real GPU in float32."""
    (results, seen), (expected, curve) = there, here
    assert [(r.status, r.row) for r in results] == [(r.status, r.row) for r in expected]
    for row in curve:
        np.testing.assert_allclose(seen[row], curve[row], rtol=2e-3, atol=1e-5)
    for mine, other in zip(results, expected, strict=True):
        assert mine.weights.keys() == other.weights.keys() and mine.test.keys() == other.test.keys()
        for name, weights in other.weights.items():
            np.testing.assert_allclose(mine.weights[name], weights, rtol=2e-3, atol=1e-4, err_msg=name)
