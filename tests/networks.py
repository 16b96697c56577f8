"""The same networks in torch's own functions, central differences, and small data: what tests share."""

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
from nnlab.autodiff.box import ALIGN, Site
from nnlab.autodiff.combine import Add, Multiply
from nnlab.autodiff.dropout import DropConnect, Dropout
from nnlab.autodiff.graph import Graph, Slot
from nnlab.data.sources import Data, Dataset
from nnlab.fields import static

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


def rates(rows):
    """The columns of a site: 0.4 for the first row, 0 for the last."""
    column = torch.linspace(0.4, 0, rows, dtype=torch.float64)[:, None]
    return dict.fromkeys(("dropout", "dropconnect"), column)


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


@dataclass
class Bound:
    """A box bound by hand, on parameters of its own, with whatever it needs set."""

    box: object
    theta: dict  # name -> (K, *shape), views of a matrix whose gaps are zero
    grad: dict
    gaps: torch.Tensor  # (P,) bool: the columns of the matrix that belong to no parameter
    matrix: torch.Tensor  # (K, P), what the views of grad view


def bind(box, shapes, rows, batch, training=True, needs=None, seed=0, threads=1) -> Bound:
    """`box` alone at its site, float64, with random parameters, dropout rates and uniforms."""
    random = torch.Generator().manual_seed(seed)
    slots, end = {}, 0
    for name, parameter in box.parameters(*shapes).items():
        slots[name] = Slot(parameter, end)
        end += -(-parameter.size // ALIGN) * ALIGN
    theta, grad = torch.zeros(2, rows, end, dtype=torch.float64)
    gaps = torch.ones(end, dtype=torch.bool)
    for slot in slots.values():
        slot.view(theta)[:] = torch.randn(rows, *slot.parameter.shape, generator=random, dtype=torch.float64)
        gaps[slot.start : slot.start + slot.parameter.size] = False
    views = [{name: slot.view(matrix) for name, slot in slots.items()} for matrix in (theta, grad)]
    needs = needs or (True,) * len(shapes)
    site = Site(rows, batch, training, DOUBLE, rates(rows), threads, *views, needs)
    bound = box.bind(site, *shapes)
    if bound.noise_shape:
        bound.uniforms = torch.rand(rows, *bound.noise_shape, generator=random, dtype=torch.float64)
    return Bound(bound, *views, gaps, grad)


def central(f, x, step=1e-6):
    """d f_k / d x_k by central differences: f() gives (K,), and x (K, ...) is changed in place."""
    slope = torch.empty_like(x)
    for place in np.ndindex(*x.shape[1:]):
        at = (slice(None), *place)
        kept = x[at].clone()
        x[at] = kept + step
        up = f()
        x[at] = kept - step
        slope[at] = (up - f()) / (2 * step)
        x[at] = kept
    return slope


def assert_near(a, b, digits):
    """|a - b| < 10^-digits times the largest |b| of the row, and at least 1; both (K, ...)."""
    assert a.shape == b.shape
    a, b = (v.reshape(len(v), -1) for v in (a, b))
    worst = ((a - b).abs() / b.abs().amax(1, keepdim=True).clamp_min(1)).nan_to_num(torch.inf).max()
    assert worst < 10.0**-digits, f"off by {worst:.1e} of the largest"


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
