"""Windows over an image: how a kernel slides along each axis, and which points each of its places reads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch

from nnlab.errors import UserError

Extent = int | tuple[int, ...]  # one number for all axes of an image, or one for each


@dataclass(frozen=True)
class Axis:
    """Windows along one axis of an image: `count` of them, `stride` apart, each of `kernel` places that are
    `dilation` apart; `before` and `after` are the zeros at both ends."""

    length: int
    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0

    @property
    def reach(self) -> int:
        """From the first place of a window to its last."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def padded(self) -> int:
        return self.before + self.length + self.after

    @property
    def inner(self) -> slice:
        """The image within its padding."""
        return slice(self.before, self.before + self.length)

    @property
    def count(self) -> int:
        return (self.padded - self.reach) // self.stride + 1

    def with_same_padding(self) -> Axis:
        """Zeros such that there is a window for every `stride`-th place: count = ceil(length / stride)."""
        windows = -(-self.length // self.stride)
        zeros = max(0, (windows - 1) * self.stride + self.reach - self.length)
        return Axis(self.length, self.kernel, self.stride, self.dilation, zeros // 2, zeros - zeros // 2)

    def inside(self, place: int) -> tuple[slice, slice]:
        """Where a window's place falls on the image, not its padding: (which windows, which points)."""
        offset = place * self.dilation - self.before  # the point that it has in the first window
        first = max(0, -(offset // self.stride))
        last = min(self.count - 1, (self.length - 1 - offset) // self.stride)
        points = slice(first * self.stride + offset, last * self.stride + offset + 1, self.stride)
        return (slice(first, last + 1), points) if first <= last else (slice(0), slice(0))


@dataclass(frozen=True)
class Windows:
    """Windows over images (C, H, W) or sequences (C, L), which have H = 1."""

    axes: tuple[Axis, ...]

    @cached_property
    def counts(self) -> tuple[int, ...]:
        return tuple(axis.count for axis in self.axes)

    @cached_property
    def kernel(self) -> tuple[int, ...]:
        return tuple(axis.kernel for axis in self.axes)

    @cached_property
    def as_image(self) -> tuple[Axis, Axis]:
        """The axes H and W."""
        return self.axes if len(self.axes) > 1 else (Axis(1), *self.axes)

    @property
    def size(self) -> int:
        """The points in a window."""
        return math.prod(self.kernel)

    def each(self, name: str) -> list[int]:
        """A property of each axis, such as the stride."""
        return [getattr(axis, name) for axis in self.axes]

    @property
    def ends(self) -> list[int]:
        """The zeros at both ends of each axis, the last axis first, as torch.nn.functional.pad takes them."""
        return [end for axis in reversed(self.axes) for end in (axis.before, axis.after)]


def windows_of(
    what: str, shape, kernel: Extent, stride: Extent, padding: Extent | str, dilation: Extent = 1,
    kernel_name: str = "kernel",
) -> Windows:  # fmt: skip
    """The windows of the box `what`, which calls the kernel `kernel_name`, over values of `shape`. Raises
    `UserError` if they do not fit."""
    if len(shape) not in (2, 3):
        raise UserError(
            f"{what} reads images (channels, height, width) or sequences (channels, length), and gets values "
            f"of shape {tuple(shape)}"
        )
    lengths = shape[1:]
    extents = {kernel_name: kernel, "stride": stride, "dilation": dilation}
    if padding != "same":
        extents["padding"] = padding
    each = {name: _for_each_axis(what, name, value, lengths) for name, value in extents.items()}
    before = each.get("padding", (0,) * len(lengths))
    axes = [
        Axis(*numbers)
        for numbers in zip(
            lengths, each[kernel_name], each["stride"], each["dilation"], before, before, strict=True
        )
    ]
    if padding == "same":
        axes = [axis.with_same_padding() for axis in axes]
    if any(axis.reach > axis.padded for axis in axes):
        reach, padded = (" x ".join(str(getattr(a, name)) for a in axes) for name in ("reach", "padded"))
        raise UserError(
            f"{what}: its {kernel_name} takes {reach} points, and the image with its padding has {padded}"
        )
    return Windows(tuple(axes))


def _for_each_axis(what: str, name: str, value: Extent, lengths) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,) * len(lengths)
    if len(value) != len(lengths):
        raise UserError(
            f"{what}: {name} = {list(value)} has {len(value)} numbers, and the image {len(lengths)} axes, "
            f"{' x '.join(map(str, lengths))}"
        )
    return tuple(value)


def as_image(value: torch.Tensor) -> torch.Tensor:
    """A value (K, C, L, ...) of a sequence as (K, C, 1, L, ...); an image as it is."""
    return value if value.ndim > 4 else value.unsqueeze(2)
