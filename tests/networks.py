"""The same networks in torch's own functions, and small data: what tests share."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nnlab.autodiff.activations import (
    ELU,
    GELU,
    Identity,
    LeakyReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Sparsemax,
    Tanh,
)
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.combine import Add, Multiply
from nnlab.autodiff.dropout import DropConnect, Dropout
from nnlab.autodiff.graph import Graph
from nnlab.data.sources import Data, Dataset
from nnlab.fields import static
from nnlab.testing.numeric import assert_near, bind, central, rates  # noqa: F401

DOUBLE = torch.empty(0, dtype=torch.float64)


@pytest.fixture(autouse=True)
def one_thread():
    """As in the engine: two threads that wait for each other on busy cores take a hundred times longer.

    Import it, and it holds for every test of the file.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def affine(box, p, x):
    pairs = zip(x.expand(len(p["weight"]), -1, -1), p["weight"], p["bias"], strict=True)
    return torch.stack([F.linear(one.T, W, b[:, 0]).T for one, W, b in pairs])


def dropout(box, p, x):
    rate = rates(len(x))[box.name][:, :, None]
    return torch.where(box.uniforms < rate, torch.zeros_like(x), x / (1 - rate))


def dropconnect(box, p, x):
    if isinstance(box, Affine):  # what it is when not training
        return affine(box, p, x)
    return affine(box.box, p | {"weight": dropout(box, p, p["weight"])}, x)


def simplex(z):
    """The nearest point of the simplex to z (K, m, B), by its definition: sum_i max(z_i - tau, 0) = 1.

    The support is found first, by bisection for tau; then tau follows, which autograd can differentiate.
    """
    low, high = z.detach().amin(1, keepdim=True) - 1, z.detach().amax(1, keepdim=True)
    for _ in range(80):
        tau = (low + high) / 2
        much = (z.detach() - tau).clamp_min(0).sum(1, keepdim=True) > 1
        low, high = torch.where(much, tau, low), torch.where(much, high, tau)
    support = z.detach() > (low + high) / 2
    tau = (torch.where(support, z, 0).sum(1, keepdim=True) - 1) / support.sum(1, keepdim=True)
    return torch.where(support, z - tau, 0)


# Every box: its output from (box, parameters by name, *inputs), all (K, ., B), in torch's own functions.
REFERENCES = {
    Affine: affine,
    Identity: lambda box, p, x: x,
    ReLU: lambda box, p, x: F.relu(x),
    Sigmoid: lambda box, p, x: F.sigmoid(x),
    Tanh: lambda box, p, x: F.tanh(x),
    LeakyReLU: lambda box, p, x: F.leaky_relu(x),
    ELU: lambda box, p, x: F.elu(x),
    GELU: lambda box, p, x: F.gelu(x),
    SiLU: lambda box, p, x: F.silu(x),
    Softplus: lambda box, p, x: F.softplus(x),
    Softsign: lambda box, p, x: F.softsign(x),
    Softmax: lambda box, p, x: F.softmax(x, 1),
    Sparsemax: lambda box, p, x: simplex(x),
    DropConnect: dropconnect,
    Dropout: dropout,
    Add: lambda box, p, *x: torch.stack(x).sum(0),
    Multiply: lambda box, p, a, b: a * b,
}


def forward(graph: Graph, parameters: dict, x):
    """The graph's output in torch's functions; `parameters` are (K, ...) by their full names."""
    values = [x]
    for node in graph.nodes[1:]:
        own = {n: parameters[f"{node.name}.{n}"] for n in node.box.parameters(*_shapes(graph, node))}
        values.append(REFERENCES[type(node.box)](node.box, own, *[values[i] for i in node.inputs]))
    return values[-1]


def _shapes(graph, node):
    return [graph.nodes[i].shape for i in node.inputs]


@dataclass(frozen=True)
class Points(Data):
    """`n` examples of `d` features in noisy bumps: `classes`, or `outputs` numbers if there are none."""

    name: ClassVar[str] = "points"
    n: int = static(90)
    d: int = static(7)
    classes: int = static(3)
    outputs: int = static(2)
    target_normalization: str = static("standard", choices=("standard", "none"))

    def load(self):
        random = np.random.default_rng(3)
        y = random.integers(max(self.classes, 2), size=self.n)
        x = 3 + random.standard_normal((self.n, self.d)) + random.standard_normal((y.max() + 1, self.d))[y]
        y[::4] = random.integers(max(self.classes, 2), size=len(y[::4]))  # so that one can learn too much
        if self.classes:
            return Dataset(x, y, tuple("abcdefghij"[: self.classes]))
        return Dataset(x, 100 * np.sin(x[:, : self.outputs]) + 50 * y[:, None] + 7, ())
