"""Pooling: each window of a channel becomes one number, its largest, its mean, or the root of its squares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from nnlab.autodiff import pooled
from nnlab.autodiff.box import Box
from nnlab.autodiff.combine import Add, Multiply
from nnlab.autodiff.elementary import OneMinus, Power, Times
from nnlab.autodiff.image_calls import ImageCalls
from nnlab.autodiff.piecewise import Step
from nnlab.autodiff.pooling_gradient import Unpool
from nnlab.autodiff.reductions import Repeat
from nnlab.autodiff.reshaping import Reshape
from nnlab.autodiff.windows import Extent, Windows, windows_of
from nnlab.errors import UserError
from nnlab.hyperparameters import static


@dataclass(frozen=True)
class Pooling(Box):
    """Base of the poolings of images (C, H, W) and sequences (C, L): windows of `size`, `stride` apart.

    `size`, `stride` (by default the size, so that windows do not overlap) and `padding` (at both ends of an
    axis, at most half of the size) are one number for all axes, or a list with one for each. What does not
    fill a window at the end of an axis is left out.
    """

    size: Extent = static(2, low=1)
    stride: Extent | None = static(None, low=1)
    padding: Extent = static(0, low=0)

    def windows(self, shape: tuple[int, ...]) -> Windows:
        """Those over values of this shape. Raises `UserError` if they do not fit."""
        stride = self.size if self.stride is None else self.stride
        windows = windows_of(self.name, shape, self.size, stride, self.padding, kernel_name="size")
        if any(2 * axis.before > axis.kernel for axis in windows.axes):
            padding, size = (list(v) if isinstance(v, tuple) else v for v in (self.padding, self.size))
            raise UserError(f"{self.name}: padding = {padding} is more than half of size = {size}")
        # A larger one gives nothing but windows of padding around the image, up to any number of places.
        if any(axis.before > axis.length for axis in windows.axes):
            image = " x ".join(map(str, shape[1:]))
            raise UserError(
                f"{self.name}: padding = {self.padding} is more than the {image} points of the image"
            )
        return windows

    def output_shape(self, shape):
        return (shape[0], *self.windows(shape).counts)


@dataclass(frozen=True)
class MaxPool(Pooling):
    """y = the largest x of each window; dx = dy at its place, and 0 elsewhere.

    Of several that are equal, the first of the window has the gradient. Padding is never the largest.
    """

    name: ClassVar[str] = "max_pool"
    formula: ClassVar[str] = "max of a window"

    def settle(self, ctx, shape):
        ctx.index = torch.zeros_like(ctx.y, dtype=torch.long)  # the place of the largest in its image
        ctx.to_y = ImageCalls(pooled.largest(self.windows(shape)), ctx.site.threads)
        ctx.to_dx = pooled.ToPlaces(self.windows(shape), ctx)

    def fprop(self, ctx, x):
        ctx.to_y(x, ctx.y, ctx.index)
        return ctx.y

    def bprop(self, ctx, dy):
        ctx.to_dx(dy)
        return ctx.dx

    def jvp(self, ctx, d, out):
        """Of d the numbers at the places of the last `fprop`, in `out`: its derivative along d."""
        return pooled.at_places(ctx.index, d, out)

    def vjp(self, graph, node, dy):
        return (graph.apply(Unpool(self), dy, *node.inputs),)

    def reference(self, ctx, x):
        return (
            pooled.window_view(self.windows(x.shape[1:-1]), x, -torch.inf)
            .max(-1)
            .values.reshape(-1, *ctx.shape)
        )

    def onnx(self, op, x):
        (shape,) = op.shapes
        return pooled.onnx_max(op, self.windows(shape), x)


@dataclass(frozen=True)
class AveragePool(Pooling):
    """y = the mean of the n numbers of each window; dx = dy / n for each of them.

    Padding does not count: n is smaller where a window reaches into it. With `count_padding` n is the same
    everywhere, and the padding is 0.
    """

    name: ClassVar[str] = "average_pool"
    formula: ClassVar[str] = "mean of a window"
    count_padding: bool = static(False)

    def settle(self, ctx, shape):
        settle_mean(ctx, self.windows(shape), self.count_padding)

    def fprop(self, ctx, x):
        ctx.x = x
        ctx.to_y(x, ctx.y)
        return ctx.y

    def bprop(self, ctx, dy):
        ctx.to_dx(ctx.dx[0], dy, ctx.x)
        return ctx.dx

    def jvp(self, ctx, d, out):
        ctx.to_y(d, out)
        return out

    def vjp(self, graph, node, dy):
        return (graph.apply(Unpool(self), dy, *node.inputs),)

    def reference(self, ctx, x):
        windows = self.windows(x.shape[1:-1])
        count = pooled.window_view(windows, torch.ones_like(x), float(self.count_padding)).sum(-1)
        return (pooled.window_view(windows, x, 0).sum(-1) / count).reshape(-1, *ctx.shape)

    def onnx(self, op, x):
        (shape,) = op.shapes
        return pooled.onnx_mean(op, self.windows(shape), x, self.count_padding)


@dataclass(frozen=True)
class L2Pool(Pooling):
    """y = sqrt(sum of x^2) of each window; dx = dy x / y, and 0 where all of the window is 0.

    The sum, and not the mean, as in torch's LPPool2d and the comparison of Greydanus and Kobak 2024.
    """

    name: ClassVar[str] = "l2_pool"
    formula: ClassVar[str] = "√(Σ x²) of a window"

    def inner_units(self, shape):
        return torch.Size(shape).numel()

    def settle(self, ctx, shape):
        windows, threads = self.windows(shape), ctx.site.threads
        ctx.to_y = ImageCalls(_norms(windows), threads)
        ctx.to_dx = ImageCalls(_norms_gradient(windows), threads)
        ctx.squares, ctx.ratio = ctx.zeros(*shape, ctx.site.batch), torch.zeros_like(ctx.y)

    def fprop(self, ctx, x):
        ctx.x = x
        ctx.to_y(x, ctx.squares, ctx.y)
        return ctx.y

    def bprop(self, ctx, dy):
        ctx.to_dx(ctx.dx[0], ctx.x, ctx.y, dy, ctx.ratio)
        return ctx.dx

    def vjp(self, graph, node, dy):
        (x,), y = node.inputs, graph[node.name]
        or_one = graph.apply(Add(), y, graph.apply(OneMinus(), graph.apply(Step(), y)))
        ratio = graph.apply(Multiply(), dy, graph.apply(Power(-1.0), or_one))
        mean = AveragePool(self.size, self.stride, self.padding, count_padding=True)
        sums = graph.apply(
            Times(self.windows(graph.nodes[x].shape).size), graph.apply(Unpool(mean), ratio, x)
        )
        return (graph.apply(Multiply(), x, sums),)

    def reference(self, ctx, x):
        norms = torch.linalg.vector_norm(pooled.window_view(self.windows(x.shape[1:-1]), x, 0), dim=-1)
        return norms.reshape(-1, *ctx.shape)

    def onnx(self, op, x):
        (shape,) = op.shapes
        return op.Sqrt(pooled.onnx_sums(op, self.windows(shape), op.Mul(x, x)))


@dataclass(frozen=True)
class GlobalAveragePool(Box):
    """y_c = the mean of channel c over its whole image; dx = dy_c / (H W). Lin, Chen and Yan 2014."""

    name: ClassVar[str] = "global_average_pool"
    formula: ClassVar[str] = "mean of a channel"

    def output_shape(self, shape):
        windows_of(self.name, shape, shape[1:], 1, 0)
        return (shape[0],)

    def settle(self, ctx, shape):
        # One window that is the image: in its sums no order depends on K, as in those of torch.mean it may.
        settle_mean(ctx, windows_of(self.name, shape, shape[1:], 1, 0))

    def fprop(self, ctx, x):
        ctx.x = x
        ctx.to_y(x, ctx.y[:, :, None, None])
        return ctx.y

    def bprop(self, ctx, dy):
        ctx.to_dx(ctx.dx[0], dy[:, :, None, None], ctx.x)
        return ctx.dx

    def vjp(self, graph, node, dy):
        (x,) = node.inputs
        shape = channels, *lengths = graph.nodes[x].shape
        channel = graph.apply(Reshape((channels, *(1,) * len(lengths))), dy)
        return (graph.apply(Times(1 / math.prod(lengths)), graph.apply(Repeat(shape), channel)),)

    def reference(self, ctx, x):
        return x.flatten(2, -2).mean(2)

    def onnx(self, op, x):
        return op.ReduceMean(x, axes=list(range(2, 1 + len(op.shapes[0]))), keepdims=0)


def settle_mean(ctx, windows: Windows, count_padding: bool = False) -> None:
    ctx.to_y = ImageCalls(pooled.mean(windows, count_padding), ctx.site.threads)
    ctx.to_dx = ImageCalls(pooled.mean_gradient(windows, count_padding), ctx.site.threads)


def _norms(windows: Windows):
    sums = pooled.sums(windows)

    def kernel(x, squares, y):
        torch.mul(x, x, out=squares)
        sums(squares, y)
        y.sqrt_()

    return kernel


def _norms_gradient(windows: Windows):
    sums_gradient = pooled.sums_gradient(windows)

    def kernel(dx, x, y, dy, ratio):
        # Where y is 0, so are the x of its window: divided by 1 instead, they give the gradient 0.
        torch.le(y, 0, out=ratio).add_(y)
        torch.div(dy, ratio, out=ratio)
        sums_gradient(dx, ratio, x)
        dx.mul_(x)

    return kernel
