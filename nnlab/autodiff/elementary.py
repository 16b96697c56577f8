"""Elementary functions of each number, of which the gradients of activations consist: see `Box.vjp`.

Each has a `vjp` of these boxes and `Multiply`, so a gradient can be differentiated again. Functions with a
kink are in piecewise.py. `Subtract`, and `Abs` of there, are boxes of networks too: |a - b| of two branches.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from nnlab.autodiff.box import Box
from nnlab.autodiff.combine import Multiply, common_shape
from nnlab.hyperparameters import static


@dataclass(frozen=True)
class Subtract(Box):
    """y = a - b, elementwise; da = dy, db = -dy."""

    name: ClassVar[str] = "subtract"
    formula: ClassVar[str] = "a - b"

    def output_shape(self, first, second):
        return common_shape((first, second))

    def fprop(self, ctx, a, b):
        return torch.sub(a, b, out=ctx.y)

    def bprop(self, ctx, dy):
        _, db = ctx.dx
        return (dy, None if db is None else torch.neg(dy, out=db))

    def vjp(self, graph, node, dy):
        return dy, graph.apply(Times(-1.0), dy)

    def reference(self, ctx, a, b):
        return a - b

    def onnx(self, op, a, b):
        return op.Sub(a, b)


@dataclass(frozen=True)
class Times(Box):
    """y = c x with a constant c; dx = c dy."""

    name: ClassVar[str] = "times"
    formula: ClassVar[str] = "c x"
    factor: float = static(1.0)

    def settle(self, ctx, shape):
        ctx.c = ctx.scalar(self.factor)

    def fprop(self, ctx, x):
        return torch.mul(x, ctx.c, out=ctx.y)

    def bprop(self, ctx, dy):
        return (torch.mul(dy, ctx.c, out=ctx.dx[0]),)

    def vjp(self, graph, node, dy):
        return (graph.apply(self, dy),)

    def reference(self, ctx, x):
        return self.factor * x


@dataclass(frozen=True)
class Plus(Box):
    """y = x + c with a constant c; dx = dy."""

    name: ClassVar[str] = "plus"
    formula: ClassVar[str] = "x + c"
    term: float = static(1.0)

    def settle(self, ctx, shape):
        ctx.c = ctx.scalar(self.term)

    def fprop(self, ctx, x):
        return torch.add(x, ctx.c, out=ctx.y)

    def bprop(self, ctx, dy):
        return (dy,)

    def vjp(self, graph, node, dy):
        return (dy,)

    def reference(self, ctx, x):
        return x + self.term


@dataclass(frozen=True)
class OneMinus(Box):
    """y = 1 - x; dx = -dy."""

    name: ClassVar[str] = "one_minus"
    formula: ClassVar[str] = "1 - x"

    def settle(self, ctx, shape):
        ctx.one = ctx.scalar(1)

    def fprop(self, ctx, x):
        return torch.sub(ctx.one, x, out=ctx.y)

    def bprop(self, ctx, dy):
        return (torch.neg(dy, out=ctx.dx[0]),)

    def vjp(self, graph, node, dy):
        return (graph.apply(Times(-1.0), dy),)

    def reference(self, ctx, x):
        return 1 - x


@dataclass(frozen=True)
class Power(Box):
    """y = x^p with a constant p; dx = dy p x^(p - 1)."""

    name: ClassVar[str] = "power"
    formula: ClassVar[str] = "x^p"
    exponent: float = static(2.0)

    def settle(self, ctx, shape):
        ctx.p = ctx.scalar(self.exponent)

    def fprop(self, ctx, x):
        ctx.x = x
        return torch.pow(x, self.exponent, out=ctx.y)

    def bprop(self, ctx, dy):
        (dx,) = ctx.dx
        return (torch.pow(ctx.x, self.exponent - 1, out=dx).mul_(ctx.p).mul_(dy),)

    def vjp(self, graph, node, dy):
        (x,) = node.inputs
        p = self.exponent
        lower = x if p == 2 else graph.apply(Power(p - 1), x)
        return (graph.apply(Multiply(), dy, graph.apply(Times(p), lower)),)

    def reference(self, ctx, x):
        return x**self.exponent


@dataclass(frozen=True)
class Exp(Box):
    """y = exp(x); dx = dy y."""

    name: ClassVar[str] = "exp"
    formula: ClassVar[str] = "exp(x)"

    def fprop(self, ctx, x):
        return torch.exp(x, out=ctx.y)

    def bprop(self, ctx, dy):
        return (torch.mul(dy, ctx.y, out=ctx.dx[0]),)

    def vjp(self, graph, node, dy):
        return (graph.apply(Multiply(), dy, graph[node.name]),)

    def reference(self, ctx, x):
        return x.exp()


@dataclass(frozen=True)
class Sin(Box):
    """y = sin(x); dx = dy cos(x)."""

    name: ClassVar[str] = "sin"
    formula: ClassVar[str] = "sin(x)"

    def fprop(self, ctx, x):
        ctx.x = x
        return torch.sin(x, out=ctx.y)

    def bprop(self, ctx, dy):
        return (torch.cos(ctx.x, out=ctx.dx[0]).mul_(dy),)

    def vjp(self, graph, node, dy):
        return (graph.apply(Multiply(), dy, graph.apply(Cos(), *node.inputs)),)

    def reference(self, ctx, x):
        return x.sin()


@dataclass(frozen=True)
class Cos(Box):
    """y = cos(x); dx = -dy sin(x)."""

    name: ClassVar[str] = "cos"
    formula: ClassVar[str] = "cos(x)"

    def fprop(self, ctx, x):
        ctx.x = x
        return torch.cos(x, out=ctx.y)

    def bprop(self, ctx, dy):
        return (torch.sin(ctx.x, out=ctx.dx[0]).mul_(dy).neg_(),)

    def vjp(self, graph, node, dy):
        minus_sin = graph.apply(Times(-1.0), graph.apply(Sin(), *node.inputs))
        return (graph.apply(Multiply(), dy, minus_sin),)

    def reference(self, ctx, x):
        return x.cos()


@dataclass(frozen=True)
class NormalDistribution(Box):
    """y = P(x), the distribution function of N(0, 1), (1 + erf(x / sqrt 2)) / 2; dx = dy p(x)."""

    name: ClassVar[str] = "normal_distribution"
    formula: ClassVar[str] = "P(x)"

    def settle(self, ctx, shape):
        ctx.root_half, ctx.half = ctx.scalar(math.sqrt(0.5)), ctx.scalar(0.5)

    def fprop(self, ctx, x):
        ctx.x = x
        torch.mul(x, ctx.root_half, out=ctx.y).erf_()
        return torch.add(ctx.half, ctx.y, alpha=0.5, out=ctx.y)

    def bprop(self, ctx, dy):
        return (normal_density(ctx.x, ctx.dx[0]).mul_(dy),)

    def vjp(self, graph, node, dy):
        return (graph.apply(Multiply(), dy, graph.apply(NormalDensity(), *node.inputs)),)

    def reference(self, ctx, x):
        return torch.special.ndtr(x)


@dataclass(frozen=True)
class NormalDensity(Box):
    """y = p(x) = exp(-x^2 / 2) / sqrt(2 pi), the density of N(0, 1); dx = -dy x y."""

    name: ClassVar[str] = "normal_density"
    formula: ClassVar[str] = "p(x)"

    def fprop(self, ctx, x):
        ctx.x = x
        return normal_density(x, ctx.y)

    def bprop(self, ctx, dy):
        return (torch.mul(ctx.x, ctx.y, out=ctx.dx[0]).mul_(dy).neg_(),)

    def vjp(self, graph, node, dy):
        slope = graph.apply(Multiply(), graph.apply(Times(-1.0), *node.inputs), graph[node.name])
        return (graph.apply(Multiply(), dy, slope),)

    def reference(self, ctx, x):
        return torch.distributions.Normal(x.new_zeros(()), x.new_ones(())).log_prob(x).exp()


def normal_density(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """p(x), written into `out`."""
    return torch.mul(x, x, out=out).mul_(-0.5).sub_(0.5 * math.log(2 * math.pi)).exp_()
