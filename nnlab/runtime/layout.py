"""How tensors lie in memory: every row of a buffer like that of a row alone."""

from __future__ import annotations

import math

import torch

ALIGNED_FLOATS = 64  # floats; see `aligned`


def aligned(rows: int, shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
    """Zeros (rows, *shape), each row on its own multiple of 64 floats.

    A kernel's rounding may depend on the address and on the vector tail of what it is given. So every
    row of every buffer begins on the same kind of address and ends in the same kind of tail, whichever
    row it is and however many there are: its bits do not depend on its neighbours.
    """
    size = math.prod(shape)
    flat = torch.zeros(rows, _stride(size), dtype=like.dtype, device=like.device)
    return flat[:, :size].unflatten(1, shape)


class Room:
    """Memory that one tensor after another is given: what they hold comes and goes, their address stays."""

    def __init__(self, like: torch.Tensor):
        self.flat = like.new_empty(0)

    def aligned(self, rows: int, shape: tuple[int, ...]) -> torch.Tensor:
        """(rows, *shape), laid out as `aligned` does it, with whatever was there before."""
        size = math.prod(shape)
        count = rows * _stride(size)
        if count > len(self.flat):
            self.flat = self.flat.new_zeros(count)
        return self.flat[:count].view(rows, -1)[:, :size].unflatten(1, shape)


def _stride(size: int) -> int:
    return -(-size // ALIGNED_FLOATS) * ALIGNED_FLOATS
