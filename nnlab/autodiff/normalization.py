"""Batch normalisation: each unit of a vector, or channel of an image, standardised over the batch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn import functional as F

from nnlab.autodiff.batch_counts import batch_counts, channel_shape
from nnlab.autodiff.batch_means import BatchMean, BatchShare, RunningStatistic
from nnlab.autodiff.box import Box, Buffer, Parameter
from nnlab.autodiff.combine import Add, Multiply
from nnlab.autodiff.elementary import Plus, Power, Subtract
from nnlab.autodiff.reductions import RepeatChannels, SumChannels
from nnlab.hyperparameters import static


@dataclass(frozen=True)
class BatchNorm(Box):
    """y = gamma u + beta, u = (x - mean) / sqrt(variance + epsilon), for each unit, or channel of an image.

    In training, mean and variance are those of the batch, over its examples and, of an image, its positions;
    what fills a short last batch is not counted. With n such values,

        dx = gamma / sqrt(variance + epsilon) (dy - sum(dy) / n - u sum(dy u) / n)
        dgamma = sum(dy u),  dbeta = sum(dy)

    and the running statistics move to those of the batch by the share `momentum`, the variance to its
    unbiased estimate, n / (n - 1) times as large: as torch.nn.BatchNorm1d and 2d do. Evaluation uses the
    running ones. Gamma begins at 1, beta at 0, and no penalty is on them. Ioffe and Szegedy 2015.

    One value has no variance. A short last batch of n = 1 is therefore normalised by the running statistics,
    and leaves them as they are (torch raises there); where every batch would be such, `UserError`.
    """

    name: ClassVar[str] = "batch_norm"
    formula: ClassVar[str] = "γ (x - μ) / σ + β"
    needs_valid: ClassVar[bool] = True
    shares_batch: ClassVar[bool | None] = True
    needs_y: ClassVar[bool] = False
    momentum: float = static(0.1, above=0, high=1)
    epsilon: float = static(1e-5, above=0)

    def leaves(self, shape):
        channels = channel_shape(shape)
        return {
            "gamma": Parameter(channels, "bias", start=(1.0, 0.0)),
            "beta": Parameter(channels, "bias", start=(0.0, 0.0)),
            "mean": Buffer(channels, start=0.0),
            "variance": Buffer(channels, start=1.0),
        }

    def least_batch(self, shape):
        return 2 if math.prod(shape[1:]) == 1 else 1

    def settle(self, ctx, shape):
        channels = channel_shape(shape)
        ctx.epsilon, ctx.momentum = ctx.scalar(self.epsilon), ctx.scalar(self.momentum)
        ctx.inverse_std, ctx.factor = ctx.zeros(*channels), ctx.zeros(*channels)
        if not ctx.training:
            return
        ctx.axes = tuple(range(2, len(shape) + 2))
        ctx.full = batch_counts(ctx.y.new_ones(1, 1, ctx.site.whole_batch), shape, padded=False)
        ctx.centered, ctx.mean, ctx.variance = ctx.zeros(), ctx.zeros(*channels), ctx.zeros(*channels)
        _, dgamma, dbeta, *_ = ctx.dx
        ctx.dgamma = ctx.zeros(*channels) if dgamma is None else dgamma
        ctx.dbeta = ctx.zeros(*channels) if dbeta is None else dbeta
        ctx.product = ctx.zeros() if ctx.dx[0] is None else ctx.dx[0]

    def fprop(self, ctx, x, gamma, beta, running_mean, running_variance):
        if not ctx.training:
            self._invert_std(ctx, running_variance)
            torch.mul(gamma, ctx.inverse_std, out=ctx.factor)
            torch.sub(x, running_mean, out=ctx.y)
            return torch.addcmul(beta, ctx.y, ctx.factor, out=ctx.y)
        ctx.counts = n = self._counts(ctx) if ctx.padded else ctx.full
        # Two passes: the sum of squares less the square of the sum would lose the digits of a small variance.
        torch.sum(n.real(x, out=ctx.centered), ctx.axes, keepdim=True, out=ctx.mean)
        mean = ctx.over_ranks(ctx.mean)[0].mul_(n.inverse)
        n.keep_single(mean, running_mean)
        n.real(torch.sub(x, mean, out=ctx.centered), out=ctx.centered)
        squares = torch.mul(ctx.centered, ctx.centered, out=ctx.product)
        torch.sum(squares, ctx.axes, keepdim=True, out=ctx.variance)
        variance = ctx.over_ranks(ctx.variance)[0].mul_(n.inverse)
        n.keep_single(variance, running_variance)
        self._invert_std(ctx, variance)
        running_mean.lerp_(mean, ctx.momentum)
        running_variance.lerp_(variance.mul_(n.bessel), ctx.momentum)
        torch.mul(gamma, ctx.inverse_std, out=ctx.factor)
        return torch.addcmul(beta, ctx.centered, ctx.factor, out=ctx.y)

    def bprop(self, ctx, dy):
        n, dx, dgamma, dbeta, scratch = ctx.counts, ctx.dx[0], ctx.dgamma, ctx.dbeta, ctx.mean
        torch.sum(dy, ctx.axes, keepdim=True, out=dbeta)
        torch.sum(torch.mul(dy, ctx.centered, out=ctx.product), ctx.axes, keepdim=True, out=dgamma)
        dgamma.mul_(ctx.inverse_std)
        if dx is not None:
            whole_dgamma, whole_dbeta = ctx.over_ranks(dgamma, dbeta)
            torch.mul(whole_dgamma, ctx.inverse_std, out=scratch).mul_(n.inverse)
            torch.sub(dy, torch.mul(ctx.centered, scratch, out=dx), out=dx)
            n.subtract(dx, torch.mul(whole_dbeta, n.inverse, out=scratch))
            dx.mul_(ctx.factor)
        return ctx.dx

    def _counts(self, ctx):
        return batch_counts(ctx.valid, ctx.shape[:-1], padded=True, count=ctx.count)

    def _invert_std(self, ctx, variance):
        torch.add(variance, ctx.epsilon, out=ctx.inverse_std).rsqrt_()

    def vjp(self, graph, node, dy):
        """As above, with the statistics computed anew; in training."""
        x, gamma, _, running_mean, running_variance = node.operands
        spread = RepeatChannels(node.shape)
        mean = _statistic(graph, x, running_mean)
        centered = graph.apply(Subtract(), x, graph.apply(spread, mean))
        variance = _statistic(graph, graph.apply(Power(2.0), centered), running_variance)
        inverse_std = graph.apply(Power(-0.5), graph.apply(Plus(self.epsilon), variance))
        u = graph.apply(Multiply(), centered, graph.apply(spread, inverse_std))
        to_leaf, share = SumChannels(len(node.shape)), BatchShare(node.shape)
        dgamma, dbeta = graph.apply(to_leaf, graph.apply(Multiply(), dy, u)), graph.apply(to_leaf, dy)
        along_u = graph.apply(Multiply(), u, graph.apply(share, dgamma))
        rest = graph.apply(Subtract(), graph.apply(Subtract(), dy, graph.apply(share, dbeta)), along_u)
        factor = graph.apply(spread, graph.apply(Multiply(), gamma, inverse_std))
        return graph.apply(Multiply(), factor, rest), dgamma, dbeta, None, None

    def reference(self, ctx, x, gamma, beta, mean, variance):
        """Of full batches."""
        rows = []
        for row, *leaves in zip(x.expand(len(gamma), *x.shape[1:]), gamma, beta, mean, variance, strict=True):
            g, b, m, v = (leaf.flatten() for leaf in leaves)
            statistics = m.detach().clone(), v.detach().clone()  # torch writes them
            y = F.batch_norm(row.movedim(-1, 0), *statistics, g, b, ctx.training, self.momentum, self.epsilon)
            rows.append(y.movedim(0, -1))
        return torch.stack(rows)

    def onnx(self, op, x, gamma, beta, mean, variance):
        factor = op.Div(gamma, op.Sqrt(op.Add(variance, self.epsilon)))
        return op.Add(op.Mul(op.Sub(x, mean), factor), beta)


def _statistic(graph, x: int, running: int) -> int:
    """The mean of a value of `graph` over the batch, or where that has one value the running statistic."""
    shape = graph.nodes[x].shape
    return graph.apply(Add(), graph.apply(BatchMean(), x), graph.apply(RunningStatistic(shape), running))
