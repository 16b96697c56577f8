"""Products of a matrix of weights and vectors; each is bilinear, and has the other two as its derivatives.

    linear             y = W x      dW = dy x',  dx = W' dy
    linear_transposed  y = W' x     dW = x dy',  dx = W dy
    outer_product      W = y x'     dy = dW x,   dx = dW' y

x is (n, B), y (m, B) and W (m, n), which all examples share: so a product with x' sums over them. With more
dimensions before these, (d, n, B), (d, m, B) and (d, m, n), each of d matrices has its own vectors.
"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from nnlab.autodiff.box import Box, Context
from nnlab.autodiff.products import product
from nnlab.runtime.layout import aligned


def stacked_product(ctx: Context, outer: tuple[int, ...], m: int, k: int, n: int, out: torch.Tensor):
    """The kernel for a (K, *outer, m, k) @ b (K, *outer, k, n) -> out (K, *outer, m, n)."""
    if not outer:
        return product(ctx.site, m, k, n, out)
    rows = ctx.site.rows * math.prod(outer)

    def stack(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
        """A buffer in which each matrix is aligned like a row's, and its view (K, *outer, *shape)."""
        flat = aligned(rows, shape, ctx.site.template)
        return flat, flat.unflatten(0, (ctx.site.rows, *outer))

    (a_rows, a_view), (b_rows, b_view), (out_rows, out_view) = stack(m, k), stack(k, n), stack(m, n)
    multiply = product(replace(ctx.site, rows=rows), m, k, n, out_rows)

    def stacked(a, b):
        a_view.copy_(a)
        b_view.copy_(b)
        multiply(a_rows, b_rows)
        return out.copy_(out_view)

    return stacked


@dataclass(frozen=True)
class Linear(Box):
    """y = W x, of inputs x and W."""

    name: ClassVar[str] = "linear"
    formula: ClassVar[str] = "W x"

    def output_shape(self, x, W):
        return W[:-1]

    def multiply_adds(self, x, W):
        return math.prod(W)

    def settle(self, ctx, x, W):
        (*outer, m, n), B = W, ctx.site.batch
        dx, dW = ctx.dx
        ctx.to_y = stacked_product(ctx, outer, m, n, B, ctx.y)
        ctx.to_dx = dx is not None and stacked_product(ctx, outer, n, m, B, dx)
        ctx.to_dW = dW is not None and stacked_product(ctx, outer, m, B, n, dW)

    def fprop(self, ctx, x, W):
        ctx.x, ctx.W = x, W
        return ctx.to_y(W, x)

    def bprop(self, ctx, dy):
        dx, dW = ctx.dx
        return (dx is not None and ctx.to_dx(ctx.W.mT, dy), dW is not None and ctx.to_dW(dy, ctx.x.mT))

    def vjp(self, graph, node, dy):
        x, W = node.inputs
        return graph.apply(LinearTransposed(), dy, W), graph.apply(OuterProduct(), dy, x)

    def reference(self, ctx, x, W):
        return W @ x


@dataclass(frozen=True)
class LinearTransposed(Box):
    """y = W' x, of inputs x and W."""

    name: ClassVar[str] = "linear_transposed"
    formula: ClassVar[str] = "W' x"

    def output_shape(self, x, W):
        return (*W[:-2], W[-1])

    def multiply_adds(self, x, W):
        return math.prod(W)

    def settle(self, ctx, x, W):
        (*outer, m, n), B = W, ctx.site.batch
        dx, dW = ctx.dx
        ctx.to_y = stacked_product(ctx, outer, n, m, B, ctx.y)
        ctx.to_dx = dx is not None and stacked_product(ctx, outer, m, n, B, dx)
        ctx.to_dW = dW is not None and stacked_product(ctx, outer, m, B, n, dW)

    def fprop(self, ctx, x, W):
        ctx.x, ctx.W = x, W
        return ctx.to_y(W.mT, x)

    def bprop(self, ctx, dy):
        dx, dW = ctx.dx
        return (dx is not None and ctx.to_dx(ctx.W, dy), dW is not None and ctx.to_dW(ctx.x, dy.mT))

    def vjp(self, graph, node, dy):
        x, W = node.inputs
        return graph.apply(Linear(), dy, W), graph.apply(OuterProduct(), x, dy)

    def reference(self, ctx, x, W):
        return W.mT @ x


@dataclass(frozen=True)
class OuterProduct(Box):
    """W = y x', of inputs y and x: the sum over the examples of each one's outer product."""

    name: ClassVar[str] = "outer_product"
    formula: ClassVar[str] = "Σ y x', over examples"
    output_per_example: ClassVar[bool | None] = False

    def output_shape(self, y, x):
        return (*y, x[-1])

    def multiply_adds(self, y, x):
        return math.prod(y) * x[-1]

    def settle(self, ctx, y, x):
        (*outer, m), n, B = y, x[-1], ctx.site.batch
        dy, dx = ctx.dx
        ctx.to_W = stacked_product(ctx, outer, m, B, n, ctx.y)
        ctx.to_dy = dy is not None and stacked_product(ctx, outer, m, n, B, dy)
        ctx.to_dx = dx is not None and stacked_product(ctx, outer, n, m, B, dx)

    def fprop(self, ctx, y, x):
        ctx.factors = y, x
        return ctx.to_W(y, x.mT)

    def bprop(self, ctx, dW):
        (y, x), (dy, dx) = ctx.factors, ctx.dx
        return (dy is not None and ctx.to_dy(dW, x), dx is not None and ctx.to_dx(dW.mT, y))

    def vjp(self, graph, node, dW):
        y, x = node.inputs
        return graph.apply(Linear(), x, dW), graph.apply(LinearTransposed(), y, dW)

    def reference(self, ctx, y, x):
        return y @ x.mT
