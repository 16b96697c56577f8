"""The means of which the gradient of batch normalisation consists, of the real examples of a batch."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from nnlab.autodiff.batch_counts import Counts, batch_counts, channel_shape
from nnlab.autodiff.box import Box
from nnlab.errors import UserError
from nnlab.hyperparameters import static


def _counts(ctx, shape) -> Counts:
    if not ctx.training:
        raise UserError("the gradient of batch_norm is that of training: bind its graph with training=True")
    if ctx.padded:
        return batch_counts(ctx.valid, shape, padded=True)
    return batch_counts(ctx.y.new_ones(1, 1, ctx.site.batch), shape, padded=False)


@dataclass(frozen=True)
class BatchMean(Box):
    """y_c = sum x_c / n over the positions and real examples, n values of each channel: (C, 1, ..., 1).

    One value has no variance, so where n = 1 batch normalisation takes running statistics: y = 0.
    """

    name: ClassVar[str] = "batch_mean"
    formula: ClassVar[str] = "Σ x / n"
    needs_valid: ClassVar[bool] = True
    output_per_example: ClassVar[bool | None] = False

    def output_shape(self, shape):
        return channel_shape(shape)

    def settle(self, ctx, shape):
        ctx.shape_of_x, ctx.axes = shape, tuple(range(2, len(shape) + 2))

    def fprop(self, ctx, x):
        ctx.counts = _counts(ctx, ctx.shape_of_x)
        x = x if ctx.counts.valid is None else x * ctx.counts.valid
        return torch.sum(x, ctx.axes, keepdim=True, out=ctx.y).mul_(ctx.counts.inverse)

    def bprop(self, ctx, dy):
        (dx,) = ctx.dx
        dx.copy_(dy * ctx.counts.inverse)
        return (dx if ctx.counts.valid is None else dx.mul_(ctx.counts.valid),)

    def vjp(self, graph, node, dy):
        (x,) = node.inputs
        return (graph.apply(BatchShare(graph.nodes[x].shape), dy),)

    def reference(self, ctx, x):
        n = x[0, 0].numel()
        return x.mean(ctx.axes, keepdim=True) if n > 1 else 0 * x


@dataclass(frozen=True)
class BatchShare(Box):
    """y = x_c / n for each of the n values of channel c in a batch of values of `shape`: see `BatchMean`."""

    name: ClassVar[str] = "batch_share"
    formula: ClassVar[str] = "x / n"
    needs_valid: ClassVar[bool] = True
    output_per_example: ClassVar[bool | None] = True
    shape: tuple[int, ...] = static(low=1)

    def output_shape(self, shape):
        return self.shape

    def settle(self, ctx, shape):
        ctx.axes = tuple(range(2, len(self.shape) + 2))

    def fprop(self, ctx, x):
        ctx.counts = _counts(ctx, self.shape)
        ctx.y.copy_(x * ctx.counts.inverse)
        return ctx.y if ctx.counts.valid is None else ctx.y.mul_(ctx.counts.valid)

    def bprop(self, ctx, dy):
        (dx,) = ctx.dx
        dy = dy if ctx.counts.valid is None else dy * ctx.counts.valid
        return (torch.sum(dy, ctx.axes, keepdim=True, out=dx).mul_(ctx.counts.inverse),)

    def vjp(self, graph, node, dy):
        return (graph.apply(BatchMean(), dy),)

    def reference(self, ctx, x):
        n = math.prod(self.shape[1:]) * ctx.site.batch
        return (x / n if n > 1 else 0 * x).expand(-1, *self.shape, ctx.site.batch)


@dataclass(frozen=True)
class RunningStatistic(Box):
    """y = x, a running statistic, where a batch has n = 1 value of each channel; else 0.

    Then it stands in place of the batch's own, which is 0 there: `BatchMean` + this is what normalises.
    shape  of the values of the batch
    """

    name: ClassVar[str] = "running_statistic"
    formula: ClassVar[str] = "x where n = 1, else 0"
    needs_valid: ClassVar[bool] = True
    shape: tuple[int, ...] = static(low=1)

    def fprop(self, ctx, x):
        ctx.single = _counts(ctx, self.shape).single
        return torch.mul(x, ctx.single, out=ctx.y)

    def bprop(self, ctx, dy):
        return (torch.mul(dy, ctx.single, out=ctx.dx[0]),)

    def vjp(self, graph, node, dy):
        return (graph.apply(self, dy),)

    def reference(self, ctx, x):
        return x * float(math.prod(self.shape[1:]) * ctx.site.batch == 1)
