"""The derivatives of a convolution by its input and its kernels; with it, each has the other two as its own.

    convolution             Y = W * X        dX = transposed(dY, W),  dW = kernels(dY, X)
    transposed convolution  X = transposed(Y, W)
    convolution kernels     W = kernels(Y, X)

All are bilinear. torch's kernels compute them row after row, so a row has the bits that it has alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn import functional as F

from nnlab.autodiff.box import Box
from nnlab.autodiff.windows import Axis, Windows, as_image
from nnlab.hyperparameters import static


@dataclass(frozen=True)
class Geometry:
    """A convolution of images (C, H, W), in torch's functions of one row: `windows` in `groups`."""

    windows: Windows
    groups: int

    def convolve(self, x: torch.Tensor, W: torch.Tensor) -> torch.Tensor:
        """Y (B, units, H', W') of X (B, C, H, W)."""
        x, stride, dilation = self.padded(x), self.each("stride"), self.each("dilation")
        return torch.conv2d(x, W, None, stride, 0, dilation, self.groups)

    def transpose(self, y: torch.Tensor, W: torch.Tensor) -> torch.Tensor:
        """The gradient by X of <Y, convolve(X, W)>."""
        x = y.new_zeros(len(y), W.shape[1] * self.groups, *self.each("padded"))
        return self.inner(self._backward(y, x, W, [True, False, False])[0])

    def kernels(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """The gradient by W, a sum over the examples."""
        x = self.padded(x)
        W = y.new_zeros(y.shape[1], x.shape[1] // self.groups, *self.each("kernel"))
        return self._backward(y, x, W, [False, True, False])[1]

    def _backward(self, y, x, W, mask):
        stride, dilation = self.each("stride"), self.each("dilation")
        return torch.ops.aten.convolution_backward(
            y, x, W, None, stride, [0, 0], dilation, False, [0, 0], self.groups, mask
        )

    @property
    def axes(self) -> tuple[Axis, Axis]:
        return self.windows.as_image

    def each(self, name: str) -> list[int]:
        """A property of the axes H and W."""
        return [getattr(axis, name) for axis in self.axes]

    def padded(self, x: torch.Tensor) -> torch.Tensor:
        return F.pad(x, self.windows.ends) if any(self.windows.ends) else x

    def inner(self, x: torch.Tensor) -> torch.Tensor:
        """Images without their padding."""
        rows, columns = self.axes
        return x[:, :, rows.inner, columns.inner]


def _images(value: torch.Tensor) -> list[torch.Tensor]:
    """A value (K, C, H, W, B) or (K, C, L, B) as (B, C, H, W) of each row, contiguous."""
    return [row.movedim(-1, 0).contiguous() for row in as_image(value)]


def _kernels(W: torch.Tensor) -> list[torch.Tensor]:
    """Kernels (K, units, C, kh, kw) or (K, units, C, k) as (units, C, kh, kw) of each row, contiguous."""
    return [row.contiguous() for row in (W if W.ndim > 4 else W.unsqueeze(3))]


def _write_images(out: torch.Tensor, function, *factors) -> torch.Tensor:
    for row, *of_row in zip(as_image(out), *factors, strict=True):
        row.copy_(function(*of_row).movedim(0, -1))
    return out


def _write_kernels(out: torch.Tensor, function, *factors) -> torch.Tensor:
    for row, *of_row in zip(out, *factors, strict=True):
        row.copy_(function(*of_row).view_as(row))
    return out


@dataclass(frozen=True)
class ConvolutionTransposed(Box):
    """X = the gradient of `convolution` by its input, of inputs Y and W, in `shape`, that of its input."""

    name: ClassVar[str] = "convolution_transposed"
    formula: ClassVar[str] = "W' * y, back through W"
    convolution: Box
    shape: tuple[int, ...] = static(low=1)

    def output_shape(self, y, W):
        return self.shape

    def multiply_adds(self, y, W):
        return self.convolution.multiply_adds(self.shape)

    def settle(self, ctx, y, W):
        ctx.geometry = self.convolution.geometry(self.shape)

    def fprop(self, ctx, y, W):
        ctx.factors = _images(y), _kernels(W)
        return _write_images(ctx.y, ctx.geometry.transpose, *ctx.factors)

    def bprop(self, ctx, dx):
        (y, W), (dy, dW), dx = ctx.factors, ctx.dx, _images(dx)
        if dy is not None:
            _write_images(dy, ctx.geometry.convolve, dx, W)
        if dW is not None:
            _write_kernels(dW, ctx.geometry.kernels, y, dx)
        return ctx.dx

    def vjp(self, graph, node, dx):
        y, W = node.inputs
        kernels = ConvolutionKernels(self.convolution)
        return graph.apply(self.convolution, dx, weight=W), graph.apply(kernels, y, dx)

    def reference(self, ctx, y, W):
        g, rows = ctx.geometry, []
        for images, kernels in zip(_images(y), _kernels(W), strict=True):
            x = F.conv_transpose2d(
                images, kernels, None, g.each("stride"), 0, 0, g.groups, g.each("dilation")
            )
            ends = [end for axis, n in zip(g.axes, x.shape[2:], strict=True) for end in (axis.padded - n, 0)]
            rows.append(g.inner(F.pad(x, ends[::-1])).movedim(0, -1))
        return torch.stack(rows).view(-1, *self.shape, y.shape[-1])


@dataclass(frozen=True)
class ConvolutionKernels(Box):
    """W = the gradient of `convolution` by its kernels, of inputs Y and X: a sum over the examples."""

    name: ClassVar[str] = "convolution_kernels"
    formula: ClassVar[str] = "Σ y x, over places, examples"
    output_per_example: ClassVar[bool | None] = False
    convolution: Box

    def output_shape(self, y, x):
        return self.convolution.leaves(x)["weight"].shape

    def multiply_adds(self, y, x):
        return self.convolution.multiply_adds(x)

    def settle(self, ctx, y, x):
        ctx.geometry = self.convolution.geometry(x)

    def fprop(self, ctx, y, x):
        ctx.factors = _images(y), _images(x)
        return _write_kernels(ctx.y, ctx.geometry.kernels, *ctx.factors)

    def bprop(self, ctx, dW):
        (y, x), (dy, dx), dW = ctx.factors, ctx.dx, _kernels(dW)
        if dy is not None:
            _write_images(dy, ctx.geometry.convolve, x, dW)
        if dx is not None:
            _write_images(dx, ctx.geometry.transpose, y, dW)
        return ctx.dx

    def vjp(self, graph, node, dW):
        y, x = node.inputs
        transposed = ConvolutionTransposed(self.convolution, graph.nodes[x].shape)
        return graph.apply(self.convolution, x, weight=dW), graph.apply(transposed, y, dW)

    def reference(self, ctx, y, x):
        g, rows = ctx.geometry, []
        for of_y, of_x in zip(_images(y), _images(x), strict=True):
            kernel, dilation, stride = (g.each(name) for name in ("kernel", "dilation", "stride"))
            patches = F.unfold(g.padded(of_x), kernel, dilation, 0, stride).unflatten(1, (g.groups, -1))
            outputs = of_y.flatten(2).unflatten(1, (g.groups, -1))  # (B, groups, units, H' W')
            rows.append(torch.einsum("bgup,bgkp->guk", outputs, patches))
        return torch.stack(rows).view(-1, *ctx.y.shape[1:])
