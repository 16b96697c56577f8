"""Layer normalisation: each example standardised over its units, or channels and positions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn import functional as F

from nnlab.autodiff.batch_counts import channel_shape
from nnlab.autodiff.box import Box, Parameter
from nnlab.autodiff.combine import Multiply
from nnlab.autodiff.elementary import Plus, Power, Subtract
from nnlab.autodiff.reductions import RepeatChannels, SumChannels, mean
from nnlab.hyperparameters import static


@dataclass(frozen=True)
class LayerNorm(Box):
    """y = gamma u + beta, u = (x - mean) / sqrt(variance + epsilon), over the N numbers of each example.

    N counts all units, or all channels and positions of an image; gamma and beta are those of a unit or
    channel, so that images of any size have as many. That is torch.nn.LayerNorm for vectors, and
    torch.nn.GroupNorm(1, C) for images. With g = gamma dy,

        dx = (g - sum(g) / N - u sum(g u) / N) / sqrt(variance + epsilon)
        dgamma = sum_B(dy u),  dbeta = sum_B(dy)

    It is the same in training and evaluation. Gamma begins at 1, beta at 0, and no penalty is on them.
    Ba, Kiros and Hinton 2016; Wu and He 2018.
    """

    name: ClassVar[str] = "layer_norm"
    formula: ClassVar[str] = "γ (x - μ) / σ + β"
    epsilon: float = static(1e-5, above=0)

    def leaves(self, shape):
        channels = channel_shape(shape)
        return {
            "gamma": Parameter(channels, "bias", start=(1.0, 0.0)),
            "beta": Parameter(channels, "bias", start=(0.0, 0.0)),
        }

    def settle(self, ctx, shape):
        ctx.epsilon, ctx.inverse_N = ctx.scalar(self.epsilon), ctx.scalar(1 / math.prod(shape))
        ctx.example_axes, ctx.batch_axes = tuple(range(1, len(shape) + 1)), tuple(range(2, len(shape) + 2))
        ctx.u, ctx.product = ctx.zeros(), ctx.zeros() if ctx.training else ctx.y
        sums = (1,) * len(shape) + (ctx.site.batch,)
        ctx.mean, ctx.inverse_std = ctx.zeros(*sums), ctx.zeros(*sums)

    def fprop(self, ctx, x, gamma, beta):
        ctx.gamma = gamma
        mean, inverse_std = self._mean(ctx, x, ctx.mean), ctx.inverse_std
        torch.sub(x, mean, out=ctx.u)
        variance = self._mean(ctx, torch.mul(ctx.u, ctx.u, out=ctx.product), inverse_std)
        ctx.u.mul_(torch.add(variance, ctx.epsilon, out=inverse_std).rsqrt_())
        return torch.addcmul(beta, ctx.u, gamma, out=ctx.y)

    def bprop(self, ctx, dy):
        dx, dgamma, dbeta = ctx.dx
        if dbeta is not None:
            torch.sum(dy, ctx.batch_axes, keepdim=True, out=dbeta)
        if dgamma is not None:
            torch.sum(torch.mul(dy, ctx.u, out=ctx.product), ctx.batch_axes, keepdim=True, out=dgamma)
        if dx is not None:
            g = torch.mul(dy, ctx.gamma, out=dx)
            mean = self._mean(ctx, torch.mul(g, ctx.u, out=ctx.product), ctx.mean)
            torch.mul(ctx.u, mean, out=ctx.product)
            dx.sub_(self._mean(ctx, g, ctx.mean)).sub_(ctx.product).mul_(ctx.inverse_std)
        return ctx.dx

    def _mean(self, ctx, x, out):
        """The mean of each example, (K, 1, ..., B)."""
        return torch.sum(x, ctx.example_axes, keepdim=True, out=out).mul_(ctx.inverse_N)

    def vjp(self, graph, node, dy):
        x, gamma, _ = node.operands
        u, inverse_std = _standardised(graph, x, self.epsilon)
        dy_u = graph.apply(Multiply(), dy, u)
        g = graph.apply(Multiply(), dy, graph.apply(RepeatChannels(node.shape), gamma))
        along_u = graph.apply(Multiply(), u, mean(graph, graph.apply(Multiply(), g, u)))
        rest = graph.apply(Subtract(), graph.apply(Subtract(), g, mean(graph, g)), along_u)
        to_leaf = SumChannels(len(node.shape))
        dx = graph.apply(Multiply(), rest, inverse_std)
        return dx, graph.apply(to_leaf, dy_u), graph.apply(to_leaf, dy)

    def reference(self, ctx, x, gamma, beta):
        rows = zip(x.expand(len(gamma), *x.shape[1:]), gamma, beta, strict=True)
        return torch.stack([
            F.group_norm(row.movedim(-1, 0), 1, g.flatten(), b.flatten(), self.epsilon).movedim(0, -1)
            for row, g, b in rows
        ])  # fmt: skip

    def onnx(self, op, x, gamma, beta):
        axes = list(range(1, len(op.shapes[0]) + 1))
        u = op.Sub(x, op.ReduceMean(x, axes=axes, keepdims=1))
        variance = op.ReduceMean(op.Mul(u, u), axes=axes, keepdims=1)
        u = op.Div(u, op.Sqrt(op.Add(variance, self.epsilon)))
        return op.Add(op.Mul(u, gamma), beta)


def _standardised(graph, x: int, epsilon: float) -> tuple[int, int]:
    """u and 1 / sqrt(variance + epsilon) of a value of `graph`, in its shape."""
    centered = graph.apply(Subtract(), x, mean(graph, x))
    variance = mean(graph, graph.apply(Power(2.0), centered))
    inverse_std = graph.apply(Power(-0.5), graph.apply(Plus(epsilon), variance))
    return graph.apply(Multiply(), centered, inverse_std), inverse_std
