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
from nnlab.autodiff.network import Network
from nnlab.losses import AbsoluteError, BinaryCrossEntropy, CrossEntropy, SparsemaxLoss, SquaredError


def affine(box, ctx, x, W, b):
    rows = zip(x.flatten(1, -2).expand(len(W), -1, -1), W, b, strict=True)
    return torch.stack([F.linear(one.T, weight, bias[:, 0]).T for one, weight, bias in rows])


def dropout(box, ctx, x):
    """With the place's own uniforms and rates p (K, 1, 1)."""
    return torch.where(ctx.uniforms < ctx.p, torch.zeros_like(x), x / (1 - ctx.p))


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


# Every box: its output from the box, the context of its place, and its inputs (K, ., B), leaves (K, .) last.
BOXES = {
    Affine: affine,
    Identity: lambda box, ctx, x: x,
    ReLU: lambda box, ctx, x: F.relu(x),
    Sigmoid: lambda box, ctx, x: F.sigmoid(x),
    Tanh: lambda box, ctx, x: F.tanh(x),
    LeakyReLU: lambda box, ctx, x: F.leaky_relu(x, box.slope),
    ELU: lambda box, ctx, x: F.elu(x),
    GELU: lambda box, ctx, x: F.gelu(x),
    SiLU: lambda box, ctx, x: F.silu(x),
    Softplus: lambda box, ctx, x: F.softplus(x),
    Softsign: lambda box, ctx, x: F.softsign(x),
    Softmax: lambda box, ctx, x: F.softmax(x, 1),
    Sparsemax: lambda box, ctx, x: simplex(x),
    DropConnect: dropout,
    Dropout: dropout,
    Add: lambda box, ctx, *x: torch.stack(x).sum(0),
    Multiply: lambda box, ctx, a, b: a * b,
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


def output(network: Network, leaves: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor | None:
    """The network's output (K, m, B) in torch's functions; `leaves` (K, ...) are by their full names.

    None where a box, or an activation of an installed package, has no reference here.
    """
    values: list = [x]
    for n, node in enumerate(network.graph.nodes[1:], start=1):
        if node.leaf:
            values.append(leaves[node.name])
        elif n not in network.placed:  # it passes its input on, or leads nowhere
            values.append(values[network.source[n]] if network.source[n] != n else None)
        elif type(node.box) in BOXES:
            inputs = [values[i] for i in network.reads[n]]
            values.append(BOXES[type(node.box)](node.box, network.placed[n].ctx, *inputs))
        else:
            return None
    return values[-1]
