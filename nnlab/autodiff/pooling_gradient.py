"""The derivative of a pooling that is linear between its kinks: of which numbers it takes, and its transpose.

Such are the largest of each window, its mean, and what is drawn from it: y = L x with a matrix L that is
constant as long as x takes the same places. Its gradient is L' dy, of which L and L' are the derivatives. A
random shift is of this kind too. Such a box has `jvp(ctx, d, out)`, L d for the x of the last `fprop`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from nnlab.autodiff.box import Box, Context
from nnlab.errors import UserError
from nnlab.hyperparameters import static


def _settle(ctx, pool: Box, shape, dx: torch.Tensor | None) -> None:
    """A context for the pooling itself, whose input has this shape."""
    if pool.random and not ctx.training:
        raise UserError(f"the gradient of {pool.name} is that of training: bind its graph with training=True")
    inner = Context(ctx.site, (*pool.output_shape(shape), ctx.site.batch), (dx,))
    pool.settle(inner, shape)
    ctx.inner, ctx.noise_shape = inner, inner.noise_shape


def _inner(ctx) -> Context:
    """The pooling's own context, with the uniforms of this step."""
    if ctx.noise_shape:
        ctx.inner.uniforms = ctx.uniforms
    return ctx.inner


@dataclass(frozen=True)
class Unpool(Box):
    """L' y for the pooling `pool` of x, of inputs y and x: each y at the places where `pool` took x from.

    stream  of the uniforms by which a pooling draws, so that it draws the same
    """

    name: ClassVar[str] = "unpool"
    formula: ClassVar[str] = "y to what the pool took, else 0"
    pool: Box
    stream: str = static("")

    @property
    def random(self):
        return self.pool.random

    def output_shape(self, y, x):
        return x

    def settle(self, ctx, y, x):
        _settle(ctx, self.pool, x, ctx.y)

    def fprop(self, ctx, y, x):
        self.pool.fprop(_inner(ctx), x)
        return self.pool.bprop(ctx.inner, y)[0]

    def bprop(self, ctx, d):
        dy, dx = ctx.dx
        if dy is not None:
            self.pool.jvp(ctx.inner, d, dy)
        return dy, None if dx is None else dx.zero_()

    def vjp(self, graph, node, d):
        _, x = node.inputs
        return graph.apply(Repool(self.pool, self.stream), d, x), None

    def reference(self, ctx, y, x):
        return _transposed(self.pool, _inner(ctx), y, x)


@dataclass(frozen=True)
class Repool(Box):
    """L d for the pooling `pool` of x, of inputs d and x: of d what `pool` takes of x."""

    name: ClassVar[str] = "repool"
    formula: ClassVar[str] = "of d what the pool takes of x"
    pool: Box
    stream: str = static("")

    @property
    def random(self):
        return self.pool.random

    def output_shape(self, d, x):
        return self.pool.output_shape(x)

    def settle(self, ctx, d, x):
        _settle(ctx, self.pool, x, ctx.dx[0])

    def fprop(self, ctx, d, x):
        self.pool.fprop(_inner(ctx), x)
        return self.pool.jvp(ctx.inner, d, ctx.y)

    def bprop(self, ctx, dy):
        dd, dx = ctx.dx
        if dd is not None:
            self.pool.bprop(ctx.inner, dy)
        return dd, None if dx is None else dx.zero_()

    def vjp(self, graph, node, dy):
        _, x = node.inputs
        return graph.apply(Unpool(self.pool, self.stream), dy, x), None

    def reference(self, ctx, d, x):
        with torch.enable_grad():
            y = d.new_zeros(ctx.inner.y.shape).requires_grad_()
            (product,) = torch.autograd.grad(
                _transposed(self.pool, _inner(ctx), y, x), y, d, create_graph=True, materialize_grads=True
            )
        return product


def _transposed(pool: Box, inner: Context, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """L' y, the gradient of <y, L x> by torch."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        return torch.autograd.grad(pool.reference(inner, x), x, y, create_graph=True)[0]
