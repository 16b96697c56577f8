"""How convolutions are computed, in either layout of images (runtime/layout.py).

Columns   examples last: the patches are copied into columns, and one product convolves all rows (im2col)
RowByRow  channels last: the library's convolution, oneDNN, for each row and block of examples

The first is a handful of calls for a whole stack, and runs on a GPU. The second copies no patches, which for
large images takes longer than the arithmetic; but it is a call for every row, of 30 microseconds or more.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import torch

from nnlab.autodiff.box import Context
from nnlab.autodiff.patches import Patches
from nnlab.autodiff.products import product
from nnlab.autodiff.windows import Windows, as_image
from nnlab.runtime.layout import aligned, aligned_values, has_channels_last
from nnlab.runtime.threads import run_all

# Numbers in the columns of a row's batch for which copying them costs as much as the calls of `RowByRow`.
COLUMNS_OF_A_CALL = 2**19
MIN_BLOCK_OPERATIONS = 2**22  # multiply-adds in a block, at least, as in products.py
MAX_BLOCKS = 4  # of a row: the library is some 12% slower in eight


class Columns:
    """Y = W P + b for all rows, where P (K, C kh kw, H' W' B) are the patches of the images.

    With groups, a group is a matrix of its own, as if it were a row: (K groups, ...).
    """

    def __init__(self, ctx: Context, windows: Windows, channels: int, units: int, groups: int):
        self.ctx, self.groups, (dx, dW, *_) = ctx, groups, ctx.dx
        self.patches = Patches(ctx.site, windows, channels, groups)
        m, k, n = units // groups, self.patches.size, self.patches.count
        each = replace(ctx.site, rows=ctx.site.rows * groups)
        self.Y, self.W, self.dY = self._output(ctx.y, m, n), self._input(m, k), self._input(m, n)
        self.to_Y = product(each, m, k, n, self.Y)
        if dW is not None:
            self.dW = self._output(dW, m, k)
            self.to_dW = product(each, m, n, k, self.dW)
        if dx is not None:
            self.to_dx = self.patches.sums(dx)
            self.to_dP = product(each, k, m, n, self.to_dx.dP)

    def fprop(self, x: torch.Tensor, W: torch.Tensor, b: torch.Tensor | None) -> torch.Tensor:
        y, self.last_P, self.last_W = self.ctx.y, self.patches.of(x), self._read(W, self.W)
        self.to_Y(self.last_W, self.last_P)
        self._write(self.Y, y)
        return y if b is None else torch.add(y, b.unsqueeze(-1), out=y)

    def bprop(self, dy: torch.Tensor) -> None:
        dx, dW, *db = self.ctx.dx
        dY = dy.flatten(2)
        if dY.stride(2) != 1:  # a sum over other strides may depend on K
            dY = dY.contiguous()
        if db and db[0] is not None:
            torch.sum(dY, 2, keepdim=True, out=db[0].flatten(2))
        dY = self._read(dY, self.dY)
        if dW is not None:
            self.to_dW(dY, self.last_P.mT)
            self._write(self.dW, dW)
        if dx is not None:
            self.to_dP(self.last_W.mT, dY)
            self.to_dx()

    # ---- values (K, m, ...) as matrices (K, m, n), or (K groups, m / groups, n): then they are copied

    def _output(self, value: torch.Tensor, m: int, n: int) -> torch.Tensor:
        return value.flatten(2) if self.groups == 1 else self._matrices(m, n)

    def _input(self, m: int, n: int) -> torch.Tensor | None:
        return None if self.groups == 1 else self._matrices(m, n)

    def _matrices(self, m: int, n: int) -> torch.Tensor:
        site = self.ctx.site
        return aligned(site.rows * self.groups, (m, n), site.template)

    def _read(self, value: torch.Tensor, matrices: torch.Tensor | None) -> torch.Tensor:
        if matrices is None:
            return value.flatten(2)
        each = matrices.unflatten(0, (-1, self.groups))
        each.copy_(value.flatten(2).unflatten(1, (self.groups, -1)))
        return matrices

    def _write(self, matrices: torch.Tensor, value: torch.Tensor) -> None:
        if self.groups > 1:
            each = matrices.unflatten(0, (-1, self.groups))
            value.flatten(2).unflatten(1, (self.groups, -1)).copy_(each)


class RowByRow:
    """torch's convolution for each row, on blocks of examples that threads share.

    How many blocks there are depends on the row's shape alone, and dW is the sum of theirs in order.
    """

    def __init__(self, ctx: Context, windows: Windows, channels: int, units: int, groups: int):
        self.ctx, self.groups, axes = ctx, groups, windows.as_image
        site, (dx, dW, *db) = ctx.site, ctx.dx
        self.inner = [axis.inner for axis in axes]
        # The library pads both ends alike; other zeros are in a copy of the images.
        pads_itself = all(axis.before == axis.after for axis in axes)
        self.padding = [axis.before if pads_itself else 0 for axis in axes]
        self.padded = None if pads_itself else (channels, *(axis.padded for axis in axes), site.batch)
        self.stride, self.dilation = [axis.stride for axis in axes], [axis.dilation for axis in axes]
        kernel = units, axes[0].kernel, axes[1].kernel, channels // groups
        self.weights = aligned(site.rows, kernel, site.template).movedim(-1, 2)
        self.examples = _examples_in_block(site.batch, math.prod(kernel) * math.prod(windows.counts))
        self.y = self._blocks(as_image(ctx.y))
        self.mask = [dx is not None, dW is not None, bool(db) and db[0] is not None]
        self.dx = [None] * len(self.y) if dx is None else self._blocks(as_image(dx))
        count = -(-site.batch // self.examples)
        self.dW, self.db = (
            [aligned(site.rows, shape, site.template) for _ in range(count if site.training else 0)]
            for shape in ((units, *self.weights.shape[2:]), (units,))
        )
        self.copies: dict[int, torch.Tensor] = {}
        self.read = self.dy = None  # what the tasks of both passes have been made for

    # ---- the passes

    def fprop(self, x: torch.Tensor, W: torch.Tensor, b: torch.Tensor | None) -> torch.Tensor:
        self.weights.copy_(W if W.ndim > 4 else W.unsqueeze(3))
        image = self._channels_last(as_image(x))
        if self.read is None or self.read[0] is not image or self.read[1] is not b:
            self.read, self.dy, self.x = (image, b), None, self._blocks(image)
            biases = [None] * len(W) if b is None else b.flatten(1)
            per_row = len(self.y) // len(W)
            leaves = zip(self.weights, biases, strict=True)
            self.leaves = [pair for pair in leaves for _ in range(per_row)]
            blocks = zip(self.x, self.leaves, self.y, strict=True)
            self.forward = [partial(self._convolve, *block) for block in blocks]
        run_all(self.forward, self.ctx.site.threads)
        return self.ctx.y

    def bprop(self, dy: torch.Tensor) -> None:
        dx, dW, *db = self.ctx.dx
        if dy is not self.dy:
            self.dy = dy
            blocks = zip(self._blocks(as_image(dy)), self.x, self.leaves, self.dx, self._sums(), strict=True)
            self.backward = [partial(self._differentiate, *block) for block in blocks]
        run_all(self.backward, self.ctx.site.threads)
        if dW is not None:
            dW.copy_(_total(self.dW).view_as(dW))
        if db and db[0] is not None:
            db[0].copy_(_total(self.db).view_as(db[0]))

    def _convolve(self, x, leaves, y) -> None:
        y.copy_(torch.conv2d(x, *leaves, self.stride, self.padding, self.dilation, self.groups))

    def _differentiate(self, dy, x, leaves, dx, sums) -> None:
        """dx, and the block's part of dW and db."""
        results = torch.ops.aten.convolution_backward(
            dy, x, leaves[0], [len(leaves[0])], self.stride, self.padding, self.dilation, False, [0, 0],
            self.groups, self.mask,
        )  # fmt: skip
        if dx is not None:
            dx.copy_(results[0] if self.padded is None else results[0][:, :, self.inner[0], self.inner[1]])
        for total, result in zip(sums, results[1:], strict=True):
            if result is not None:
                total.copy_(result)

    # ---- rows and blocks

    def _channels_last(self, x: torch.Tensor) -> torch.Tensor:
        """x (K, C, H, W, B), or a copy with channels last, and padded if the library does not; of one row
        where all rows share it."""
        if self.padded is None and has_channels_last(x):
            return x
        rows = 1 if x.stride(0) == 0 else len(x)
        if rows not in self.copies:
            shape = self.padded or tuple(x.shape[1:])
            self.copies[rows] = aligned_values(rows, shape, x, channels_last=True)
        copy = self.copies[rows]
        (copy if self.padded is None else copy[:, :, self.inner[0], self.inner[1]]).copy_(x[:rows])
        return copy

    def _blocks(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Images (K or 1, C, H, W, B) as (examples, C, H, W) for each row and block, row after row."""
        if len(image) < self.ctx.site.rows:
            image = image.expand(self.ctx.site.rows, *image.shape[1:])
        return [block for row in image for block in row.movedim(-1, 0).split(self.examples)]

    def _sums(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Where each row's blocks leave their parts of dW and db."""
        parts = list(zip(self.dW, self.db, strict=True))
        return [(dW[k], db[k]) for k in range(self.ctx.site.rows) for dW, db in parts]


def _examples_in_block(batch: int, operations: int) -> int:
    """How many examples a block has, of so many multiply-adds each."""
    most = max(1, min(MAX_BLOCKS, batch * operations // MIN_BLOCK_OPERATIONS))
    return -(-batch // 2 ** (most.bit_length() - 1))


def _total(parts: list[torch.Tensor]) -> torch.Tensor:
    """The sum of the parts, in their order; in the first one."""
    total, *others = parts
    for part in others:
        total.add_(part)
    return total
