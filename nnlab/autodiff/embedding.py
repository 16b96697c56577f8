"""The embedding box: a learnt vector for each category."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch.nn import functional as F

from nnlab.autodiff.box import Box, Parameter
from nnlab.hyperparameters import static
from nnlab.runtime.scatter import scatter_sum


@dataclass(frozen=True)
class Embedding(Box):
    """y_e = column x_e of the table W_e, for each of E categorical inputs; x_e = -1 gives 0.

    `slots` has the number of categories of every input, and x (K, E, B) their numbers, from 0, as floats. The
    tables stand side by side in one leaf, (K, units, all slots); y is (K, units E, B), and unit u of input e
    its number u E + e. x has no gradient, and dW sums dy over the examples of a category.

    Tables begin as N(0, 1). No penalty is on them: a category that is not in a batch would have the gradient
    of the penalty alone, which Adam would enlarge to a full step. Guo and Berkhahn 2016.
    """

    name: ClassVar[str] = "embedding"
    formula: ClassVar[str] = "column x of W"
    slots: tuple[int, ...] = static(low=1)
    units: int = static(8, low=1)

    def leaves(self, shape):
        return {"table": Parameter((self.units, sum(self.slots)), "bias", start=(0.0, 1.0))}

    def output_shape(self, shape):
        return (self.units * len(self.slots),)

    def settle(self, ctx, shape):
        sizes = ctx.y.new_tensor(self.slots)[:, None]  # (E, 1)
        ctx.last, ctx.first = sizes - 1, sizes.cumsum(0) - sizes
        ctx.zero = ctx.scalar(0)
        ctx.slot, ctx.known = (ctx.zeros(*shape, ctx.site.batch) for _ in range(2))
        ctx.index = torch.zeros_like(ctx.slot, dtype=torch.long)
        ctx.masked = ctx.zeros(self.units, len(self.slots) * ctx.site.batch)

    def fprop(self, ctx, x, W):
        torch.round(x, out=ctx.slot)
        torch.ge(ctx.slot, ctx.zero, out=ctx.known)
        torch.clamp(ctx.slot, ctx.zero, ctx.last, out=ctx.slot).add_(ctx.first)
        index = ctx.index.copy_(ctx.slot).flatten(1)[:, None]  # (K, 1, E B)
        vectors = torch.gather(W, 2, index.expand(-1, self.units, -1))
        torch.mul(vectors, ctx.known.flatten(1)[:, None], out=ctx.y.view_as(vectors))
        return ctx.y

    def bprop(self, ctx, dy):
        dx, dW = ctx.dx
        if dx is not None:
            dx.zero_()
        if dW is not None:
            torch.mul(dy.reshape(ctx.masked.shape), ctx.known.flatten(1)[:, None], out=ctx.masked)
            scatter_sum(dW, ctx.index.flatten(1)[:, None], ctx.masked)
        return ctx.dx

    def reference(self, ctx, x, W):
        vectors = []
        for e, table in enumerate(W.split(self.slots, 2)):
            slot = x[:, e].round().clamp(-1, self.slots[e] - 1).long().expand(len(W), -1)  # (K, B)
            vectors.append(torch.take_along_dim(F.pad(table, (1, 0)), slot[:, None] + 1, 2))
        return torch.stack(vectors, 2).flatten(1, 2)

    def onnx(self, op, x, W):
        sizes = np.array(self.slots, float)[:, None]
        last, first = (op.constant(v, x) for v in (sizes - 1, sizes.cumsum(0) - sizes))
        x = op.Round(x)
        known = op.Reshape(op.Max(op.Min(op.Add(x, 1), 1), 0), shape=[0, 1, -1])
        slot = op.Reshape(op.Add(op.Max(op.Min(x, last), 0), first), shape=[0, 1, -1])  # (K, 1, E B)
        zeros = op.Mul(op.Slice(W, starts=[0], ends=[1], axes=[2]), 0)  # (K, units, 1)
        index = op.Cast(op.Add(zeros, slot), to="int64")
        return op.Reshape(op.Mul(op.GatherElements(W, index, axis=2), known),
                          shape=[0, self.units * len(self.slots), -1])  # fmt: skip
