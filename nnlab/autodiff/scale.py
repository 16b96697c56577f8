"""The scale box: a learnt factor for each unit."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from nnlab.autodiff.box import Box, Parameter
from nnlab.autodiff.combine import Multiply
from nnlab.autodiff.elementary import Times
from nnlab.autodiff.reductions import SumExamples
from nnlab.hyperparameters import static


@dataclass(frozen=True)
class Scale(Box):
    """y = g s x with a learnt s (K, n, 1) of each unit, at first 1 / g; dx = g s dy, ds = g sum_B dy x.

    So an input begins as it is. But its factor g s learns `gain` = g times as quickly as other parameters,
    since Adam's steps have the same size whatever that of the gradient: before the first layer, inputs that
    matter grow at once. Holzmueller, Grinsztajn and Steinwart 2024, who give s a learning rate of its own.
    """

    name: ClassVar[str] = "scale"
    formula: ClassVar[str] = "g s x"
    gain: float = static(1.0, above=0)

    def leaves(self, shape):
        return {"factor": Parameter((*shape, 1), "bias", start=(1 / self.gain, 0.0))}

    def settle(self, ctx, shape):
        ctx.product, ctx.g = ctx.zeros(), ctx.scalar(self.gain)
        ctx.factor = ctx.zeros(*shape, 1)

    def fprop(self, ctx, x, s):
        ctx.x = x
        torch.mul(s, ctx.g, out=ctx.factor)
        return torch.mul(x, ctx.factor, out=ctx.y)

    def bprop(self, ctx, dy):
        dx, ds = ctx.dx
        if ds is not None:
            torch.mul(dy, ctx.x, out=ctx.product)
            torch.sum(ctx.product, -1, keepdim=True, out=ds).mul_(ctx.g)
        if dx is not None:
            torch.mul(dy, ctx.factor, out=dx)
        return ctx.dx

    def vjp(self, graph, node, dy):
        x, s = node.operands
        ds = graph.apply(SumExamples(), graph.apply(Multiply(), dy, x))
        return graph.apply(self, dy, factor=s), graph.apply(Times(self.gain), ds)

    def reference(self, ctx, x, s):
        return x * s * self.gain

    def onnx(self, op, x, s):
        return op.Mul(x, op.Mul(s, self.gain))
