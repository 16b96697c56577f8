"""Gradient clipping against torch.nn.utils, also for rows without a limit; and NAdam's product."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from networks import one_thread  # noqa: F401
from optimizer_cases import CASES
from torch.utils._python_dispatch import TorchDispatchMode

import nnlab
from nnlab import SGD, Experiment, NAdam
from nnlab.hyperparameters import stack
from nnlab.optimizers import OPTIMIZERS

INF, NAN = math.inf, math.nan


def clipped(g, *limits, dtype=torch.float64):
    """The gradient g (K, P) of rows with these (clip_norm, clip_value)."""
    optimizer = stack([SGD(clip_norm=norm, clip_value=value) for norm, value in limits])
    f = {name: c if c is None else c.to(dtype) for name, c in optimizer.limits().items()}
    g = g.to(dtype, copy=True)
    optimizer.clip(g, SimpleNamespace(**f))
    return g


def gradients(rows=5, columns=40):
    return 3 * torch.randn(rows, columns, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_by_norm_equals_torch():
    norms = (0.1, 1.0, 15.0, 1e3, 1e-6)
    actual = clipped(gradients(), *[(norm, INF) for norm in norms])
    for row, expected, norm in zip(actual, gradients(), norms, strict=True):
        leaf = torch.zeros(40, requires_grad=True)
        leaf.grad = expected.float()
        torch.nn.utils.clip_grad_norm_([leaf], norm)
        torch.testing.assert_close(row.float(), leaf.grad, rtol=2e-6, atol=0)  # torch adds 1e-6 to the norm
        assert torch.linalg.vector_norm(row) <= norm * (1 + 1e-15) or norm > 15


def test_by_value_equals_torch():
    values = (0.1, 1.0, 15.0, 1e3, 1e-6)
    actual = clipped(gradients(), *[(INF, value) for value in values])
    for row, expected, value in zip(actual, gradients(), values, strict=True):
        leaf = torch.zeros(40, dtype=torch.float64, requires_grad=True)
        leaf.grad = expected
        torch.nn.utils.clip_grad_value_([leaf], value)
        assert torch.equal(row, leaf.grad)


def test_by_value_comes_first():
    g = torch.tensor([[30.0, 4.0, 0.0]])
    torch.testing.assert_close(clipped(g, (2.5, 3.0)), torch.tensor([[3.0, 3, 0]]).double() * 2.5 / 18**0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_rows_without_a_limit_keep_their_bits(dtype):
    g = gradients(6).to(dtype)
    g[1, 3], g[2, 4], g[3] = NAN, INF, 0
    g[4] *= torch.finfo(dtype).max ** 0.75  # its norm is infinite
    limits = [(INF, INF)] * 5 + [(1.0, 0.5)]
    assert torch.equal(clipped(g, *limits, dtype=dtype)[:5].nan_to_num(7), g[:5].nan_to_num(7))
    assert not torch.equal(clipped(g, *limits, dtype=dtype)[5], g[5])


def test_a_gradient_of_zero_stays_zero():
    assert not clipped(torch.zeros(2, 5), (1.0, INF), (1.0, 1.0)).any()


def test_no_call_when_no_row_clips():
    for case in CASES.values():
        assert set(stack(case.rows).limits().values()) == {None}
    limits = stack([SGD(), SGD(clip_norm=1.0)]).limits()
    assert limits["clip_value"] is None and limits["clip_norm"] is not None


def test_the_norm_that_is_recorded_is_of_the_objective():
    base = Experiment(data=nnlab.Digits(), epochs=1, batch_size="full", model=nnlab.MLP(hidden=(5,)))
    run = nnlab.fit(base, replace(base, optimizer=replace(base.optimizer, clip_norm=1e-3, clip_value=1e-3)))
    (record,) = list(run)
    assert record.grad_norm[0] == record.grad_norm[1] > 0.01


@pytest.mark.parametrize("name, value", [("clip_norm", 0), ("clip_value", -1), ("clip_norm", -INF)])
def test_limits_are_above_zero(name, value):
    with pytest.raises(nnlab.UserError, match=f"optimizer.{name} = .*above 0 .inf for none."):
        SGD(**{name: value})


# ---- of some optimisers


def test_weight_decay_reaches_weights_only():
    base = Experiment(data=nnlab.Digits(), epochs=1, batch_size="full", init=nnlab.Auto(bias=0.5),
                      model=nnlab.MLP(hidden=(5,)), regularizer=nnlab.Regularizer())  # fmt: skip
    for kind in (kind for name, kind in OPTIMIZERS.items() if CASES[name].decays):
        run = nnlab.fit(
            *[replace(base, optimizer=kind(lr=0.01, weight_decay=decay)) for decay in (0.0, 10.0)]
        )
        list(run)
        without, having = (result.weights for result in run.results)
        for name in without:
            if name.endswith("bias"):
                np.testing.assert_array_equal(without[name], having[name])
            else:
                assert abs(having[name]).sum() < 0.95 * abs(without[name]).sum()


def test_product_of_nadams_momenta():
    rows = [NAdam(beta1=0.9), NAdam(beta1=0.999, momentum_decay=0.1), NAdam(beta1=0.0), NAdam(beta1=0.5)]
    t = torch.arange(1, 1001, dtype=torch.float64).expand(4, -1)
    together = stack(rows).product(t)
    for k, o in enumerate(rows):
        mu = [o.beta1 * (1 - 0.5 * 0.96 ** (i * o.momentum_decay)) for i in range(1, 1001)]
        np.testing.assert_allclose(together[k], np.cumprod(mu), rtol=1e-12, atol=1e-18)
        for first in (0, 64, 960):
            part = t[k : k + 1, first : first + 64]
            assert torch.equal(1 - together[k, None, first : first + 64], 1 - stack([o]).product(part))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_calls_of_a_step(name):
    optimizer = stack(CASES[name].rows)
    theta, g, scratch = torch.ones(3, 4, 6, dtype=torch.float64)
    slots = SimpleNamespace(**{slot: torch.zeros_like(theta) for slot in optimizer.slots})
    columns = optimizer.factors(optimizer.lr, torch.ones(4, 1, dtype=torch.float64)) | optimizer.limits()
    f, calls = SimpleNamespace(**columns), []

    class Count(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            calls.append(function.overloadpacket.__name__)
            assert "out" in (kwargs or {}) or calls[-1].endswith("_"), f"{function} allocates"
            return function(*args, **kwargs or {})

    with Count():
        optimizer.clip(g, f)
        optimizer.decay(theta, f)
        optimizer.update(theta, g, slots, f, scratch)
    assert len(calls) == CASES[name].calls, calls
