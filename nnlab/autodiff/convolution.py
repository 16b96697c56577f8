"""The convolution box: Y_o = sum_c W_oc * X_c + b_o, for images and sequences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch.nn import functional as F

from nnlab.autodiff.box import Box, Parameter
from nnlab.autodiff.convolution_gradient import ConvolutionKernels, ConvolutionTransposed, Geometry
from nnlab.autodiff.convolution_kernels import COLUMNS_OF_A_CALL, Columns, RowByRow
from nnlab.autodiff.reductions import SumChannels
from nnlab.autodiff.windows import Extent, Windows, windows_of
from nnlab.errors import UserError
from nnlab.hyperparameters import static

LARGEST_EXTENT = 10**6  # points along an axis


@dataclass(frozen=True)
class Convolution(Box):
    """Y_o(p) = sum_cq W_oc(q) X_c(s p + d q - z) + b_o, with stride s, dilation d and z zeros of padding.

    X (K, C, H, W, B), W (K, units, C / groups, kh, kw), b (K, units, 1, 1); or X (K, C, L, B) with kernels
    (units, C / groups, k). A kernel, stride, padding or dilation is one number for both axes, or two. "same"
    pads such that there are ceil(H / s) outputs; if the zeros are odd in number, the one more is at the end:
    kernel 5 at stride 2 has 1 before and 2 after an even H, as TensorFlow has it (padding=2 in torch has 2
    and 2, and other outputs). With groups, each of so many parts of the channels gives as
    many parts of the units, and C groups are a depthwise convolution.

    With P the patches of X, a column (C kh kw) for each output and example, that is Y = W P + b, and

    bprop:  dP = W' dY, of which dX is the sum where patches overlap,  dW = dY P',
            db = the sum of dY over outputs and examples.

    The initialisation of W depends on the `activation` that follows.
    Fukushima 1980; LeCun et al. 1989; dilation: Yu and Koltun 2016.
    """

    name: ClassVar[str] = "convolution"
    needs_y: ClassVar[bool] = False
    formula: ClassVar[str] = "W * x + b"
    units: int = static(low=1)
    kernel: Extent = static(3, low=1, high=LARGEST_EXTENT)
    stride: Extent = static(1, low=1, high=LARGEST_EXTENT)
    padding: Extent | Literal["same"] = static(0, low=0, high=LARGEST_EXTENT)
    dilation: Extent = static(1, low=1, high=LARGEST_EXTENT)
    groups: int = static(1, low=1)
    bias: bool = static(True)
    activation: str = static("identity")

    def windows(self, shape) -> Windows:
        """Those over an input of this shape. Raises `UserError` if the kernel does not fit it."""
        return windows_of("a convolution", shape, self.kernel, self.stride, self.padding, self.dilation)

    def leaves(self, shape):
        windows = self.windows(shape)
        for what, count in (("channels", shape[0]), ("units", self.units)):
            if count % self.groups:
                raise UserError(
                    f"a convolution in {self.groups} groups: expected a multiple of {self.groups} {what}, "
                    f"and there are {count}"
                )
        channels, units = shape[0] // self.groups, self.units // self.groups
        fan_in, fan_out = channels * windows.size, units * windows.size
        kernel = (self.units, channels, *windows.kernel)
        leaves = {"weight": Parameter(kernel, "weight", fan_in, fan_out, self.activation)}
        if self.bias:
            leaves["bias"] = Parameter((self.units, *(1,) * len(windows.axes)), "bias")
        return leaves

    def output_shape(self, shape):
        return (self.units, *self.windows(shape).counts)

    def multiply_adds(self, shape):
        outputs = torch.Size(self.windows(shape).counts).numel()
        return self.units * outputs * self.leaves(shape)["weight"].fan_in

    def inner_units(self, shape):
        return self._columns(shape) // 2  # two numbers for each: the patches and their gradient

    def channels_last_gain(self, batch, shape):
        return self._columns(shape) * batch - COLUMNS_OF_A_CALL

    def _columns(self, shape) -> int:
        """The numbers in the patches of an example."""
        windows = self.windows(shape)
        return shape[0] * windows.size * torch.Size(windows.counts).numel()

    def settle(self, ctx, shape):
        kernels = RowByRow if ctx.site.channels_last else Columns
        ctx.kernels = kernels(ctx, self.windows(shape), shape[0], self.units, self.groups)

    def fprop(self, ctx, x, W, b=None):
        return ctx.kernels.fprop(x, W, b)

    def bprop(self, ctx, dy):
        ctx.kernels.bprop(dy)
        return ctx.dx

    def geometry(self, shape) -> Geometry:
        return Geometry(self.windows(shape), self.groups)

    def vjp(self, graph, node, dy):
        x, W, *b = node.operands
        shape, alone = graph.nodes[x].shape, replace(self, bias=False)
        dx = graph.apply(ConvolutionTransposed(alone, shape), dy, W)
        dW = graph.apply(ConvolutionKernels(alone), dy, x)
        return (dx, dW, graph.apply(SumChannels(len(shape) - 1), dy)) if b else (dx, dW)

    def reference(self, ctx, x, W, b=None):
        windows = self.windows(tuple(x.shape[1:-1]))
        convolve = F.conv1d if len(windows.axes) == 1 else F.conv2d
        stride, dilation = windows.each("stride"), windows.each("dilation")
        images = F.pad(x.movedim(-1, 1), windows.ends).expand(len(W), *(-1,) * (x.ndim - 1))
        biases = [None] * len(W) if b is None else b.flatten(1)
        rows = [
            convolve(image, weight, bias, stride, 0, dilation, self.groups)
            for image, weight, bias in zip(images, W, biases, strict=True)
        ]
        return torch.stack(rows).movedim(1, -1)

    def onnx(self, op, x, W, b=None):
        """One convolution of all rows: the channels of each are groups of their own."""
        shape, windows = op.shapes[0], self.windows(op.shapes[0])
        (channels, *lengths), n = shape, len(shape)
        first = dict(starts=[0] * (n + 1), ends=[1] * (n + 1), axes=[*range(1, n + 2)])
        zeros = op.Mul(op.Slice(W, **first), 0)  # (K, 1, ...): a row for each, of images that rows share
        x = op.Transpose(op.Add(x, zeros), perm=[n + 1, *range(n + 1)])  # (B, K, C, H, W)
        x = op.Reshape(x, shape=[0, op.rows * channels, *lengths])
        W = op.Reshape(W, shape=[op.rows * self.units, channels // self.groups, *windows.kernel])
        leaves = (W,) if b is None else (W, op.Reshape(b, shape=[op.rows * self.units]))
        pads = windows.each("before") + windows.each("after")
        y = op.Conv(
            x, *leaves, group=op.rows * self.groups, pads=pads, strides=windows.each("stride"),
            dilations=windows.each("dilation"),
        )  # fmt: skip
        y = op.Reshape(y, shape=[0, op.rows, self.units, *windows.counts])
        return op.Transpose(y, perm=[*range(1, n + 2), 0])
