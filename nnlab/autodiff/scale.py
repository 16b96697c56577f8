"""The scale box: a learnt factor for each unit."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from nnlab.autodiff.box import Box, Parameter


@dataclass(frozen=True)
class Scale(Box):
    """y = s x, with a factor s (K, n, 1) for each unit, at first 1; dx = s dy, ds = sum_B dy x.

    Before the first layer it lets inputs that matter grow quickly. Holzmueller, Grinsztajn, Steinwart 2024.
    """

    name: ClassVar[str] = "scale"

    def leaves(self, shape):
        return {"factor": Parameter((*shape, 1), "bias", start=(1.0, 0.0))}

    def settle(self, ctx, shape):
        ctx.product = ctx.zeros()

    def fprop(self, ctx, x, s):
        ctx.x, ctx.s = x, s
        return torch.mul(x, s, out=ctx.y)

    def bprop(self, ctx, dy):
        dx, ds = ctx.dx
        if ds is not None:
            torch.sum(torch.mul(dy, ctx.x, out=ctx.product), -1, keepdim=True, out=ds)
        if dx is not None:
            torch.mul(dy, ctx.s, out=dx)
        return ctx.dx

    def reference(self, ctx, x, s):
        return x * s

    def onnx(self, op, x, s):
        return op.Mul(x, s)
