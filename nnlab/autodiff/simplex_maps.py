"""Softmax and sparsemax: maps of all units of a layer to probabilities, points of the simplex."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn import functional as F

from nnlab.autodiff.box import Box
from nnlab.autodiff.combine import Multiply
from nnlab.autodiff.elementary import Power, Subtract
from nnlab.autodiff.piecewise import Step
from nnlab.autodiff.reductions import Repeat, Sum
from nnlab.autodiff.simplex import sparsemax, sparsemax_by_bisection, sparsemax_onnx


@dataclass(frozen=True)
class Softmax(Box):
    """y_i = exp(x_i) / sum_j exp(x_j) over the units; dx = y (dy - sum_j dy_j y_j)."""

    name: ClassVar[str] = "softmax"
    formula: ClassVar[str] = "exp(x_i) / Σ exp(x_j)"
    gives_probabilities: ClassVar[bool] = True

    def fprop(self, ctx, x):
        return torch.softmax(x, 1, out=ctx.y)

    def bprop(self, ctx, dy):
        (dx,) = ctx.dx
        torch.mul(dy, ctx.y, out=dx)
        torch.sub(dy, dx.sum(1, keepdim=True), out=dx).mul_(ctx.y)
        return ctx.dx

    def vjp(self, graph, node, dy):
        y = graph[node.name]
        mean = graph.apply(Sum(), graph.apply(Multiply(), dy, y))
        centered = graph.apply(Subtract(), dy, graph.apply(Repeat(node.shape), mean))
        return (graph.apply(Multiply(), y, centered),)

    def reference(self, ctx, x):
        return F.softmax(x, 1)

    def onnx(self, op, x):
        return op.Softmax(x, axis=1)


@dataclass(frozen=True)
class Sparsemax(Box):
    """y = the point of the simplex nearest to x; dx = s (dy - the mean of dy over the support), s = [y > 0].

    Martins and Astudillo 2016.
    """

    name: ClassVar[str] = "sparsemax"
    formula: ClassVar[str] = "the nearest point of the simplex"
    gives_probabilities: ClassVar[bool] = True

    def settle(self, ctx, shape):
        ctx.s = ctx.zeros()

    def fprop(self, ctx, x):
        return sparsemax(x, ctx.y, axis=1)

    def bprop(self, ctx, dy):
        (dx,) = ctx.dx
        torch.sign(ctx.y, out=ctx.s)
        mean = torch.mul(dy, ctx.s, out=dx).sum(1, keepdim=True) / ctx.s.sum(1, keepdim=True)
        torch.sub(dy, mean, out=dx).mul_(ctx.s)
        return ctx.dx

    def vjp(self, graph, node, dy):
        s = graph.apply(Step(), graph[node.name])
        total, size = graph.apply(Sum(), graph.apply(Multiply(), dy, s)), graph.apply(Sum(), s)
        mean = graph.apply(Multiply(), total, graph.apply(Power(-1.0), size))
        centered = graph.apply(Subtract(), dy, graph.apply(Repeat(node.shape), mean))
        return (graph.apply(Multiply(), s, centered),)

    def reference(self, ctx, x):
        return sparsemax_by_bisection(x, axis=1)

    def onnx(self, op, x):
        return sparsemax_onnx(op, x)
