"""Memory layout: every row of a buffer is aligned like a row that is alone in it."""

from __future__ import annotations

import math

import torch

ALIGNED_FLOATS = 64  # every row begins on a multiple of so many floats: see `aligned`


def aligned(rows: int, shape: tuple[int, ...], template: torch.Tensor) -> torch.Tensor:
    """Zeros (rows, *shape), each row on a multiple of 64 floats, with the dtype and device of `template`.

    A kernel's rounding may depend on the alignment of its arguments, and on the length of the tail that does
    not fill a vector register. So every row of every buffer has the same alignment and the same tail,
    however many rows there are: its bits do not depend on its neighbours.
    """
    size = math.prod(shape)
    flat = torch.zeros(rows, _stride(size), dtype=template.dtype, device=template.device)
    return flat[:, :size].unflatten(1, shape)


class ReusableBuffer:
    """Memory for one tensor after another: their values change, their address stays."""

    def __init__(self, template: torch.Tensor):
        self.flat = template.new_empty(0)

    def aligned(self, rows: int, shape: tuple[int, ...]) -> torch.Tensor:
        """A tensor (rows, *shape) with the layout of `aligned`, not initialised."""
        size = math.prod(shape)
        count = rows * _stride(size)
        if count > len(self.flat):
            self.flat = self.flat.new_zeros(count)
        return self.flat[:count].view(rows, -1)[:, :size].unflatten(1, shape)


def _stride(size: int) -> int:
    return -(-size // ALIGNED_FLOATS) * ALIGNED_FLOATS
