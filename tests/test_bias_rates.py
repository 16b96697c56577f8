"""The rate of biases, with every optimiser; test_engine.py compares it with parameter groups of torch."""

from collections import Counter
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from networks import Points, one_thread  # noqa: F401
from torch.utils._python_dispatch import TorchDispatchMode

import nnlab
from nnlab import MLP, Adam, Experiment, Linear, Momentum, Nesterov, Optimizer, Regularizer
from nnlab.optimizers import OPTIMIZERS
from nnlab.runtime.threads import computing
from nnlab.training.training import Training

X = np.random.default_rng(0).standard_normal((40, 3))
# Far from its targets: the gradient of the absolute error stays the same, whatever the parameters do.
CONSTANT_GRADIENT = Experiment(
    data=nnlab.Arrays(X, 1e4 + X[:, :2], target_normalization="none"), loss="absolute_error", model=Linear(),
    regularizer=Regularizer(), batch_size=10, epochs=3, metric="last", threads=1,
)  # fmt: skip
RISING = [Momentum(ramp="linear", ramp_updates=3), Nesterov(ramp="sutskever", ramp_updates=3)]
EVERY = {name: kind() for name, kind in OPTIMIZERS.items()} | {f"{o.name}-{o.ramp}": o for o in RISING}


@pytest.mark.parametrize("optimizer", EVERY.values(), ids=EVERY)
def test_biases_learn_as_at_a_rate_of_their_own_and_weights_as_without(optimizer):
    """Bit for bit, in one stack: the factor is of the rate, and of nothing else."""
    rates = [(0.01, 1.0), (0.01, 2.0), (0.02, 1.0), (0.01, 0.0)]
    of_rows = [replace(optimizer, lr=lr, bias_lr_factor=factor) for lr, factor in rates]
    run = nnlab.fit(*(replace(CONSTANT_GRADIENT, optimizer=o) for o in of_rows)).run()
    once, scaled, twice, frozen = (result.weights for result in run.results)
    np.testing.assert_array_equal(scaled["output.weight"], once["output.weight"])
    np.testing.assert_array_equal(scaled["output.bias"], twice["output.bias"])
    assert not frozen["output.bias"].any() and (once["output.bias"] != twice["output.bias"]).all()


def calls_of_an_epoch(optimizer) -> Counter:
    run = nnlab.fit(Experiment(data=Points(), model=MLP(hidden=(5,)), optimizer=optimizer, threads=1))
    (rows,) = run.stacks()
    training, calls = Training(rows, run.cache.examples(rows[0]), 1).begin(), Counter()

    class Count(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            calls[function.overloadpacket.__name__] += 1
            return function(*args, **kwargs or {})

    with computing(), Count():
        training.train_epoch(1)
    return calls


def test_a_factor_of_one_costs_no_call():
    """Another costs the update again, of the biases."""
    without, having = calls_of_an_epoch(Adam()), calls_of_an_epoch(Adam(bias_lr_factor=2.0))
    assert calls_of_an_epoch(Adam(bias_lr_factor=1.0)) == without
    assert having["lerp_"] == 2 * without["lerp_"] > 0


class Together(Optimizer):
    """theta <- theta - lr g / |g|."""

    name: ClassVar[str] = "together"

    def factors(self, lr, t):
        return {"minus_lr": -lr}

    def update(self, theta, g, slots, columns, scratch):
        theta.addcmul_(g / torch.linalg.vector_norm(g, dim=1, keepdim=True), columns.minus_lr)


def test_an_optimiser_that_looks_at_all_parameters_refuses_it():
    assert Together(bias_lr_factor=1.0) == Together()
    with pytest.raises(nnlab.UserError, match="makes its steps of all parameters together") as error:
        Together(bias_lr_factor=2.0)
    assert "optimizer.bias_lr_factor = 2: optimizer 'together'" in str(error.value)
