"""Activations: elementwise, y = f(x) and dx = dy f'(x). Softmax and sparsemax are in simplex_maps.py.

`initialization` is the init for the weights before an activation: He's where half of the inputs are set to 0,
since that halves the variance. `reference` is the same function in torch, independent of both passes, `onnx`
that of an exported file.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn import functional as F

from nnlab import plugins
from nnlab.autodiff.box import Box
from nnlab.autodiff.combine import Add, Multiply
from nnlab.autodiff.elementary import Exp, NormalDensity, NormalDistribution, OneMinus, Plus, Power
from nnlab.autodiff.piecewise import Abs, NegativePart, Step
from nnlab.autodiff.simplex_maps import Softmax, Sparsemax
from nnlab.hyperparameters import static

threshold_backward = torch.ops.aten.threshold_backward.grad_input  # dx = dy [y > 0], in one pass


@dataclass(frozen=True)
class Identity(Box):
    """y = x."""

    name: ClassVar[str] = "identity"
    formula: ClassVar[str] = "x"

    def is_identity(self, site):
        return True

    def vjp(self, graph, node, dy):
        return (dy,)

    def reference(self, ctx, x):
        return x

    def onnx(self, op, x):
        return x


@dataclass(frozen=True)
class ReLU(Box):
    """y = max(x, 0); dx = dy [y > 0]. At 0 the derivative is taken to be 0."""

    name: ClassVar[str] = "relu"
    elementwise: ClassVar[bool] = True
    in_place: ClassVar[bool] = True
    formula: ClassVar[str] = "max(x, 0)"
    initialization: ClassVar[str] = "he_normal"

    def settle(self, ctx, shape):
        ctx.zero = ctx.scalar(0)

    def fprop(self, ctx, x):
        return torch.clamp_min(x, ctx.zero, out=ctx.y)

    def bprop(self, ctx, dy):
        threshold_backward(dy, ctx.y, 0, grad_input=ctx.dx[0])
        return ctx.dx

    def vjp(self, graph, node, dy):
        return (graph.apply(Multiply(), dy, graph.apply(Step(), graph[node.name])),)

    def reference(self, ctx, x):
        return F.relu(x)

    def onnx(self, op, x):
        return op.Relu(x)


@dataclass(frozen=True)
class LeakyReLU(Box):
    """y = max(x, a x) with the slope a < 1; dx = dy max([y > 0], a). Maas, Hannun and Ng 2013."""

    name: ClassVar[str] = "leaky_relu"
    elementwise: ClassVar[bool] = True
    formula: ClassVar[str] = "max(x, a x)"
    initialization: ClassVar[str] = "he_normal"
    slope: float = static(0.01, low=0, below=1)

    def settle(self, ctx, shape):
        ctx.a = ctx.scalar(self.slope)

    def fprop(self, ctx, x):
        torch.mul(x, ctx.a, out=ctx.y)
        return torch.maximum(x, ctx.y, out=ctx.y)

    def bprop(self, ctx, dy):
        (dx,) = ctx.dx
        torch.sign(ctx.y, out=dx).clamp_min_(ctx.a).mul_(dy)
        return ctx.dx

    def vjp(self, graph, node, dy):
        slope = graph.apply(Step(low=self.slope), *node.inputs)
        return (graph.apply(Multiply(), dy, slope),)

    def reference(self, ctx, x):
        return F.leaky_relu(x, self.slope)

    def onnx(self, op, x):
        return op.Max(x, op.Mul(x, self.slope))


@dataclass(frozen=True)
class ELU(Box):
    """y = x where x > 0, else exp(x) - 1; dx = dy (1 + min(y, 0)). Clevert, Unterthiner, Hochreiter 2016.

    Since exp(x) - 1 >= x, that is y = max(x, exp(min(x, 0)) - 1).
    """

    name: ClassVar[str] = "elu"
    elementwise: ClassVar[bool] = True
    formula: ClassVar[str] = "max(x, exp(min(x, 0)) - 1)"
    initialization: ClassVar[str] = "he_normal"

    def settle(self, ctx, shape):
        ctx.zero = ctx.scalar(0)

    def fprop(self, ctx, x):
        torch.clamp_max(x, ctx.zero, out=ctx.y).expm1_()
        return torch.maximum(x, ctx.y, out=ctx.y)

    def bprop(self, ctx, dy):
        (dx,) = ctx.dx
        torch.clamp_max(ctx.y, ctx.zero, out=dx)
        torch.addcmul(dy, dx, dy, out=dx)
        return ctx.dx

    def vjp(self, graph, node, dy):
        slope = graph.apply(Exp(), graph.apply(NegativePart(), *node.inputs))
        return (graph.apply(Multiply(), dy, slope),)

    def reference(self, ctx, x):
        return F.elu(x)

    def onnx(self, op, x):
        return op.Max(x, op.Sub(op.Exp(op.Min(x, 0)), 1))


@dataclass(frozen=True)
class GELU(Box):
    """y = x P(x), P the normal distribution and p its density; dx = dy (P + x p). Hendrycks, Gimpel 2016.

    P(x) = (1 + erf(x / sqrt 2)) / 2 and p(x) = exp(-x^2 / 2 - log(2 pi) / 2): exact, no approximation.
    """

    name: ClassVar[str] = "gelu"
    elementwise: ClassVar[bool] = True
    formula: ClassVar[str] = "x P(x)"
    initialization: ClassVar[str] = "he_normal"

    def settle(self, ctx, shape):
        ctx.root_half, ctx.half = ctx.scalar(math.sqrt(0.5)), ctx.scalar(0.5)
        ctx.log_p0 = ctx.scalar(-0.5 * math.log(2 * math.pi))
        ctx.P = ctx.zeros()

    def fprop(self, ctx, x):
        ctx.x = x
        torch.mul(x, ctx.root_half, out=ctx.P).erf_()
        torch.add(ctx.half, ctx.P, alpha=0.5, out=ctx.P)
        return torch.mul(x, ctx.P, out=ctx.y)

    def bprop(self, ctx, dy):
        (dx,), x = ctx.dx, ctx.x
        torch.addcmul(ctx.log_p0, x, x, value=-0.5, out=dx).exp_()
        torch.addcmul(ctx.P, x, dx, out=dx).mul_(dy)
        return ctx.dx

    def vjp(self, graph, node, dy):
        (x,) = node.inputs
        P, p = graph.apply(NormalDistribution(), x), graph.apply(NormalDensity(), x)
        slope = graph.apply(Add(), P, graph.apply(Multiply(), x, p))
        return (graph.apply(Multiply(), dy, slope),)

    def reference(self, ctx, x):
        return F.gelu(x)

    def onnx(self, op, x):
        return op.Mul(x, op.Mul(op.Add(op.Erf(op.Mul(x, math.sqrt(0.5))), 1), 0.5))


@dataclass(frozen=True)
class SiLU(Box):
    """y = x s with s = 1 / (1 + exp(-x)); dx = dy (s + y (1 - s)). Elfwing, Uchibe and Doya 2017."""

    name: ClassVar[str] = "silu"
    elementwise: ClassVar[bool] = True
    formula: ClassVar[str] = "x / (1 + exp(-x))"
    initialization: ClassVar[str] = "he_normal"

    def settle(self, ctx, shape):
        ctx.s = ctx.zeros()

    def fprop(self, ctx, x):
        torch.sigmoid(x, out=ctx.s)
        return torch.mul(x, ctx.s, out=ctx.y)

    def bprop(self, ctx, dy):
        (dx,) = ctx.dx
        torch.addcmul(ctx.s, ctx.s, ctx.y, value=-1, out=dx).add_(ctx.y).mul_(dy)
        return ctx.dx

    def vjp(self, graph, node, dy):
        y, s = graph[node.name], graph.apply(Sigmoid(), *node.inputs)
        slope = graph.apply(Add(), s, graph.apply(Multiply(), y, graph.apply(OneMinus(), s)))
        return (graph.apply(Multiply(), dy, slope),)

    def reference(self, ctx, x):
        return F.silu(x)

    def onnx(self, op, x):
        return op.Mul(x, op.Sigmoid(x))


@dataclass(frozen=True)
class Softplus(Box):
    """y = log(1 + exp(x)); dx = dy / (1 + exp(-x)). Dugas et al. 2001."""

    name: ClassVar[str] = "softplus"
    elementwise: ClassVar[bool] = True
    formula: ClassVar[str] = "log(1 + exp(x))"
    initialization: ClassVar[str] = "he_normal"

    def settle(self, ctx, shape):
        ctx.zero = ctx.scalar(0)

    def fprop(self, ctx, x):
        ctx.x = x
        return torch.logaddexp(x, ctx.zero, out=ctx.y)

    def bprop(self, ctx, dy):
        (dx,) = ctx.dx
        torch.sigmoid(ctx.x, out=dx).mul_(dy)
        return ctx.dx

    def vjp(self, graph, node, dy):
        return (graph.apply(Multiply(), dy, graph.apply(Sigmoid(), *node.inputs)),)

    def reference(self, ctx, x):
        return F.softplus(x)

    def onnx(self, op, x):
        return op.Add(op.Relu(x), op.Log(op.Add(op.Exp(op.Neg(op.Abs(x))), 1)))


@dataclass(frozen=True)
class Softsign(Box):
    """y = x / d with d = 1 + |x|; dx = dy / d^2. Glorot and Bengio 2010."""

    name: ClassVar[str] = "softsign"
    elementwise: ClassVar[bool] = True
    formula: ClassVar[str] = "x / (1 + |x|)"
    bounded: ClassVar[bool] = True

    def settle(self, ctx, shape):
        ctx.one, ctx.d = ctx.scalar(1), ctx.zeros()

    def fprop(self, ctx, x):
        torch.abs(x, out=ctx.d).add_(ctx.one)
        return torch.div(x, ctx.d, out=ctx.y)

    def bprop(self, ctx, dy):
        (dx,) = ctx.dx
        torch.div(dy, ctx.d, out=dx).div_(ctx.d)
        return ctx.dx

    def vjp(self, graph, node, dy):
        d = graph.apply(Plus(1.0), graph.apply(Abs(), *node.inputs))
        return (graph.apply(Multiply(), dy, graph.apply(Power(-2.0), d)),)

    def reference(self, ctx, x):
        return F.softsign(x)

    def onnx(self, op, x):
        return op.Div(x, op.Add(op.Abs(x), 1))


@dataclass(frozen=True)
class Sigmoid(Box):
    """y = 1 / (1 + exp(-x)); dx = dy y (1 - y)."""

    name: ClassVar[str] = "sigmoid"
    elementwise: ClassVar[bool] = True
    formula: ClassVar[str] = "1 / (1 + exp(-x))"
    bounded: ClassVar[bool] = True

    def fprop(self, ctx, x):
        return torch.sigmoid(x, out=ctx.y)

    def bprop(self, ctx, dy):
        (dx,) = ctx.dx
        torch.mul(dy, ctx.y, out=dx)
        dx.addcmul_(dx, ctx.y, value=-1)
        return ctx.dx

    def vjp(self, graph, node, dy):
        y = graph[node.name]
        slope = graph.apply(Multiply(), y, graph.apply(OneMinus(), y))
        return (graph.apply(Multiply(), dy, slope),)

    def reference(self, ctx, x):
        return F.sigmoid(x)

    def onnx(self, op, x):
        return op.Sigmoid(x)


@dataclass(frozen=True)
class Tanh(Box):
    """y = tanh(x); dx = dy (1 - y^2)."""

    name: ClassVar[str] = "tanh"
    elementwise: ClassVar[bool] = True
    formula: ClassVar[str] = "tanh(x)"
    bounded: ClassVar[bool] = True

    def fprop(self, ctx, x):
        return torch.tanh(x, out=ctx.y)

    def bprop(self, ctx, dy):
        (dx,) = ctx.dx
        torch.mul(dy, ctx.y, out=dx)
        torch.addcmul(dy, dx, ctx.y, value=-1, out=dx)
        return ctx.dx

    def vjp(self, graph, node, dy):
        slope = graph.apply(OneMinus(), graph.apply(Power(2.0), graph[node.name]))
        return (graph.apply(Multiply(), dy, slope),)

    def reference(self, ctx, x):
        return F.tanh(x)

    def onnx(self, op, x):
        return op.Tanh(x)


ACTIVATIONS = {
    box.name: box for box in (Identity, ReLU, LeakyReLU, ELU, GELU, SiLU, Softplus, Sigmoid, Tanh, Softsign)
}
OUTPUTS = {box.name: box for box in (Identity, Softmax, Sparsemax, Sigmoid)}


def activation_class(name: str) -> type[Box]:
    """The activation with that name, from nnlab or an installed package; the identity for an unknown name, as
    may be in a graph that was built by hand."""
    return ACTIVATIONS.get(name) or plugins.find("activation", name) or Identity
