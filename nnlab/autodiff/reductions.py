"""Sums over an axis or over the examples, and repetition: each is the derivative of the other."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from nnlab.autodiff.box import Box
from nnlab.hyperparameters import static


@dataclass(frozen=True)
class Sum(Box):
    """y = the sum of x over an axis of an example, 0 for units or channels, which then has the size 1."""

    name: ClassVar[str] = "sum"
    axis: int = static(0, low=0)

    def output_shape(self, shape):
        return (*shape[: self.axis], 1, *shape[self.axis + 1 :])

    def fprop(self, ctx, x):
        return torch.sum(x, self.axis + 1, keepdim=True, out=ctx.y)

    def bprop(self, ctx, dy):
        return (ctx.dx[0].copy_(dy),)

    def vjp(self, graph, node, dy):
        (x,) = node.inputs
        return (graph.apply(Repeat(graph.nodes[x].shape[self.axis], self.axis), dy),)

    def reference(self, ctx, x):
        return x.sum(self.axis + 1, keepdim=True)


@dataclass(frozen=True)
class Repeat(Box):
    """y = x, of size 1 along an axis, so many times along it; dx = the sum of dy over the axis."""

    name: ClassVar[str] = "repeat"
    count: int = static(low=1)
    axis: int = static(0, low=0)

    def output_shape(self, shape):
        return (*shape[: self.axis], self.count, *shape[self.axis + 1 :])

    def fprop(self, ctx, x):
        return ctx.y.copy_(x)

    def bprop(self, ctx, dy):
        return (torch.sum(dy, self.axis + 1, keepdim=True, out=ctx.dx[0]),)

    def vjp(self, graph, node, dy):
        return (graph.apply(Sum(self.axis), dy),)

    def reference(self, ctx, x):
        return x.repeat_interleave(self.count, self.axis + 1)


@dataclass(frozen=True)
class SumExamples(Box):
    """y = the sum of x over the B examples: (*shape, B) -> (*shape, 1), as the gradient of a bias has it."""

    name: ClassVar[str] = "sum_examples"
    output_per_example: ClassVar[bool | None] = False

    def output_shape(self, shape):
        return (*shape, 1)

    def fprop(self, ctx, x):
        return torch.sum(x, -1, keepdim=True, out=ctx.y)

    def bprop(self, ctx, dy):
        return (ctx.dx[0].copy_(dy),)

    def vjp(self, graph, node, dy):
        return (graph.apply(RepeatExamples(), dy),)

    def reference(self, ctx, x):
        return x.sum(-1, keepdim=True)


@dataclass(frozen=True)
class RepeatExamples(Box):
    """y = x, a leaf's value, for each of the B examples: (*shape, 1) -> (*shape, B)."""

    name: ClassVar[str] = "repeat_examples"
    output_per_example: ClassVar[bool | None] = True

    def output_shape(self, shape):
        return shape[:-1]

    def fprop(self, ctx, x):
        return ctx.y.copy_(x)

    def bprop(self, ctx, dy):
        return (torch.sum(dy, -1, keepdim=True, out=ctx.dx[0]),)

    def vjp(self, graph, node, dy):
        return (graph.apply(SumExamples(), dy),)

    def reference(self, ctx, x):
        return x.repeat_interleave(ctx.site.batch, -1)
