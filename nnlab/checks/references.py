"""What every box and loss computes, in torch's own functions, which autograd differentiates.

They share nothing with the boxes but their parameters and their random numbers: what `bprop` says is compared
with what autograd makes of these.
"""

from __future__ import annotations

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
from nnlab.losses import AbsoluteError, BinaryCrossEntropy, CrossEntropy, SparsemaxLoss, SquaredError


def affine(box, p, x):
    pairs = zip(x.expand(len(p["weight"]), -1, -1), p["weight"], p["bias"], strict=True)
    return torch.stack([F.linear(one.T, W, b[:, 0]).T for one, W, b in pairs])


def masked(box, x):
    """Inverted dropout of x with the box's own uniforms and rates p (K, 1, 1)."""
    return torch.where(box.uniforms < box.p, torch.zeros_like(x), x / (1 - box.p))


def dropout(box, p, x):
    return masked(box, x) if box.active else x


def dropconnect(box, p, x):
    if isinstance(box, Affine):  # what it is where no row has a rate
        return affine(box, p, x)
    return affine(box.box, p | {"weight": masked(box, p["weight"])}, x)


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


# Every box: its output from (box, parameters by name, *inputs), all (K, ., B).
BOXES = {
    Affine: affine,
    Identity: lambda box, p, x: x,
    ReLU: lambda box, p, x: F.relu(x),
    Sigmoid: lambda box, p, x: F.sigmoid(x),
    Tanh: lambda box, p, x: F.tanh(x),
    LeakyReLU: lambda box, p, x: F.leaky_relu(x, box.slope),
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


def distance_to_simplex(z, t):
    """|z - t|^2 / 2 - min_p |z - p|^2 / 2 over the simplex, (K, B)."""
    return (z - t).square().sum(1) / 2 - (z - simplex(z)).square().sum(1) / 2


# Every loss: that of each example, (K, B), from outputs and targets (K, m, B).
LOSSES = {
    CrossEntropy: lambda z, t: F.cross_entropy(z, t, reduction="none"),
    SparsemaxLoss: distance_to_simplex,
    BinaryCrossEntropy: lambda z, t: F.binary_cross_entropy_with_logits(
        z, t[:, -z.shape[1] :], reduction="none"
    ).sum(1),
    SquaredError: lambda z, t: F.mse_loss(z, t, reduction="none").mean(1),
    AbsoluteError: lambda z, t: F.l1_loss(z, t, reduction="none").mean(1),
}


def output(network: Graph, parameters: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor | None:
    """The network's output (K, m, B) in torch's functions; `parameters` (K, ...) are by their full names.

    None where a box, or an activation of an installed package, has no reference here.
    """
    values = [x]
    for node in network.nodes[1:]:
        if type(node.box) not in BOXES:
            return None
        own = {
            name.removeprefix(f"{node.name}."): v
            for name, v in parameters.items()
            if name.rpartition(".")[0] == node.name
        }
        values.append(BOXES[type(node.box)](node.box, own, *[values[i] for i in node.inputs]))
    return values[-1]
