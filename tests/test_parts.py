"""Initialisers by their distributions and penalties by autograd, each a row of a table."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import combinations
from types import SimpleNamespace

import pytest
import scipy.stats
import torch
from networks import assert_near, one_thread  # noqa: F401

from nnlab.experiment import Experiment, Row
from nnlab.fields import stack
from nnlab.initializers import INITIALIZERS, Auto, GlorotUniform, HeNormal, Init
from nnlab.models import perceptron
from nnlab.population import initial
from nnlab.regularizers import Regularizer
from nnlab.streams import stream

# ---- initialisers


def glorot_uniform(fan_in, fan_out):
    a = (6 / (fan_in + fan_out)) ** 0.5
    return scipy.stats.uniform(-a, 2 * a)


def he_normal(fan_in, fan_out):
    return scipy.stats.norm(0, (2 / fan_in) ** 0.5)


@dataclass
class Drawn:
    """An initialiser before `activation` draws from the distribution of (fan_in, fan_out)."""

    init: Init
    activation: str
    distribution: Callable


INITS = {
    "glorot_uniform": Drawn(GlorotUniform(), "tanh", glorot_uniform),
    "glorot_uniform-relu": Drawn(GlorotUniform(), "relu", glorot_uniform),
    "he_normal": Drawn(HeNormal(), "relu", he_normal),
    "he_normal-tanh": Drawn(HeNormal(), "tanh", he_normal),
    "auto-relu": Drawn(Auto(), "relu", he_normal),
    "auto-tanh": Drawn(Auto(), "tanh", glorot_uniform),
    "auto-sigmoid": Drawn(Auto(), "sigmoid", glorot_uniform),
    "auto-output": Drawn(Auto(), "identity", glorot_uniform),
}
every_init = pytest.mark.parametrize("case", INITS.values(), ids=INITS)


def parameters(*rows, activation="tanh"):
    """Initial parameters by name, (K, *shape), of rows (init, seed): two hidden layers of equal shape."""
    graph = perceptron(40, (40, 40), 3, activation)
    theta = initial([Row(Experiment(init=init), seed, None) for init, seed in rows], graph)
    slots, _, _ = graph.layout()
    return {name: slot.view(theta) for name, slot in slots.items()}


def test_every_initializer_is_in_the_table():
    assert {type(case.init) for case in INITS.values()} == set(INITIALIZERS.values())


@pytest.mark.parametrize("fan_in, fan_out", [(300, 100), (100, 300), (1, 20000)])
@every_init
def test_weights_follow_their_distribution(case, fan_in, fan_out):
    weights = case.init.draw(stream(0, "test"), (fan_out, fan_in), fan_in, fan_out, case.activation)
    assert weights.shape == (fan_out, fan_in)
    d, n = case.distribution(fan_in, fan_out), weights.size
    assert scipy.stats.kstest(weights.ravel(), d.cdf).pvalue > 1e-3
    assert abs(weights.mean() - d.mean()) < 4 * d.std() / n**0.5
    assert weights.var() == pytest.approx(d.var(), rel=6 * ((d.stats("k") + 2) / n) ** 0.5)
    low, high = d.support()
    assert low <= weights.min() and weights.max() <= high


@every_init
def test_initial_weights_depend_on_seed_and_name_alone(case):
    p = parameters((case.init, 0), (case.init, 1), (case.init, 0), activation=case.activation)
    for name in ("hidden1.weight", "hidden2.weight", "output.weight"):
        assert torch.equal(p[name][0], p[name][2])
        assert not torch.isclose(p[name][0], p[name][1]).any()
    assert not torch.isclose(p["hidden1.weight"], p["hidden2.weight"]).any()
    alone = parameters((case.init, 1), activation=case.activation)
    assert all(torch.equal(alone[name][0], p[name][1]) for name in p)


@every_init
def test_biases_are_constant(case):
    kind = type(case.init)
    p = parameters((kind(), 0), (kind(bias=0.25), 0), (kind(bias=-1.0), 0))
    for k, bias in enumerate([0, 0.25, -1.0]):
        assert all((p[name][k] == bias).all() for name in p if name.endswith("bias"))
    assert torch.equal(p["output.weight"][0], p["output.weight"][1])


# ---- regularisers

PENALTIES = {"l2": lambda c, w: c / 2 * (w**2).sum()}  # Omega of one row: (coefficient, weights)


def test_every_penalty_is_in_the_table():
    assert {f.name for f in fields(Regularizer)} == {*PENALTIES, "dropout"}


@pytest.mark.parametrize("keys", [c for n in (0, 1, 2) for c in combinations(PENALTIES, n)], ids=str)
def test_penalty_and_gradient_equal_autograd_and_spare_biases(keys):
    graph, rows = perceptron(5, (7,), 3), 3
    slots, end, size = graph.layout()
    theta, grad = torch.randn(2, rows, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    before, kept = grad.clone(), theta.clone()
    coefficients = [{key: 0.1 * k for key in keys} for k in range(rows)]
    regularizer = stack([Regularizer(**c) for c in coefficients])
    regularizer.add_gradient(theta[:, :end], grad[:, :end], SimpleNamespace(**regularizer.factors()))

    leaf = theta.clone().requires_grad_()
    weights = torch.cat([s.view(leaf).flatten(1) for n, s in slots.items() if n.endswith("weight")], 1)
    weights = torch.cat([weights, leaf[:, :end][:, gaps(slots, end)]], 1)  # zero while training
    omega = torch.stack([
        sum((PENALTIES[key](c, w) for key, c in own.items()), w.sum() * 0)
        for own, w in zip(coefficients, weights, strict=True)
    ])  # fmt: skip
    omega.sum().backward()
    assert_near(regularizer.penalty(theta[:, :end]), omega.detach(), 13)
    assert_near(grad - before, leaf.grad, 13)
    assert torch.equal(grad[:, end:], before[:, end:]) and torch.equal(theta, kept)


def gaps(slots, end):
    free = torch.ones(end, dtype=torch.bool)
    for slot in slots.values():
        free[slot.start : slot.start + slot.parameter.size] = False
    return free
