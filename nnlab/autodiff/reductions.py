"""Sums over axes or over the examples, and repetition: each is the derivative of the other."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from nnlab.autodiff.box import Box
from nnlab.autodiff.elementary import Times
from nnlab.hyperparameters import static

# ---- within an example


@dataclass(frozen=True)
class Sum(Box):
    """y = the sum of x over axes of an example, 0 for units or channels, which then have the size 1."""

    name: ClassVar[str] = "sum"
    formula: ClassVar[str] = "Σ x"
    axes: tuple[int, ...] = static((0,), low=0)

    def output_shape(self, shape):
        return tuple(1 if axis in self.axes else size for axis, size in enumerate(shape))

    def settle(self, ctx, shape):
        ctx.axes = tuple(axis + 1 for axis in self.axes)

    def fprop(self, ctx, x):
        return torch.sum(x, ctx.axes, keepdim=True, out=ctx.y)

    def bprop(self, ctx, dy):
        return (ctx.dx[0].copy_(dy),)

    def vjp(self, graph, node, dy):
        (x,) = node.inputs
        return (graph.apply(Repeat(graph.nodes[x].shape), dy),)

    def reference(self, ctx, x):
        return x.sum(ctx.axes, keepdim=True)


@dataclass(frozen=True)
class Repeat(Box):
    """y = x in `shape`, repeated along the axes where x has the size 1; dx = the sum of dy over these."""

    name: ClassVar[str] = "repeat"
    formula: ClassVar[str] = "(x, x, ...)"
    shape: tuple[int, ...] = static(low=1)

    def axes(self, shape) -> tuple[int, ...]:
        """Those along which a value of this shape is repeated."""
        return tuple(axis for axis, size in enumerate(shape) if size < self.shape[axis])

    def output_shape(self, shape):
        return self.shape

    def settle(self, ctx, shape):
        ctx.axes = tuple(axis + 1 for axis in self.axes(shape))

    def fprop(self, ctx, x):
        return ctx.y.copy_(x)

    def bprop(self, ctx, dy):
        return (torch.sum(dy, ctx.axes, keepdim=True, out=ctx.dx[0]) if ctx.axes else dy,)

    def vjp(self, graph, node, dy):
        axes = self.axes(graph.nodes[node.inputs[0]].shape)
        return (graph.apply(Sum(axes), dy) if axes else dy,)

    def reference(self, ctx, x):
        counts = [n if x.shape[axis + 1] == 1 else 1 for axis, n in enumerate(self.shape)]
        return x.repeat(1, *counts, 1) if x.ndim > len(self.shape) + 1 else x.repeat(1, *counts)


def mean(graph, x: int) -> int:
    """The mean of all numbers of an example, at each of them."""
    shape = graph.nodes[x].shape
    total = graph.apply(Sum(tuple(range(len(shape)))), x)
    return graph.apply(Repeat(shape), graph.apply(Times(1 / math.prod(shape)), total))


# ---- over the examples


@dataclass(frozen=True)
class SumExamples(Box):
    """y = the sum of x over the B examples: (*shape, B) -> (*shape, 1), as the gradient of a bias has it."""

    name: ClassVar[str] = "sum_examples"
    formula: ClassVar[str] = "Σ x, over examples"
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
    formula: ClassVar[str] = "x, of each example"
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


@dataclass(frozen=True)
class SumChannels(Box):
    """y_c = the sum of x_c over its positions and the examples: (C, H, W, B) -> (C, 1, ..., 1).

    ones  how many axes of size 1 follow C, those that the leaf has of which it is the gradient
    """

    name: ClassVar[str] = "sum_channels"
    formula: ClassVar[str] = "Σ x, over places, examples"
    output_per_example: ClassVar[bool | None] = False
    ones: int = static(low=1)

    def output_shape(self, shape):
        return (shape[0], *(1,) * self.ones)

    def settle(self, ctx, shape):
        ctx.axes, ctx.sums = tuple(range(2, len(shape) + 2)), ctx.y.flatten(1)
        ctx.to_dx = (Ellipsis, *(None,) * len(shape))

    def fprop(self, ctx, x):
        torch.sum(x, ctx.axes, out=ctx.sums)
        return ctx.y

    def bprop(self, ctx, dy):
        return (ctx.dx[0].copy_(dy.flatten(1)[ctx.to_dx]),)

    def vjp(self, graph, node, dy):
        (x,) = node.inputs
        return (graph.apply(RepeatChannels(graph.nodes[x].shape), dy),)

    def reference(self, ctx, x):
        return x.flatten(2).sum(2)[(Ellipsis, *(None,) * self.ones)]


@dataclass(frozen=True)
class RepeatChannels(Box):
    """y_c = x_c, a number of each channel, at all positions and examples of values of `shape`."""

    name: ClassVar[str] = "repeat_channels"
    formula: ClassVar[str] = "x, at each position"
    output_per_example: ClassVar[bool | None] = True
    shape: tuple[int, ...] = static(low=1)

    def output_shape(self, shape):
        return self.shape

    def settle(self, ctx, shape):
        ctx.axes = tuple(range(2, len(self.shape) + 2))
        ctx.to_y = (Ellipsis, *(None,) * len(self.shape))

    def fprop(self, ctx, x):
        return ctx.y.copy_(x.flatten(1)[ctx.to_y])

    def bprop(self, ctx, dy):
        (dx,) = ctx.dx
        torch.sum(dy, ctx.axes, out=dx.flatten(1))
        return ctx.dx

    def vjp(self, graph, node, dy):
        (x,) = node.inputs
        return (graph.apply(SumChannels(len(graph.nodes[x].shape) - 1), dy),)

    def reference(self, ctx, x):
        return x.flatten(1)[(Ellipsis, *(None,) * len(self.shape))].expand(-1, *self.shape, ctx.site.batch)
