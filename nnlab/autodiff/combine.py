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
        return _common(shapes)

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
        return _common((first, second))

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
    """y = x_start, ..., x_(stop - 1): some of the units; dx = dy there, 0 elsewhere."""

    name: ClassVar[str] = "slice"
    formula: ClassVar[str] = "x[start:stop]"
    start: int = static(low=0)
    stop: int = static(low=1)

    def output_shape(self, shape):
        if not self.start < self.stop <= shape[0]:
            raise UserError(
                f"{self.start} to {self.stop} is not a part of {shape[0]:,} units, of which the first is 0"
            )
        return (self.stop - self.start, *shape[1:])

    def fprop(self, ctx, x):
        return x[:, self.start : self.stop]

    def bprop(self, ctx, dy):
        (dx,) = ctx.dx
        dx.zero_()[:, self.start : self.stop].copy_(dy)
        return ctx.dx

    def vjp(self, graph, node, dy):
        (x,) = node.inputs
        return (graph.apply(Pad(self.start, graph.nodes[x].shape[0]), dy),)

    def reference(self, ctx, x):
        return x.narrow(1, self.start, self.stop - self.start)

    def onnx(self, op, x):
        return op.Slice(x, starts=[self.start], ends=[self.stop], axes=[1])


@dataclass(frozen=True)
class Pad(Box):
    """y = x from unit `start` on, and 0 elsewhere, `units` in all: the derivative of `Slice`."""

    name: ClassVar[str] = "pad"
    formula: ClassVar[str] = "(0, x, 0)"
    start: int = static(low=0)
    units: int = static(low=1)

    def output_shape(self, shape):
        return (self.units, *shape[1:])

    def settle(self, ctx, shape):
        ctx.stop = self.start + shape[0]

    def fprop(self, ctx, x):
        ctx.y.zero_()[:, self.start : ctx.stop].copy_(x)
        return ctx.y

    def bprop(self, ctx, dy):
        return (dy[:, self.start : ctx.stop],)

    def vjp(self, graph, node, dy):
        (x,) = node.inputs
        return (graph.apply(Slice(self.start, self.start + graph.nodes[x].shape[0]), dy),)

    def reference(self, ctx, x):
        after = self.units - self.start - x.shape[1]
        return F.pad(x, (0, 0) * (x.ndim - 2) + (self.start, after))


@dataclass(frozen=True)
class Concatenate(Box):
    """y = (x_1, x_2, ...), the units of all inputs, one after another; every dx_i is its part of dy."""

    name: ClassVar[str] = "concatenate"
    formula: ClassVar[str] = "(x₁, x₂, ...)"

    def output_shape(self, *shapes):
        _common([shape[1:] for shape in shapes], "behind the first number of each shape")
        return (sum(shape[0] for shape in shapes), *shapes[0][1:])

    def settle(self, ctx, *shapes):
        ctx.sizes = [shape[0] for shape in shapes]

    def fprop(self, ctx, *x):
        return torch.cat(x, 1, out=ctx.y)

    def bprop(self, ctx, dy):
        return dy.split(ctx.sizes, 1)

    def vjp(self, graph, node, dy):
        gradients, start = [], 0
        for i in node.inputs:
            stop = start + graph.nodes[i].shape[0]
            gradients.append(graph.apply(Slice(start, stop), dy))
            start = stop
        return tuple(gradients)

    def reference(self, ctx, *x):
        return torch.hstack(x)

    def onnx(self, op, *x):
        # Inputs that all rows share have K = 1, and are repeated by adding zeros of the others.
        zeros = reduce(op.Add, [op.Mul(op.Slice(v, starts=[0], ends=[1], axes=[1]), 0) for v in x])
        return op.Concat(*[op.Add(v, zeros) for v in x], axis=1)


def _common(shapes, where: str = "") -> tuple[int, ...]:
    """The shape that all inputs have. Raises `UserError` if they differ, or if there is one input alone."""
    if len(shapes) < 2:
        raise UserError("it takes two inputs or more")
    if len({*shapes}) > 1:
        raise UserError(f"the shapes {' and '.join(map(str, dict.fromkeys(shapes)))} differ {where}".rstrip())
    return shapes[0]
