"""Functions of each number that are linear but for a kink at 0, and their slopes: beside elementary.py.

At the kink a slope is that of one side or 0, as each says: a subgradient.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from nnlab.autodiff.box import Box
from nnlab.autodiff.combine import Multiply
from nnlab.hyperparameters import static


@dataclass(frozen=True)
class Abs(Box):
    """y = |x|; dx = dy sign(x)."""

    name: ClassVar[str] = "abs"
    formula: ClassVar[str] = "|x|"

    def fprop(self, ctx, x):
        ctx.x = x
        return torch.abs(x, out=ctx.y)

    def bprop(self, ctx, dy):
        return (torch.sign(ctx.x, out=ctx.dx[0]).mul_(dy),)

    def vjp(self, graph, node, dy):
        return (graph.apply(Multiply(), dy, graph.apply(Sign(), *node.inputs)),)

    def reference(self, ctx, x):
        return x.abs()

    def onnx(self, op, x):
        return op.Abs(x)


@dataclass(frozen=True)
class Sign(Box):
    """y = 1 where x > 0, -1 where x < 0, and 0 where x = 0; dx = 0."""

    name: ClassVar[str] = "sign"
    formula: ClassVar[str] = "sign(x)"

    def fprop(self, ctx, x):
        return torch.sign(x, out=ctx.y)

    def bprop(self, ctx, dy):
        return (ctx.dx[0].zero_(),)

    def vjp(self, graph, node, dy):
        return (None,)

    def reference(self, ctx, x):
        return x.sign()


@dataclass(frozen=True)
class Step(Box):
    """y = high where x > 0, else low; dx = 0. With the defaults it is [x > 0], the derivative of relu."""

    name: ClassVar[str] = "step"
    formula: ClassVar[str] = "[x > 0]"
    low: float = static(0.0)
    high: float = static(1.0)

    def settle(self, ctx, shape):
        ctx.low, ctx.high, ctx.zero = (ctx.scalar(v) for v in (self.low, self.high, 0))

    def fprop(self, ctx, x):
        return torch.where(x > ctx.zero, ctx.high, ctx.low, out=ctx.y)

    def bprop(self, ctx, dy):
        return (ctx.dx[0].zero_(),)

    def vjp(self, graph, node, dy):
        return (None,)

    def reference(self, ctx, x):
        return 0 * x + torch.where(x > 0, self.high, self.low)  # for autograd it depends on x


@dataclass(frozen=True)
class NegativePart(Box):
    """y = min(x, 0); dx = dy [x <= 0]."""

    name: ClassVar[str] = "negative_part"
    formula: ClassVar[str] = "min(x, 0)"

    def settle(self, ctx, shape):
        ctx.zero = ctx.scalar(0)

    def fprop(self, ctx, x):
        ctx.x = x
        return torch.clamp_max(x, ctx.zero, out=ctx.y)

    def bprop(self, ctx, dy):
        return (torch.mul(dy, ctx.x <= ctx.zero, out=ctx.dx[0]),)

    def vjp(self, graph, node, dy):
        return (graph.apply(Multiply(), dy, graph.apply(Step(1.0, 0.0), *node.inputs)),)

    def reference(self, ctx, x):
        return x.clamp_max(0)
