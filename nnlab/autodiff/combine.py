"""Boxes where branches of the graph meet or part: `Add`, `Multiply`, `Slice`, `Concatenate`."""

from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import torch
from torch.nn import functional as F

from nnlab.autodiff.box import Box
from nnlab.errors import UserError
from nnlab.hyperparameters import static


@dataclass(frozen=True)
class Add(Box):
    """y = x_1 + x_2 + ..., all of one shape; every dx_i = dy."""

    name: ClassVar[str] = "add"
    formula: ClassVar[str] = "x₁ + x₂ + ..."

    def output_shape(self, *shapes):
        return common_shape(shapes)

    def fprop(self, ctx, *x):
        torch.add(x[0], x[1], out=ctx.y)
        for term in x[2:]:
            ctx.y.add_(term)
        return ctx.y

    def bprop(self, ctx, dy):
        return (dy,) * len(ctx.dx)

    def vjp(self, graph, node, dy):
        return (dy,) * len(node.inputs)

    def reference(self, ctx, *x):
        return torch.stack(x).sum(0)

    def onnx(self, op, *x):
        return reduce(op.Add, x)


@dataclass(frozen=True)
class Multiply(Box):
    """y = x_1 x_2, elementwise; dx_1 = dy x_2, dx_2 = dy x_1."""

    name: ClassVar[str] = "multiply"
    formula: ClassVar[str] = "x₁ x₂"

    def output_shape(self, first, second):
        return common_shape((first, second))

    def fprop(self, ctx, a, b):
        ctx.x = (a, b)
        return torch.mul(a, b, out=ctx.y)

    def bprop(self, ctx, dy):
        for dx, other in zip(ctx.dx, reversed(ctx.x), strict=True):
            if dx is not None:
                torch.mul(dy, other, out=dx)
        return ctx.dx

    def vjp(self, graph, node, dy):
        a, b = node.inputs
        return graph.apply(Multiply(), dy, b), graph.apply(Multiply(), dy, a)

    def reference(self, ctx, a, b):
        return a * b

    def onnx(self, op, a, b):
        return op.Mul(a, b)


@dataclass(frozen=True)
class Slice(Box):
    """y = x_start, ..., x_(stop - 1): some of the units, or positions along another `axis`; dx = dy there, 0
    elsewhere.

    Axis 0 is that of units or channels; 1 and 2 are an image's rows and columns.
    """

    name: ClassVar[str] = "slice"
    formula: ClassVar[str] = "x[start:stop]"
    start: int = static(low=0)
    stop: int = static(low=1)
    axis: int = static(0, low=0, high=2)

    def output_shape(self, shape):
        _refuse_axis(self.axis, shape)
        if not self.start < self.stop <= shape[self.axis]:
            raise UserError(
                f"{self.start} to {self.stop} is not a part of {shape[self.axis]:,} "
                f"{_along(self.axis, shape)}, of which the first is 0"
            )
        return (*shape[: self.axis], self.stop - self.start, *shape[self.axis + 1 :])

    def fprop(self, ctx, x):
        return x.narrow(1 + self.axis, self.start, self.stop - self.start)

    def bprop(self, ctx, dy):
        (dx,) = ctx.dx
        dx.zero_().narrow(1 + self.axis, self.start, self.stop - self.start).copy_(dy)
        return ctx.dx

    def vjp(self, graph, node, dy):
        (x,) = node.inputs
        return (graph.apply(Pad(self.start, graph.nodes[x].shape[self.axis], self.axis), dy),)

    def reference(self, ctx, x):
        return x.index_select(1 + self.axis, torch.arange(self.start, self.stop, device=x.device))

    def onnx(self, op, x):
        return op.Slice(x, starts=[self.start], ends=[self.stop], axes=[1 + self.axis])


@dataclass(frozen=True)
class Pad(Box):
    """y = x from `start` on along an axis, and 0 elsewhere, `units` in all: the derivative of `Slice`."""

    name: ClassVar[str] = "pad"
    formula: ClassVar[str] = "(0, x, 0)"
    start: int = static(low=0)
    units: int = static(low=1)
    axis: int = static(0, low=0, high=2)

    def output_shape(self, shape):
        return (*shape[: self.axis], self.units, *shape[self.axis + 1 :])

    def settle(self, ctx, shape):
        ctx.width = shape[self.axis]

    def fprop(self, ctx, x):
        ctx.y.zero_().narrow(1 + self.axis, self.start, ctx.width).copy_(x)
        return ctx.y

    def bprop(self, ctx, dy):
        return (dy.narrow(1 + self.axis, self.start, ctx.width),)

    def vjp(self, graph, node, dy):
        (x,) = node.inputs
        width = graph.nodes[x].shape[self.axis]
        return (graph.apply(Slice(self.start, self.start + width, self.axis), dy),)

    def reference(self, ctx, x):
        after = self.units - self.start - x.shape[1 + self.axis]
        return F.pad(x, (0, 0) * (x.ndim - 2 - self.axis) + (self.start, after))


@dataclass(frozen=True)
class Concatenate(Box):
    """y = (x_1, x_2, ...), the units of all inputs, one after another; every dx_i is its part of dy.

    Units or channels with axis 0, an image's rows or columns with 1 or 2.
    """

    name: ClassVar[str] = "concatenate"
    formula: ClassVar[str] = "(x₁, x₂, ...)"
    axis: int = static(0, low=0, high=2)

    def output_shape(self, *shapes):
        for shape in shapes:
            _refuse_axis(self.axis, shape)
        first, axis = shapes[0], self.axis
        others = "behind the first number of each shape" if axis == 0 else f"elsewhere than along axis {axis}"
        if len({shape[:axis] + shape[axis + 1 :] for shape in shapes}) != 1 or len(shapes) < 2:
            common_shape(shapes, others)
        return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])

    def settle(self, ctx, *shapes):
        ctx.sizes = [shape[self.axis] for shape in shapes]

    def fprop(self, ctx, *x):
        return torch.cat(x, 1 + self.axis, out=ctx.y)

    def bprop(self, ctx, dy):
        return dy.split(ctx.sizes, 1 + self.axis)

    def vjp(self, graph, node, dy):
        gradients, start = [], 0
        for i in node.inputs:
            stop = start + graph.nodes[i].shape[self.axis]
            gradients.append(graph.apply(Slice(start, stop, self.axis), dy))
            start = stop
        return tuple(gradients)

    def reference(self, ctx, *x):
        return torch.concatenate(x, 1 + self.axis)

    def onnx(self, op, *x):
        # Inputs that all rows share have K = 1, and are repeated by adding zeros of the others.
        axis = 1 + self.axis
        zeros = reduce(op.Add, [op.Mul(op.Slice(v, starts=[0], ends=[1], axes=[axis]), 0) for v in x])
        return op.Concat(*[op.Add(v, zeros) for v in x], axis=axis)


def _along(axis: int, shape: tuple[int, ...]) -> str:
    """What stands along the axis."""
    return "units" if axis == 0 else ("rows" if axis == 1 and len(shape) > 2 else "columns")


def _refuse_axis(axis: int, shape: tuple[int, ...]) -> None:
    if axis >= len(shape):
        raise UserError(f"shape {shape} has no axis {axis}: axis 0 to {len(shape) - 1} are there")


def common_shape(shapes, where: str = "") -> tuple[int, ...]:
    """The shape that all inputs have. Raises `UserError` if they differ, or if there is one input alone."""
    if len(shapes) < 2:
        raise UserError("it takes two inputs or more")
    if len({*shapes}) > 1:
        raise UserError(f"the shapes {' and '.join(map(str, dict.fromkeys(shapes)))} differ {where}".rstrip())
    return shapes[0]
