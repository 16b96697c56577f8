"""A penalty on the activations of hidden units, which is added to the loss of each example."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from nnlab.autodiff.box import Box
from nnlab.autodiff.graph import Graph
from nnlab.autodiff.layers import activations

STRENGTHS = ("activity_l1", "activity_l2")  # the columns of `Regularizer.rates`


@dataclass(frozen=True)
class ActivityPenalty(Box):
    """y = l1 sum |h| + l2 / 2 sum h^2 over the units h of all its inputs, a number of each example.

    dh = dy (l1 sign(h) + l2 h), where sign(0) = 0, so that the zeros of a rectifier stay. The strengths are
    columns, so rows of a stack may differ in them. Outside training it is not computed.
    Glorot, Bordes and Bengio 2011, who have l1 = 0.001.
    """

    name: ClassVar[str] = "activity_penalty"
    formula: ClassVar[str] = "l1 Σ|h| + l2/2 Σh²"

    def output_shape(self, *shapes):
        return (1,)

    def inner_units(self, *shapes):
        """Half a unit, two numbers, for each of its inputs: its gradient, and the sum with that of the layer
        above."""
        return sum(map(math.prod, shapes)) // 2

    def settle(self, ctx, *shapes):
        has_l1, has_l2 = (bool((ctx.site.columns[name] > 0).any()) for name in STRENGTHS)
        l1, l2 = (ctx.column(name).to(ctx.y) for name in STRENGTHS)
        ctx.l1, ctx.l2 = l1 if has_l1 or not has_l2 else None, l2 if has_l2 else None
        ctx.total = ctx.zeros()

    def fprop(self, ctx, *h):
        ctx.h = h
        ctx.y.zero_()
        for strength, power in ((ctx.l1, torch.abs), (ctx.l2, _half_square)):
            if strength is not None:
                ctx.total.zero_()
                for x in h:
                    ctx.total.add_(_sum_of_units(power(x)))
                ctx.y.addcmul_(ctx.total, strength)
        return ctx.y

    def bprop(self, ctx, dy):
        for x, dx in zip(ctx.h, ctx.dx, strict=True):
            if dx is not None:
                to_dx = (slice(None), 0, *(None,) * (x.ndim - 2))  # (K, 1, B) -> (K, 1, ..., 1, B)
                if ctx.l1 is None:
                    torch.mul(x, (dy * ctx.l2)[to_dx], out=dx)
                    continue
                torch.sign(x, out=dx).mul_((dy * ctx.l1)[to_dx])
                if ctx.l2 is not None:
                    dx.addcmul_(x, (dy * ctx.l2)[to_dx])
        return ctx.dx

    def reference(self, ctx, *h):
        l1, l2 = (ctx.site.columns[name].to(h[0])[..., None] for name in STRENGTHS)
        units = torch.cat([x.flatten(1, -2) for x in h], 1)  # (K, all units, B)
        return l1 * units.abs().sum(1, keepdim=True) + l2 * units.square().sum(1, keepdim=True) / 2


def _half_square(x: torch.Tensor) -> torch.Tensor:
    return x.square().div_(2)


def _sum_of_units(x: torch.Tensor) -> torch.Tensor:
    """(K, *shape, B) -> (K, 1, B)."""
    return x.sum(tuple(range(1, x.ndim - 1)))[:, None]


def hidden_activations(graph: Graph) -> list[int]:
    """The values that are hidden units: what activations before the last layer give, before dropout. A
    feature map has one at each place."""
    useful = graph.depends_on_parameters()
    return [n for n in activations(graph) if useful[n]]


def with_activity_penalty(graph: Graph) -> Graph:
    """The same graph, with the penalty of its hidden units as `Graph.penalty`; itself if it has none."""
    hidden = hidden_activations(graph)
    if not hidden:
        return graph
    penalized, outputs = graph.copy(), graph.outputs
    penalized.penalty = penalized.apply(ActivityPenalty(), *hidden)
    penalized.outputs = outputs
    return penalized
