"""The patches of images as columns of matrices (im2col), and the gradient of images from that of patches."""

from __future__ import annotations

import math
from itertools import product as pairs

import torch

from nnlab.autodiff.box import Site
from nnlab.autodiff.windows import Axis, Windows, as_image
from nnlab.runtime.layout import aligned


class Patches:
    """P (K groups, C / groups kh kw, H' W' B) of images (K, C, H, W, B): a column for a window of an example.

    A group of channels has a matrix of its own, as if it were a row. Images that all rows share have one
    matrix, which is expanded; and where windows are single points, images are their own patches.

    count  H' W' B, the columns of a matrix
    size   C / groups kh kw, its rows
    """

    def __init__(self, site: Site, windows: Windows, channels: int, groups: int):
        self.site, self.groups, (self.H, self.W) = site, groups, windows.as_image
        self.patch_shape = channels // groups, self.H.kernel, self.W.kernel
        self.window_shape = self.H.count, self.W.count, site.batch
        self.size, self.count = math.prod(self.patch_shape), math.prod(self.window_shape)
        self.are_points = groups == 1 and all(axis == Axis(axis.length) for axis in windows.axes)
        self.padded = self.x = None
        if (self.H.padded, self.W.padded) != (self.H.length, self.W.length):
            shape = channels, self.H.padded, self.W.padded, site.batch
            self.padded = aligned(site.rows, shape, site.template)
            self.inner = self.padded[:, :, self.H.inner, self.W.inner]
        if not self.are_points:
            self.P = self._matrices()

    def of(self, x: torch.Tensor) -> torch.Tensor:
        """P; it stays as it is until the next call."""
        if self.are_points:
            return x.flatten(2)
        if x is not self.x:
            self.x, self.source, self.target, self.result = x, *self._copies(x)
        if self.padded is not None:
            self.inner.copy_(as_image(x))
        self.target.copy_(self.source)
        return self.result

    def sums(self, dx: torch.Tensor) -> PatchSums:
        """What computes dX, in the buffer dx, from the gradient of the patches."""
        return PatchSums(self, dx)

    def _copies(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What to copy for these images, to where, and P afterwards."""
        is_shared = self.groups == 1 and self.padded is None and len(x) > 1 and x.stride(0) == 0
        P = self.P[:1] if is_shared else self.P
        source = self.view(as_image(x[: len(P)]) if self.padded is None else self.padded)
        return source, self.as_patches(P), P.expand(self.P.shape) if is_shared else P

    def view(self, image: torch.Tensor) -> torch.Tensor:
        """An image (K, C, H, W, B), padded, as (K, groups, C / groups, kh, kw, H', W', B)."""
        row, channel, height, width, example = image.stride()
        shape = len(image), self.groups, *self.patch_shape, *self.window_shape
        of_patch = channel, self.H.dilation * height, self.W.dilation * width
        of_window = self.H.stride * height, self.W.stride * width, example
        strides = row, self.patch_shape[0] * channel, *of_patch, *of_window
        return image.as_strided(shape, strides, image.storage_offset())

    def as_patches(self, matrices: torch.Tensor) -> torch.Tensor:
        """Matrices in the shape of `view`."""
        each = matrices.unflatten(0, (-1, self.groups))
        return each.unflatten(3, self.window_shape).unflatten(2, self.patch_shape)

    def _matrices(self) -> torch.Tensor:
        return aligned(self.site.rows * self.groups, (self.size, self.count), self.site.template)


class PatchSums:
    """dX from dP: each point of an image has the sum of the gradients of all patches that it is in.

    dP  the buffer to write the gradient of the patches into, before the call
    """

    def __init__(self, patches: Patches, dx: torch.Tensor):
        self.patches, self.dx, axes = patches, dx, (patches.H, patches.W)
        if patches.are_points:
            self.dP = dx.flatten(2)
            return
        self.dP = patches._matrices()
        dP, image = patches.as_patches(self.dP), as_image(dx)
        self.overlap = patches.padded is not None or any(axis.stride < axis.reach for axis in axes)
        if self.overlap:
            grouped = image.unflatten(1, (patches.groups, -1))
            self.terms = list(self._terms(grouped, dP))
        else:
            self.points, self.values = patches.view(image), dP

    def __call__(self) -> None:
        if self.patches.are_points:
            return
        self.dx.zero_()
        if not self.overlap:
            self.points.copy_(self.values)
            return
        for points, values in self.terms:
            points.add_(values)

    def _terms(self, dx: torch.Tensor, dP: torch.Tensor):
        """For each place in a window, the points of dx that have it, and their gradients there."""
        H, W = self.patches.H, self.patches.W
        for i, j in pairs(range(H.kernel), range(W.kernel)):
            (h, points_h), (w, points_w) = H.inside(i), W.inside(j)
            yield dx[..., points_h, points_w, :], dP[:, :, :, i, j, h, w]
