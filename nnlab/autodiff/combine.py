"""Boxes with several inputs, `Add` and `Multiply`, where branches of the graph meet."""

from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import torch

from nnlab.autodiff.box import Box


@dataclass(frozen=True)
class Add(Box):
    """y = x_1 + x_2 + ..., all of one shape; every dx_i = dy."""

    name: ClassVar[str] = "add"

    def fprop(self, ctx, *x):
        torch.add(x[0], x[1], out=ctx.y)
        for term in x[2:]:
            ctx.y.add_(term)
        return ctx.y

    def bprop(self, ctx, dy):
        return (dy,) * len(ctx.dx)

    def reference(self, ctx, *x):
        return torch.stack(x).sum(0)

    def onnx(self, op, *x):
        return reduce(op.Add, x)


@dataclass(frozen=True)
class Multiply(Box):
    """y = x_1 x_2, elementwise; dx_1 = dy x_2, dx_2 = dy x_1."""

    name: ClassVar[str] = "multiply"

    def fprop(self, ctx, a, b):
        ctx.x = (a, b)
        return torch.mul(a, b, out=ctx.y)

    def bprop(self, ctx, dy):
        for dx, other in zip(ctx.dx, reversed(ctx.x), strict=True):
            if dx is not None:
                torch.mul(dy, other, out=dx)
        return ctx.dx

    def reference(self, ctx, a, b):
        return a * b

    def onnx(self, op, a, b):
        return op.Mul(a, b)
