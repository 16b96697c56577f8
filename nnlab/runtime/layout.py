"""Memory layout: every row of a buffer is aligned like a row that is alone in it; images in two layouts.

The shape of an image value is always (K, C, H, W, B). In memory, examples are last, as of vectors; or, where
a CPU's library convolves row by row, channels: K, B, H, W, C.
"""

from __future__ import annotations

import math

import torch

ALIGNED_FLOATS = 64  # every row begins on a multiple of so many floats: see `aligned`
MIN_IMAGE_DIMENSIONS = 3  # of an image with its batch, (C, L, B)


def aligned(rows: int, shape: tuple[int, ...], template: torch.Tensor) -> torch.Tensor:
    """Zeros (rows, *shape), each row on a multiple of 64 floats, with the dtype and device of `template`.

    A kernel's rounding may depend on the alignment of its arguments, and on the length of the tail that does
    not fill a vector register. So every row of every buffer has the same alignment and the same tail,
    however many rows there are: its bits do not depend on its neighbours.
    """
    size = math.prod(shape)
    flat = torch.zeros(rows, _stride(size), dtype=template.dtype, device=template.device)
    return flat[:, :size].unflatten(1, shape)


def aligned_values(rows: int, shape: tuple[int, ...], template: torch.Tensor, channels_last: bool):
    """`aligned` for values of examples, `shape` (C, ..., B): images with channels last in memory if asked."""
    in_memory = shape_in_memory(shape, channels_last)
    value = aligned(rows, in_memory, template)
    return value.transpose(1, -1) if channels_last and len(shape) >= MIN_IMAGE_DIMENSIONS else value


def shape_in_memory(shape: tuple[int, ...], channels_last: bool | None) -> tuple[int, ...]:
    """The order of a value of `shape` (C, ..., B) in memory: (B, ..., C) of an image with channels last."""
    if not channels_last or len(shape) < MIN_IMAGE_DIMENSIONS:
        return tuple(shape)
    channels, *positions, batch = shape
    return (batch, *positions, channels)


def has_channels_last(image: torch.Tensor) -> bool:
    """Whether each row of an image value (K, C, ..., B) is dense in memory, with channels last."""
    size = 1
    for axis in (1, *range(image.ndim - 2, 1, -1), image.ndim - 1):
        if image.stride(axis) != size and image.shape[axis] > 1:
            return False
        size *= image.shape[axis]
    return True


def in_memory(image: torch.Tensor) -> torch.Tensor:
    """A dense image value (K, C, ..., B) as lines (K, n), in the order of its memory: a view."""
    return (image.transpose(1, -1) if has_channels_last(image) else image).flatten(1)


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
