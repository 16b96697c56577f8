"""How tensors lie in memory: every row of a buffer like that of a row alone."""

from __future__ import annotations

import math

import torch

ALIGN = 64  # floats; see `aligned`


def aligned(rows: int, shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
    """Zeros (rows, *shape), each row on its own multiple of 64 floats.

    A kernel's rounding may depend on the address and on the vector tail of what it is given. So every
    row of every buffer begins on the same kind of address and ends in the same kind of tail, whichever
    row it is and however many there are: its bits do not depend on its neighbours.
    """
    size = math.prod(shape)
    stride = -(-size // ALIGN) * ALIGN
    flat = torch.zeros(rows, stride, dtype=like.dtype, device=like.device)
    return flat[:, :size].unflatten(1, shape)
