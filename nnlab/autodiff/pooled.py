"""What the poolings share: torch's kernels, places in windows, views of windows, and ONNX.

The kernels are functions of images (N, C, H, W), for `ImageCalls`. Those that give a gradient write it into
their first argument, the others write into those after the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.nn import functional as F

from nnlab.autodiff.image_calls import ImageCalls
from nnlab.autodiff.windows import Axis, Windows, as_image
from nnlab.runtime.cuda_graphs import is_cuda

aten = torch.ops.aten
NO_DILATION, NO_CEIL = [1, 1], False


def largest(windows: Windows) -> Callable:
    """y = the largest of each window of x, and its place in the image, index."""
    geometry = _geometry(windows)

    def kernel(x, y, index):
        aten.max_pool2d_with_indices.out(x, *geometry, NO_DILATION, NO_CEIL, out=y, indices=index)

    return kernel


def mean(windows: Windows, count_padding: bool = False) -> Callable:
    """y = the mean of each window of x."""
    return _average(windows, count_padding, None)


def mean_gradient(windows: Windows, count_padding: bool = False) -> Callable:
    return _average_gradient(windows, count_padding, None)


def sums(windows: Windows) -> Callable:
    """y = the sum of each window of x."""
    return _average(windows, True, 1)


def sums_gradient(windows: Windows) -> Callable:
    return _average_gradient(windows, True, 1)


def _average(windows: Windows, count_padding: bool, divisor: int | None) -> Callable:
    geometry = _geometry(windows)

    def kernel(x, y):
        aten.avg_pool2d.out(x, *geometry, NO_CEIL, count_padding, divisor, out=y)

    return kernel


def _average_gradient(windows: Windows, count_padding: bool, divisor: int | None) -> Callable:
    geometry = _geometry(windows)

    def kernel(dx, dy, x):
        aten.avg_pool2d_backward.grad_input(dy, x, *geometry, NO_CEIL, count_padding, divisor, grad_input=dx)

    return kernel


class ToPlaces:
    """dx = each dy at the place `ctx.index` of its image, and 0 elsewhere; those of one place are summed."""

    def __init__(self, windows: Windows, ctx):
        self.dx, self.index, self.windows = ctx.dx[0], ctx.index, windows
        overlap = any(axis.stride < axis.kernel for axis in windows.axes)
        self.is_ordered = overlap and is_cuda(self.index)
        self.first_places = first_places(windows, self.index)
        geometry = _geometry(windows)

        def kernel(dx, dy, index):
            aten.max_pool2d_with_indices_backward.grad_input(
                dy, dx, *geometry, NO_DILATION, NO_CEIL, index, grad_input=dx
            )

        self.kernel = ImageCalls(kernel, ctx.site.threads)

    def __call__(self, dy: torch.Tensor) -> None:
        if self.is_ordered:
            self._in_order(dy)
        else:
            self.kernel(self.dx, dy, self.index)

    def _in_order(self, dy: torch.Tensor) -> None:
        """Place by place of the windows: torch's kernel on a GPU adds in any order, and so rounds differently
        each time."""
        dx, dy, index = (as_image(v) for v in (self.dx.zero_(), dy, self.index))
        for distance, windows, numbers in places(self.windows):
            is_there = index[windows] == (self.first_places + distance)[windows][..., None]
            dx[numbers].add_(dy[windows] * is_there)


def at_places(index: torch.Tensor, d: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """out = the d at the place `index` of its image, for each window."""
    numbers = torch.gather(as_image(d).flatten(2, 3), 2, as_image(index).flatten(2, 3))
    return out.copy_(numbers.view(out.shape))


def _geometry(windows: Windows) -> tuple[list[int], list[int], list[int]]:
    """Size, stride and padding as torch's kernels take them."""
    axes = windows.as_image
    return [a.kernel for a in axes], [a.stride for a in axes], [a.before for a in axes]


# ---- places in windows


def places(windows: Windows) -> Iterator[tuple[int, tuple, tuple]]:
    """For each place of a window, row by row: how far it is from the first, in an image that is read row by
    row; which windows have it within the image, and where it is there: indices of the axes up to H' and W',
    and up to H and W."""
    rows, columns = windows.as_image
    for i in range(rows.kernel):
        for j in range(columns.kernel):
            (window_rows, image_rows), (window_columns, image_columns) = rows.inside(i), columns.inside(j)
            yield (
                i * columns.length + j,
                (slice(None), slice(None), window_rows, window_columns),
                (slice(None), slice(None), image_rows, image_columns),
            )


def first_places(windows: Windows, template: torch.Tensor) -> torch.Tensor:
    """(1, 1, H', W'): the first place of each window, in an image that is read row by row."""
    rows, columns = (
        torch.arange(a.count, device=template.device) * a.stride - a.before for a in windows.as_image
    )
    return (rows[:, None] * windows.as_image[1].length + columns).to(template)[None, None]


def window_view(windows: Windows, x: torch.Tensor, padding: float) -> torch.Tensor:
    """(K, C, H', W', B, n): the n numbers of each window of x, in functions that autograd knows."""
    (h, w), (rows, columns), (pad_rows, pad_columns) = _geometry(windows)
    x = F.pad(as_image(x), (0, 0, pad_columns, pad_columns, pad_rows, pad_rows), value=padding)
    return x.unfold(2, h, rows).unfold(3, w, columns).flatten(-2)


# ---- in ONNX's operators


def onnx_max(op, windows: Windows, x):
    """The largest of each window."""
    channels, (size, stride, padding) = op.shapes[0][0], _geometry(windows)
    height, width = (axis.length for axis in windows.as_image)
    # (K, C, H, W, B) as K images of C B channels, which a window does not mix.
    x = op.Transpose(op.Reshape(x, shape=[0, channels, height, width, -1]), perm=[0, 1, 4, 2, 3])
    x = op.Reshape(x, shape=[0, -1, height, width])
    y = op.MaxPool(x, kernel_shape=size, strides=stride, pads=padding * 2)
    y = op.Reshape(y, shape=[0, channels, -1, *(axis.count for axis in windows.as_image)])
    return op.Reshape(op.Transpose(y, perm=[0, 1, 3, 4, 2]), shape=[0, channels, *windows.counts, -1])


def onnx_sums(op, windows: Windows, x):
    """The sum of each window."""
    return _onnx_products(op, windows, x, [_members(axis) for axis in windows.as_image])


def onnx_mean(op, windows: Windows, x, count_padding: bool = False):
    """The mean of each window."""
    members = [_members(axis) for axis in windows.as_image]
    counts = [
        axis.kernel if count_padding else of_windows.sum(1, keepdims=True)
        for axis, of_windows in zip(windows.as_image, members, strict=True)
    ]
    means = [of_windows / count for of_windows, count in zip(members, counts, strict=True)]
    return _onnx_products(op, windows, x, means)


def _members(axis: Axis) -> np.ndarray:
    """(windows, length): 1 where a window has the point."""
    starts = np.arange(axis.count)[:, None] * axis.stride - axis.before
    points = np.arange(axis.length)
    return ((starts <= points) & (points < starts + axis.kernel)).astype(float)


def _onnx_products(op, windows: Windows, x, matrices: list[np.ndarray]):
    """A X B' for each channel and example: onnxruntime has no AveragePool in float64."""
    channels, (rows, columns) = op.shapes[0][0], windows.as_image
    x = op.Reshape(x, shape=[0, channels, rows.length, -1])
    x = op.MatMul(op.constant(matrices[0], x), x)  # (K, C, H', W B)
    x = op.Reshape(x, shape=[0, channels * rows.count, columns.length, -1])
    x = op.MatMul(op.constant(matrices[1], x), x)  # (K, C H', W', B)
    return op.Reshape(x, shape=[0, channels, *windows.counts, -1])
