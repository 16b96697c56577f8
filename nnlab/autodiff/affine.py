"""The affine box, y = W x + b: a fully connected layer."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn import functional as F

from nnlab.autodiff.affine_of_images import ProductsInMemoryOrder
from nnlab.autodiff.box import Box, Parameter
from nnlab.autodiff.linear_maps import LinearTransposed, OuterProduct
from nnlab.autodiff.products import product
from nnlab.autodiff.reductions import SumExamples
from nnlab.autodiff.reshaping import Flatten, Reshape, Reshaped
from nnlab.hyperparameters import static


@dataclass(frozen=True)
class Affine(Box):
    """Y = W X + b, with X (K, fan_in, B), W (K, fan_out, fan_in), b (K, fan_out, 1).

    bprop:  dX = W' dY,  dW = dY X',  db = the sum of dY over the examples.

    Inputs with more dimensions, such as images, are flattened. The initialisation of W depends on the
    `activation` that follows.
    """

    name: ClassVar[str] = "affine"
    formula: ClassVar[str] = "W x + b"
    units: int = static(low=1)
    activation: str = static("identity")

    def leaves(self, shape):
        fan_in = math.prod(shape)
        return {
            "weight": Parameter((self.units, fan_in), "weight", fan_in, self.units, self.activation),
            "bias": Parameter((self.units, 1), "bias"),
        }

    def output_shape(self, shape):
        return (self.units,)

    def multiply_adds(self, shape):
        return self.units * math.prod(shape)

    def settle(self, ctx, shape):
        fan_in, fan_out, batch = math.prod(shape), self.units, ctx.site.batch
        dx, dW, _ = ctx.dx
        ctx.x = ctx.W = ctx.images = None
        ctx.is_flat = len(shape) == 1
        if ctx.site.channels_last and not ctx.is_flat:
            ctx.images = ProductsInMemoryOrder(ctx, shape, fan_out)
            return
        ctx.to_y = product(ctx.site, fan_out, fan_in, batch, ctx.y)
        if dx is not None:
            dX = dx if ctx.is_flat else ctx.zeros(fan_in, batch)
            ctx.to_dX = product(ctx.site, fan_in, fan_out, batch, dX)
        if dW is not None:
            ctx.to_dW = product(ctx.site, fan_out, batch, fan_in, dW)
        if not ctx.is_flat:
            ctx.to_X, ctx.to_dx = (Reshaped(ctx, v) for v in (ctx.zeros(fan_in, batch), dx))

    def fprop(self, ctx, x, W, b):
        if ctx.images:
            return torch.add(ctx.images.fprop(x, W), b, out=ctx.y)
        if x is not ctx.x or not ctx.is_flat:  # flattening may copy
            ctx.x, X = x, x if ctx.is_flat else ctx.to_X(x)
            ctx.X, ctx.XT = X, X.mT
        if W is not ctx.W:
            ctx.W, ctx.WT = W, W.mT
        return torch.add(ctx.to_y(W, ctx.X), b, out=ctx.y)

    def bprop(self, ctx, dy):
        dx, dW, db = ctx.dx
        if db is not None:
            torch.sum(dy, 2, keepdim=True, out=db)
        if ctx.images:
            ctx.images.bprop(dy)
            return ctx.dx
        if dW is not None:
            ctx.to_dW(dy, ctx.XT)
        if dx is not None:
            dX = ctx.to_dX(ctx.WT, dy)
            if not ctx.is_flat:
                return ctx.to_dx(dX), dW, db
        return ctx.dx

    def vjp(self, graph, node, dy):
        x, W, _ = node.operands
        shape, dx = graph.nodes[x].shape, graph.apply(LinearTransposed(), dy, W)
        if len(shape) > 1:
            x, dx = graph.apply(Flatten(), x), graph.apply(Reshape(shape), dx)
        return dx, graph.apply(OuterProduct(), dy, x), graph.apply(SumExamples(), dy)

    def reference(self, ctx, x, W, b):
        rows = zip(x.flatten(1, -2).expand(len(W), -1, -1), W, b, strict=True)
        return torch.stack([F.linear(inputs.T, weight, bias[:, 0]).T for inputs, weight, bias in rows])

    def onnx(self, op, x, W, b):
        if len(op.shapes[0]) > 1:
            x = op.Reshape(x, shape=[0, math.prod(op.shapes[0]), -1])
        return op.Add(op.MatMul(W, x), b)
