"""Initialisers: their distributions, and torch.nn.init beside them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
import scipy.stats
import torch
from networks import one_thread  # noqa: F401
from torch.nn import init as nn_init

from nnlab.autodiff.activations import ACTIVATIONS
from nnlab.experiment import Experiment, Row
from nnlab.initializers import (
    INITIALIZERS,
    Auto,
    ConstantInit,
    FanInUniform,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Init,
    LeCunNormal,
    Normal,
    Orthogonal,
    Sparse,
    Uniform,
    Zeros,
)
from nnlab.models import perceptron
from nnlab.streams import stream
from nnlab.training.population import initial_theta


def uniform(variance):
    """The distribution of (fan_in, fan_out) with this variance around zero."""

    def distribution(fan_in, fan_out):
        a = (3 * variance(fan_in, fan_out)) ** 0.5
        return scipy.stats.uniform(-a, 2 * a)

    return distribution


def normal(variance):
    return lambda fan_in, fan_out: scipy.stats.norm(0, variance(fan_in, fan_out) ** 0.5)


def glorot(fan_in, fan_out):
    return 2 / (fan_in + fan_out)


def he(fan_in, fan_out):
    return 2 / fan_in


@dataclass
class Drawn:
    """An initialiser before `activation`, its distribution for (fan_in, fan_out), and torch's draw."""

    init: Init
    activation: str
    distribution: Callable
    torch: Callable


RELU = {"nonlinearity": "relu"}
INITS = {
    "normal": Drawn(Normal(0.3), "relu", normal(lambda i, o: 0.09), partial(nn_init.normal_, std=0.3)),
    "uniform": Drawn(
        Uniform(0.3), "relu", uniform(lambda i, o: 0.03), partial(nn_init.uniform_, a=-0.3, b=0.3)
    ),
    "glorot_uniform": Drawn(GlorotUniform(), "tanh", uniform(glorot), nn_init.xavier_uniform_),
    "glorot_uniform-relu": Drawn(GlorotUniform(), "relu", uniform(glorot), nn_init.xavier_uniform_),
    "glorot_normal": Drawn(GlorotNormal(), "relu", normal(glorot), nn_init.xavier_normal_),
    "he_uniform": Drawn(HeUniform(), "relu", uniform(he), partial(nn_init.kaiming_uniform_, **RELU)),
    "he_normal": Drawn(HeNormal(), "relu", normal(he), partial(nn_init.kaiming_normal_, **RELU)),
    "he_normal-tanh": Drawn(HeNormal(), "tanh", normal(he), partial(nn_init.kaiming_normal_, **RELU)),
    "lecun_normal": Drawn(
        LeCunNormal(), "tanh", normal(lambda i, o: 1 / i),
        partial(nn_init.kaiming_normal_, nonlinearity="linear"),
    ),
    "fan_in_uniform": Drawn(
        FanInUniform(), "relu", uniform(lambda i, o: 1 / (3 * i)), partial(nn_init.kaiming_uniform_, a=5**0.5)
    ),
    **{
        f"auto-{name}": Drawn(Auto(), name, normal(he), partial(nn_init.kaiming_normal_, **RELU))
        for name in ("relu", "leaky_relu", "elu", "gelu", "silu", "softplus")
    },
    **{
        f"auto-{name}": Drawn(Auto(), name, uniform(glorot), nn_init.xavier_uniform_)
        for name in ("tanh", "sigmoid", "softsign", "identity")
    },
}  # fmt: skip
SHAPED = {"zeros": Zeros(), "constant": ConstantInit(0.3), "orthogonal": Orthogonal(), "sparse": Sparse()}
ALL = {name: (case.init, case.activation) for name, case in INITS.items()} | {
    name: (init, "tanh") for name, init in SHAPED.items()
}
every_distribution = pytest.mark.parametrize("case", INITS.values(), ids=INITS)
every_init = pytest.mark.parametrize("init, activation", ALL.values(), ids=ALL)


def drawn(init, fan_out, fan_in, activation="tanh", seed=0):
    return init.weights(stream(seed, "test"), (fan_out, fan_in), fan_in, fan_out, activation)


def parameters(*rows, activation="tanh"):
    """Initial parameters by name, (K, *shape), of rows (init, seed): two hidden layers of equal shape."""
    graph = perceptron(40, (40, 40), 3, activation)
    theta = initial_theta([Row(Experiment(init=init), seed, None) for init, seed in rows], graph)
    leaf_slices = graph.layout().parameters
    return {name: leaf_slice.view(theta) for name, leaf_slice in leaf_slices.items()}


def test_every_initializer_and_activation_is_in_the_table():
    assert {type(init) for init, _ in ALL.values()} == set(INITIALIZERS.values())
    assert {case.activation for case in INITS.values()} == set(ACTIVATIONS)


@pytest.mark.parametrize("fan_in, fan_out", [(300, 100), (100, 300), (1, 20000)])
@every_distribution
def test_weights_follow_their_distribution(case, fan_in, fan_out):
    weights = drawn(case.init, fan_out, fan_in, case.activation)
    assert weights.shape == (fan_out, fan_in)
    d, n = case.distribution(fan_in, fan_out), weights.size
    assert scipy.stats.kstest(weights.ravel(), d.cdf).pvalue > 1e-3
    assert abs(weights.mean() - d.mean()) < 4 * d.std() / n**0.5
    assert weights.var() == pytest.approx(d.var(), rel=6 * ((d.stats("k") + 2) / n) ** 0.5)
    low, high = d.support()
    assert low <= weights.min() and weights.max() <= high


@every_distribution
def test_weights_are_distributed_as_those_of_torch(case):
    weights = drawn(case.init, 90, 200, case.activation)
    theirs = case.torch(torch.empty(90, 200), generator=torch.Generator().manual_seed(0)).double().numpy()
    assert scipy.stats.ks_2samp(weights.ravel(), theirs.ravel()).pvalue > 1e-3
    assert weights.std() == pytest.approx(theirs.std(), rel=0.04)


@pytest.mark.parametrize("init", [SHAPED["zeros"], SHAPED["constant"]], ids=["zeros", "constant"])
def test_equal_weights(init):
    theirs = nn_init.constant_(torch.empty(3, 5, dtype=torch.float64), getattr(init, "value", 0.0))
    np.testing.assert_array_equal(drawn(init, 3, 5), theirs)
    np.testing.assert_array_equal(drawn(replace(init, mean=0.1), 3, 5), theirs + 0.1)


@pytest.mark.parametrize("fan_out, fan_in", [(5, 5), (3, 8), (8, 3), (1, 6)])
def test_orthogonal_rows_or_columns(fan_out, fan_in):
    W = drawn(Orthogonal(gain=1.5), fan_out, fan_in)
    product = W @ W.T if fan_out <= fan_in else W.T @ W
    np.testing.assert_allclose(product, 2.25 * np.eye(min(fan_out, fan_in)), atol=1e-13)


def test_orthogonal_of_more_dimensions():
    W = Orthogonal().weights(stream(0, "test"), (6, 2, 2, 2), 8, 24, "relu").reshape(6, 8)
    np.testing.assert_allclose(W @ W.T, np.eye(6), atol=1e-13)


@pytest.mark.parametrize("fan_out, fan_in", [(4, 4), (3, 5), (5, 3)])
def test_orthogonal_is_uniform_as_that_of_torch(fan_out, fan_in):
    """(x + 1) / 2 of a component of a uniform unit vector in n dimensions is Beta((n-1)/2, (n-1)/2)."""
    generator, n = torch.Generator().manual_seed(0), max(fan_out, fan_in)
    actual = np.stack([drawn(Orthogonal(), fan_out, fan_in, seed=seed) for seed in range(2000)])
    empty = torch.empty(fan_out, fan_in, dtype=torch.float64)
    expected = np.stack([nn_init.orthogonal_(empty, generator=generator).numpy().copy() for _ in range(2000)])
    beta = scipy.stats.beta((n - 1) / 2, (n - 1) / 2)
    for i in range(fan_out):
        for j in range(fan_in):
            assert scipy.stats.kstest((actual[:, i, j] + 1) / 2, beta.cdf).pvalue > 1e-4
            assert scipy.stats.ks_2samp(actual[:, i, j], expected[:, i, j]).pvalue > 1e-4


@pytest.mark.parametrize("shape", [(300, 40), (5, 15), (4, 3), (2, 1), (50, 3, 3, 3)])
def test_each_unit_of_sparse_weights_has_its_connections(shape):
    """As many as torch's sparse_ leaves to each column of its matrix, which has the units there."""
    W = Sparse(std=0.5).weights(stream(0, "test"), shape, 0, 0, "sigmoid").reshape(shape[0], -1)
    units, inputs = W.shape
    theirs = nn_init.sparse_(torch.empty(inputs, units), max(0, inputs - 15) / inputs, std=0.5)
    assert (W != 0).sum(1).tolist() == (theirs != 0).sum(0).tolist() == [min(15, inputs)] * units


def test_connections_of_sparse_weights_are_uniform_and_normal():
    W = Sparse(connections=3, std=0.5).weights(stream(0, "test"), (9000, 12), 12, 9000, "sigmoid")
    chosen = W != 0
    assert scipy.stats.kstest(W[chosen], scipy.stats.norm(0, 0.5).cdf).pvalue > 1e-3
    # Of each input 1/4 of the units; of each pair of inputs 3 * 2 / (12 * 11).
    assert scipy.stats.chisquare(chosen.sum(0)).pvalue > 1e-3
    pairs = (chosen.T.astype(int) @ chosen)[np.triu_indices(12, 1)]
    assert scipy.stats.chisquare(pairs).pvalue > 1e-3
