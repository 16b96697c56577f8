"""The products of an affine box that reads images whose channels are last in memory."""

from __future__ import annotations

import math

import torch

from nnlab.autodiff.box import Context
from nnlab.autodiff.products import product
from nnlab.runtime.layout import aligned, has_channels_last


class ProductsInMemoryOrder:
    """Y = W X, dW = dY X' and dX = W' dY with the columns of W in the order of an image's memory.

    An example in memory has its P points one after another, each with C numbers, so its images are the matrix
    X' (B, P C) as they are; the columns of W are in the order (C, P). Here they are copied, and those of dW,
    since copying an image's numbers into that order takes four times as long: docs/log.md.
    """

    def __init__(self, ctx: Context, shape: tuple[int, ...], units: int):
        site, (dx, dW, _) = ctx.site, ctx.dx
        self.ctx, self.channels, size, batch = ctx, shape[0], math.prod(shape), site.batch
        self.W = aligned(site.rows, (units, size), site.template)
        self.x = self.copy = None
        self.to_y = product(site, units, size, batch, ctx.y)
        if dW is not None:
            self.dW = aligned(site.rows, (units, size), site.template)
            self.to_dW = product(site, units, batch, size, self.dW)
        if dx is not None:
            self.to_dX = product(site, batch, units, size, _lines(dx))

    def fprop(self, x: torch.Tensor, W: torch.Tensor) -> torch.Tensor:
        self._by_point(self.W).copy_(self._by_channel(W).mT)
        if x is not self.x:
            is_ready = has_channels_last(x)
            self.x = x if is_ready else None  # else it is copied in every call
            self.X = _lines(x if is_ready else self._copied(x))
        return self.to_y(self.W, self.X.mT)

    def bprop(self, dy: torch.Tensor) -> None:
        dx, dW, _ = self.ctx.dx
        if dW is not None:
            self.to_dW(dy, self.X)
            self._by_channel(dW).copy_(self._by_point(self.dW).mT)
        if dx is not None:
            self.to_dX(dy.mT, self.W)

    def _copied(self, x: torch.Tensor) -> torch.Tensor:
        if self.copy is None:
            self.copy = self.ctx.zeros(*x.shape[1:])
        return self.copy.copy_(x)

    def _by_channel(self, W: torch.Tensor) -> torch.Tensor:
        return W.unflatten(2, (self.channels, -1))  # (K, units, C, P)

    def _by_point(self, W: torch.Tensor) -> torch.Tensor:
        return W.unflatten(2, (-1, self.channels))  # (K, units, P, C)


def _lines(images: torch.Tensor) -> torch.Tensor:
    """(K, B, P C) of images (K, C, ..., B) with channels last: a view."""
    return images.transpose(1, -1).flatten(2)
