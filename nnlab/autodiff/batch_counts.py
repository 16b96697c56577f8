"""What batch normalisation counts: the real examples of a batch, at each position of a channel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


def channel_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a leaf with a number for each unit or channel: (n, 1), or (C, 1, 1, 1) of an image."""
    return (shape[0], *(1,) * len(shape))


@dataclass(frozen=True)
class Counts:
    """How many values n of each row are in the sums over a batch, (1 or K, 1, ..., 1).

    inverse  1 / n; 0 where n = 1, so that the batch's own statistics have no gradient
    bessel   n / (n - 1); 1 where n = 1
    valid    1 for an example and 0 for what fills the batch; None for a full batch
    single   whether n = 1, where a batch is short
    """

    inverse: torch.Tensor
    bessel: torch.Tensor
    valid: torch.Tensor | None
    single: torch.Tensor

    def real(self, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        """x with 0 for what fills the batch; laid out as `out`: a sum is in the order of memory."""
        if self.valid is not None:
            return torch.mul(x, self.valid, out=out)
        return x if x.stride()[1:] == out.stride()[1:] else out.copy_(x)

    def subtract(self, x: torch.Tensor, mean: torch.Tensor) -> None:
        """x <- x - mean, for the examples."""
        if self.valid is None:
            x.sub_(mean)
        else:
            x.addcmul_(self.valid, mean, value=-1)

    def keep_single(self, statistic: torch.Tensor, running: torch.Tensor) -> None:
        """Where n = 1 the running statistic, in place of the batch's."""
        if self.valid is not None:
            torch.where(self.single, running, statistic, out=statistic)


def batch_counts(valid: torch.Tensor, shape: tuple[int, ...], padded: bool, count=None) -> Counts:
    """Of a batch of values of this shape, whose examples are `valid` (1 or K, 1, B). It has `count` of them
    (1 or K, 1, 1), if they are not all here."""
    valid = valid.unflatten(1, (1,) * len(shape))
    if count is None:
        n = valid.sum(-1, keepdim=True).mul_(math.prod(shape[1:]))
    else:
        n = count.unflatten(1, (1,) * len(shape)) * math.prod(shape[1:])
    single = n == 1
    inverse = n.reciprocal().masked_fill_(single, 0)
    return Counts(inverse, n / (n - 1).clamp_min_(1), valid if padded else None, single)
