"""Elementwise boxes on large images: in blocks of memory that fit into a core's cache; threads share them."""

from __future__ import annotations

from functools import partial

import torch

from nnlab.autodiff.box import Box, Context, Site
from nnlab.runtime.layout import ALIGNED_FLOATS, MIN_IMAGE_DIMENSIONS, in_memory
from nnlab.runtime.threads import run_all

BLOCK_ELEMENTS = 2**16  # of each tensor in a block


def worth_blocks(box: Box, site: Site, shape: tuple[int, ...]) -> bool:
    """Whether a box with outputs (K, *shape) on a CPU is one to compute in blocks."""
    is_image = len(shape) >= MIN_IMAGE_DIMENSIONS and site.template.device.type == "cpu"
    return box.elementwise and is_image and site.rows * torch.Size(shape).numel() > 2 * BLOCK_ELEMENTS


class ElementwiseBlocks:
    """A `BoundBox` of an elementwise box: each block of the memory of all rows has a context of its own.

    A block is a multiple of 64 numbers of each row, so that it has the bits of the whole.
    """

    def __init__(self, box: Box, site: Site, shape: tuple[int, ...], dx: tuple, y=None):
        self.box, self.threads = box, site.threads
        self.ctx = Context(site, shape, dx, y)
        self.width = max(1, BLOCK_ELEMENTS // (site.rows * ALIGNED_FLOATS)) * ALIGNED_FLOATS
        self.contexts = []
        for y, dx_block in zip(self._blocks(self.ctx.y), self._blocks(dx[0]), strict=True):
            ctx = Context(site, tuple(y.shape[1:]), (dx_block,), y)
            box.settle(ctx, ctx.shape)
            self.contexts.append(ctx)
        self.last: dict = {"fprop": None, "bprop": None}  # the tensor that each pass read last
        self.tasks: dict = {}
        self.copies: dict = {}

    def fprop(self, x: torch.Tensor) -> torch.Tensor:
        self._run("fprop", x)
        return self.ctx.y

    def bprop(self, dy: torch.Tensor) -> tuple:
        self._run("bprop", dy)
        return self.ctx.dx

    def _run(self, name: str, value: torch.Tensor) -> None:
        """A pass of every block, over a value in the memory layout of y, or a copy of it."""
        if value.stride()[1:] != self.ctx.y.stride()[1:]:
            if name not in self.copies:
                self.copies[name] = self.ctx.zeros()
            value = self.copies[name].copy_(value)
        if value is not self.last[name]:
            self.last[name], method = value, getattr(self.box, name)
            blocks = zip(self.contexts, self._blocks(value), strict=True)
            self.tasks[name] = [partial(method, ctx, block) for ctx, block in blocks]
        run_all(self.tasks[name], self.threads)

    def _blocks(self, value: torch.Tensor | None) -> list:
        """Views (K, width) of a value; or Nones, for a gradient that nobody needs."""
        lines = in_memory(self.ctx.y if value is None else value)
        blocks = list(lines.split(self.width, 1))
        return blocks if value is not None else [None] * len(blocks)
