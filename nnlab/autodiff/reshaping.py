"""Boxes that give values another shape: `Flatten` and `Reshape`."""

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch

from nnlab.autodiff.box import Box
from nnlab.errors import UserError
from nnlab.hyperparameters import static
from nnlab.runtime.layout import aligned, has_channels_last
from nnlab.runtime.threads import run_all


@dataclass(frozen=True)
class Reshaping(Box):
    """Base: y = the numbers of x, in the same order, in another shape; dx = those of dy in the shape of x."""

    def inner_units(self, shape):
        return math.prod(shape)

    def settle(self, ctx, shape):
        ctx.to_y, ctx.to_dx = (Reshaped(ctx, v) for v in (ctx.y, ctx.dx[0]))

    def fprop(self, ctx, x):
        return ctx.to_y(x)

    def bprop(self, ctx, dy):
        return (ctx.to_dx(dy),)

    def vjp(self, graph, node, dy):
        (x,) = node.inputs
        return (graph.apply(Reshape(graph.nodes[x].shape), dy),)

    def reference(self, ctx, x):
        return x.reshape(len(x), *self.output_shape(x.shape[1:-1]), x.shape[-1])

    def onnx(self, op, x):
        return op.Reshape(x, shape=[0, *self.output_shape(op.shapes[0]), -1])


@dataclass(frozen=True)
class Flatten(Reshaping):
    """y = the numbers of x as a vector, in the same order: channel by channel, row by row."""

    name: ClassVar[str] = "flatten"
    formula: ClassVar[str] = "all numbers in a row"

    def output_shape(self, shape):
        return (math.prod(shape),)


@dataclass(frozen=True)
class Reshape(Reshaping):
    """y = the numbers of x in `shape`, in the same order; -1 stands for as many as are left."""

    name: ClassVar[str] = "reshape"
    formula: ClassVar[str] = "x in another shape"
    shape: tuple[int, ...] = static((-1,), low=-1)

    def __post_init__(self):
        super().__post_init__()
        if not self.shape or 0 in self.shape or self.shape.count(-1) > 1:
            raise UserError(
                f"{self.name}: shape = {list(self.shape)}: expected whole numbers above 0, of which one may "
                "be -1, for as many as are left"
            )

    def output_shape(self, shape):
        count, known = math.prod(shape), math.prod(n for n in self.shape if n > 0)
        if count % known or (-1 not in self.shape and count != known):
            raise UserError(
                f"{self.name}: shape = {list(self.shape)} does not fit the {count:,} numbers of a value of "
                f"shape {list(shape)}"
            )
        return tuple(count // known if n == -1 else n for n in self.shape)


class Reshaped:
    """Gives values (K, ..., B) the shape of `out`: a view where examples are last in memory, else a copy.

    Between both layouts of images a row is copied twice, since torch transposes only matrices quickly:
    (B, P, C) <-> (P, C, B) <-> (C, P, B) for C channels and P points. docs/log.md has the times.
    """

    def __init__(self, ctx, out: torch.Tensor | None):
        self.out, self.threads = out, ctx.site.threads
        if out is not None:
            self.vectors, self.between = (_vectors_like(out) for _ in range(2))

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        vectors = self._to_vectors(x) if x.ndim > 3 and has_channels_last(x) else x.flatten(1, -2)
        if self.out.ndim > 3 and has_channels_last(self.out):
            return self._to_channels_last(vectors)
        return vectors.unflatten(1, self.out.shape[1:-1])

    def _to_vectors(self, x: torch.Tensor) -> torch.Tensor:
        channels = x.shape[1]

        def copy(row, between, out):
            between.copy_(row.flatten(1).T)
            out.unflatten(0, (channels, -1)).copy_(between.unflatten(0, (-1, channels)).transpose(0, 1))

        self._run(copy, x.transpose(1, -1), self.between, self.vectors)
        return self.vectors

    def _to_channels_last(self, vectors: torch.Tensor) -> torch.Tensor:
        channels = self.out.shape[1]

        def copy(row, between, out):
            between.unflatten(0, (-1, channels)).copy_(row.unflatten(0, (channels, -1)).transpose(0, 1))
            out.flatten(1).copy_(between.T)

        self._run(copy, vectors, self.between, self.out.transpose(1, -1))
        return self.out

    def _run(self, copy, *values: torch.Tensor) -> None:
        """Copy each row: `copy` gets that of every value."""
        run_all([partial(copy, *row) for row in zip(*values, strict=True)], self.threads)


def _vectors_like(value: torch.Tensor) -> torch.Tensor:
    """(K, n, B) for the numbers of `value` (K, ..., B)."""
    return aligned(len(value), (math.prod(value.shape[1:-1]), value.shape[-1]), value)
