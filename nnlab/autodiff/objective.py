"""Scalars that are minimised or differentiated: the loss as a box, the inner product, and the constant 1."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from nnlab.autodiff.box import Box
from nnlab.autodiff.combine import Multiply
from nnlab.autodiff.reductions import Repeat
from nnlab.errors import UserError
from nnlab.hyperparameters import static

SCALAR = (1, 1)  # the shape of a number of each row, without B


@dataclass(frozen=True)
class Constant(Box):
    """y = c, in the shape of its input, on which it does not depend: dx = 0."""

    name: ClassVar[str] = "constant"
    formula: ClassVar[str] = "c"
    value: float = static(1.0)

    def fprop(self, ctx, x):
        return ctx.y.fill_(self.value)

    def bprop(self, ctx, dy):
        return (ctx.dx[0].zero_(),)

    def vjp(self, graph, node, dy):
        return (None,)

    def reference(self, ctx, x):
        return 0 * x + self.value


@dataclass(frozen=True)
class ScalarTimes(Box):
    """y = c x, of inputs c, a number of each row, and x of any shape; dx = c dy, dc = <dy, x>."""

    name: ClassVar[str] = "scalar_times"
    formula: ClassVar[str] = "c x"

    def output_shape(self, c, x):
        return x

    def fprop(self, ctx, c, x):
        ctx.c, ctx.x = c.view(len(c), *(1,) * (x.ndim - 1)), x
        return torch.mul(x, ctx.c, out=ctx.y)

    def bprop(self, ctx, dy):
        dc, dx = ctx.dx
        if dc is not None:
            dc.copy_(inner_product(dy, ctx.x))
        if dx is not None:
            torch.mul(dy, ctx.c, out=dx)
        return ctx.dx

    def vjp(self, graph, node, dy):
        c, x = node.inputs
        return graph.apply(InnerProduct(), dy, x), scaled(graph, c, dy)

    def reference(self, ctx, c, x):
        return c.reshape(-1, *(1,) * (x.ndim - 1)) * x


def scaled(graph, c: int, x: int) -> int:
    """The value c x of a graph, for a scalar value c and a value x: x itself where c is the constant 1."""
    return x if graph.nodes[c].box == Constant(1.0) else graph.apply(ScalarTimes(), c, x)


@dataclass(frozen=True)
class InnerProduct(Box):
    """y = <a_1, b_1> + <a_2, b_2> + ..., of inputs a_1, b_1, a_2, b_2, ...: sums over all numbers of a row,
    those of all examples; da_i = dy b_i, db_i = dy a_i."""

    name: ClassVar[str] = "inner_product"
    formula: ClassVar[str] = "<a, b>"
    output_per_example: ClassVar[bool | None] = False

    def output_shape(self, *shapes):
        return SCALAR

    def fprop(self, ctx, *x):
        ctx.x = x
        ctx.y.zero_()
        for a, b in zip(x[::2], x[1::2], strict=True):
            ctx.y.add_(inner_product(a, b))
        return ctx.y

    def bprop(self, ctx, dy):
        for dx, other in zip(ctx.dx, _swapped(ctx.x), strict=True):
            if dx is not None:
                torch.mul(other, dy.view(len(dy), *(1,) * (dx.ndim - 1)), out=dx)
        return ctx.dx

    def vjp(self, graph, node, dy):
        return tuple(scaled(graph, dy, other) for other in _swapped(node.inputs))

    def reference(self, ctx, *x):
        pairs = zip(x[::2], x[1::2], strict=True)
        return sum((a * b).flatten(1).sum(1) for a, b in pairs)[:, None, None]


def inner_product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """<a, b> of each row, (K, 1, 1)."""
    return torch.mul(a, b).flatten(1).sum(1)[:, None, None]


def _swapped(pairs) -> list:
    """b_1, a_1, b_2, a_2, ... of a_1, b_1, a_2, b_2, ..."""
    return [pairs[j ^ 1] for j in range(len(pairs))]


@dataclass(frozen=True)
class LossBox(Box):
    """L = sum_B w l(z, t), of inputs z, targets t and example weights w: a loss, as the end of a graph.

    With w = 1 / B it is the mean of the losses l. Targets and weights are data, without a gradient.
    """

    name: ClassVar[str] = "loss"
    formula: ClassVar[str] = "Σ w l(z, t)"
    output_per_example: ClassVar[bool | None] = False
    loss: object = None

    def output_shape(self, z, t, w):
        return SCALAR

    def fprop(self, ctx, z, t, w):
        ctx.z, ctx.t, ctx.w = z, t, w
        losses = self.loss.fprop(z, t)[:, None]
        return torch.sum(losses * w, 2, keepdim=True, out=ctx.y)

    def bprop(self, ctx, dy):
        dz, dt, dw = ctx.dx
        for unused in (dt, dw):
            if unused is not None:
                unused.zero_()
        if dz is not None:
            self.loss.bprop(ctx.z, ctx.t, dy * ctx.w, out=dz)
        return ctx.dx

    def vjp(self, graph, node, dy):
        z, t, w = node.inputs
        if self.loss.vjp is None:
            raise UserError(f"loss '{self.loss.name}' has no vjp, so a network with it has no gradient graph")
        slope, w = self.loss.vjp(graph, z, t), scaled(graph, dy, w)
        if graph.nodes[z].shape != graph.nodes[w].shape:
            w = graph.apply(Repeat(graph.nodes[z].shape), w)
        return graph.apply(Multiply(), slope, w), None, None

    @property
    def reference(self):
        if self.loss.reference is None:
            return None
        return lambda ctx, z, t, w: (self.loss.reference(z, t)[:, None] * w).sum(2, keepdim=True)
