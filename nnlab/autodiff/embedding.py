"""The embedding box: a learnt vector for each category."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch.nn import functional as F

from nnlab.autodiff.box import Box, Parameter
from nnlab.hyperparameters import static
from nnlab.runtime.scatter import scatter_sum

# ---- columns of the tables, as index (K, 1, E B), and whether a category is known, (K, 1, E B)


def _settle_columns(ctx, slots: tuple[int, ...]) -> None:
    sizes = ctx.y.new_tensor(slots)[:, None]  # (E, 1)
    ctx.last, ctx.first = sizes - 1, sizes.cumsum(0) - sizes
    ctx.zero = ctx.scalar(0)
    ctx.slot, ctx.known = (ctx.zeros(len(slots), ctx.site.batch) for _ in range(2))
    ctx.index = torch.zeros_like(ctx.slot, dtype=torch.long)


def _columns(ctx, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    torch.round(x, out=ctx.slot)
    torch.ge(ctx.slot, ctx.zero, out=ctx.known)
    torch.clamp(ctx.slot, ctx.zero, ctx.last, out=ctx.slot).add_(ctx.first)
    return ctx.index.copy_(ctx.slot).flatten(1)[:, None], ctx.known.flatten(1)[:, None]


def _vectors(W, index, known, out: torch.Tensor) -> torch.Tensor:
    """The columns of W, zeros for what is not known; in `out`."""
    vectors = torch.gather(W, 2, index.expand(-1, W.shape[1], -1))
    torch.mul(vectors, known, out=out.view_as(vectors))
    return out


def _sums(dy, index, known, masked: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """Of dy, the sum over what reads a column; in `out`, with `masked` as scratch."""
    torch.mul(dy.reshape(masked.shape), known, out=masked)
    return scatter_sum(out, index, masked)


# ---- boxes


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
        _settle_columns(ctx, self.slots)
        ctx.masked = ctx.zeros(self.units, len(self.slots) * ctx.site.batch)

    def fprop(self, ctx, x, W):
        ctx.index_of_x, ctx.known_of_x = _columns(ctx, x)
        return _vectors(W, ctx.index_of_x, ctx.known_of_x, ctx.y)

    def bprop(self, ctx, dy):
        dx, dW = ctx.dx
        if dx is not None:
            dx.zero_()
        if dW is not None:
            _sums(dy, ctx.index_of_x, ctx.known_of_x, ctx.masked, dW)
        return ctx.dx

    def vjp(self, graph, node, dy):
        x, _ = node.operands
        return None, graph.apply(EmbeddingGradient(self.slots, self.units), x, dy)

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


@dataclass(frozen=True)
class EmbeddingGradient(Box):
    """W = the gradient of an embedding's tables, of inputs x and dy: the derivative of `Embedding`."""

    name: ClassVar[str] = "embedding_gradient"
    formula: ClassVar[str] = "Σ y at column x"
    output_per_example: ClassVar[bool | None] = False
    slots: tuple[int, ...] = static(low=1)
    units: int = static(8, low=1)

    def output_shape(self, x, dy):
        return (self.units, sum(self.slots))

    def settle(self, ctx, x, dy):
        _settle_columns(ctx, self.slots)
        ctx.masked = ctx.zeros(self.units, len(self.slots) * ctx.site.batch)

    def fprop(self, ctx, x, dy):
        ctx.index_of_x, ctx.known_of_x = _columns(ctx, x)
        return _sums(dy, ctx.index_of_x, ctx.known_of_x, ctx.masked, ctx.y)

    def bprop(self, ctx, dW):
        dx, d_dy = ctx.dx
        if dx is not None:
            dx.zero_()
        if d_dy is not None:
            _vectors(dW, ctx.index_of_x, ctx.known_of_x, d_dy)
        return ctx.dx

    def vjp(self, graph, node, dW):
        x, _ = node.inputs
        return None, graph.apply(Embedding(self.slots, self.units), x, table=dW)

    def reference(self, ctx, x, dy):
        tables = []
        for e, slots in enumerate(self.slots):
            slot = x[:, e].round().clamp(-1, slots - 1).long().expand(len(dy), -1)
            one_hot = F.one_hot(slot + 1, slots + 1)[..., 1:].to(dy)  # (K, B, slots)
            tables.append((dy[:, e :: len(self.slots), :, None] * one_hot[:, None]).sum(2))
        return torch.cat(tables, 2)
