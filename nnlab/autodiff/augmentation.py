"""Augmentation: random changes of the inputs in training that leave what they show the same.

Each box has a strength, a column of the experiment, and so one of each row. Each example of a batch is
changed by random numbers of its own, from the stream with the name of the node. When not training, and where
no row has a strength above 0, the boxes are identities.

They change images (C, H, W) and sequences (C, L), which are images of one row. With `image`, their inputs
are vectors that are images of that shape, row after row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch.nn import functional as F

from nnlab.autodiff.box import Box
from nnlab.autodiff.pooling_gradient import Unpool
from nnlab.autodiff.windows import as_image
from nnlab.errors import UserError
from nnlab.hyperparameters import static
from nnlab.runtime.scatter import scatter_sum

STRENGTHS = ("shift", "flip", "cutout", "input_noise")


@dataclass(frozen=True)
class Augmentation(Box):
    """Base: `strength` is the name of the column; `stream` that of the random numbers, if not the node's."""

    random: ClassVar[bool] = True
    of_images: ClassVar[bool] = True
    strength: str = static("", choices=STRENGTHS)
    image: tuple[int, ...] = static((), low=1)
    stream: str = static("")

    def is_identity(self, site):
        return not (site.training and bool((site.columns[self.strength] > 0).any()))

    def output_shape(self, shape):
        image = self.image or shape
        if len(image) not in (2, 3) or math.prod(image) != math.prod(shape):
            raise UserError(
                f"{self.name} changes images (channels, height, width) or sequences (channels, length), and "
                f"gets values of shape {tuple(shape)}"
            )
        return shape

    def as_image(self, value: torch.Tensor) -> torch.Tensor:
        """(K, C, H, W, B), a view."""
        return as_image(value.unflatten(1, self.image) if self.image else value)

    def column(self, ctx) -> torch.Tensor:
        """The strength of each row, (K, 1, 1, 1, 1), in the type of the values."""
        return ctx.site.columns[self.strength].to(ctx.y).unflatten(1, (1, 1, 1, 1))


@dataclass(frozen=True)
class RandomShift(Augmentation):
    """y(h, w) = x(h - i, w - j), with whole numbers i, j from -n to n, each as likely, for each example.

    What comes in from outside is the nearest point of the edge: an image stays on its own background,
    whatever the normalisation. n is the column `strength`. Simard, Steinkraus and Platt 2003.
    """

    name: ClassVar[str] = "random_shift"
    formula: ClassVar[str] = "x(h - i, w - j)"
    strength: str = static("shift", choices=STRENGTHS)

    def settle(self, ctx, shape):
        image = self.as_image(ctx.y)
        ctx.noise_shape = (2, image.shape[-1])  # i and j of each example
        ctx.n = self.column(ctx)
        ctx.count = 2 * ctx.n + 1
        ctx.points = [torch.arange(length, device=ctx.y.device).to(ctx.y) for length in image.shape[2:4]]
        ctx.index = torch.zeros(len(image), 1, *image.shape[2:], dtype=torch.long, device=ctx.y.device)
        ctx.examples = torch.arange(image.shape[-1], device=ctx.y.device)

    def fprop(self, ctx, x):
        i, j = self._offsets(ctx)
        rows, columns = ctx.points
        rows = (rows[:, None, None] - i).clamp_(0, len(rows) - 1)  # (K, 1, H, 1, B)
        columns = (columns[:, None] - j).clamp_(0, len(columns) - 1)  # (K, 1, 1, W, B)
        batch = len(ctx.examples)
        ctx.index.copy_(rows.mul_(len(ctx.points[1])) + columns).mul_(batch).add_(ctx.examples)
        x, y = self.as_image(x), self.as_image(ctx.y)
        moved = x.flatten(2).gather(2, ctx.index.flatten(2).expand(-1, x.shape[1], -1))
        y.copy_(moved.view(y.shape))
        return ctx.y

    def bprop(self, ctx, dy):
        dx = self.as_image(ctx.dx[0])
        sums = torch.empty_like(dx, memory_format=torch.contiguous_format).flatten(2)
        dx.copy_(scatter_sum(sums, ctx.index.flatten(2), self.as_image(dy).flatten(2)).view(dx.shape))
        return ctx.dx

    def jvp(self, ctx, d, out):
        """d, moved as x was."""
        return out.copy_(self.fprop(ctx, d))

    def vjp(self, graph, node, dy):
        return (graph.apply(Unpool(self, node.stream), dy, *node.inputs),)

    def _offsets(self, ctx) -> tuple[torch.Tensor, torch.Tensor]:
        """i and j, (K, 1, 1, 1, B) each."""
        offsets = (ctx.uniforms[:, None, :, None] * ctx.count).floor_().sub_(ctx.n)
        return torch.minimum(offsets, ctx.n).split(1, 2)  # n + 1 can only come from rounding

    def reference(self, ctx, x):
        images = self.as_image(x)
        height, width = images.shape[2:4]
        offsets = [  # (K, B); what is further away than the image is long is its edge
            v.clamp(-length, length).expand(len(x), -1, -1, -1, -1)[:, 0, 0, 0].long().tolist()
            for v, length in zip(self._offsets(ctx), (height, width), strict=True)
        ]
        edge = F.pad(images.movedim(-1, 1).flatten(0, 1), (width, width, height, height), mode="replicate")
        edge = edge.unflatten(0, (len(x), -1))
        moved = [
            [e[:, height - i :, width - j :][:, :height, :width] for e, i, j in zip(*row, strict=True)]
            for row in zip(edge, *offsets, strict=True)
        ]
        return torch.stack([torch.stack(row, -1) for row in moved]).reshape(x.shape)

    def onnx(self, op, x):
        return x


@dataclass(frozen=True)
class RandomFlip(Augmentation):
    """y = x mirrored, left for right, with probability p for each example; p is the column `strength`."""

    name: ClassVar[str] = "random_flip"
    formula: ClassVar[str] = "x or its mirror image"
    strength: str = static("flip", choices=STRENGTHS)

    def settle(self, ctx, shape):
        ctx.noise_shape = (1, 1, 1, ctx.shape[-1])
        ctx.p = self.column(ctx)

    def fprop(self, ctx, x):
        return self._flipped(ctx, x, ctx.y)

    def bprop(self, ctx, dy):
        return (self._flipped(ctx, dy, ctx.dx[0]),)

    def vjp(self, graph, node, dy):
        return (graph.apply(replace(self, stream=node.stream), dy),)

    def _flipped(self, ctx, x, out):
        image = self.as_image(x)
        torch.where(ctx.uniforms < ctx.p, image.flip(3), image, out=self.as_image(out))
        return out

    def reference(self, ctx, x):
        image = self.as_image(x)
        backwards = torch.arange(image.shape[3] - 1, -1, -1)
        return torch.where(ctx.uniforms >= ctx.p, image, image[:, :, :, backwards]).reshape(x.shape)

    def onnx(self, op, x):
        return x


@dataclass(frozen=True)
class Cutout(Augmentation):
    """y = x, but 0 in a square of n x n points around a random point of the image, all as likely.

    So a part of the square may be outside. 0 is the mean of normalised inputs. n is the column `strength`.
    DeVries and Taylor 2017.
    """

    name: ClassVar[str] = "cutout"
    formula: ClassVar[str] = "x, 0 in a square"
    strength: str = static("cutout", choices=STRENGTHS)

    def settle(self, ctx, shape):
        image = self.as_image(ctx.y)
        ctx.noise_shape = (2, image.shape[-1])  # the row and the column of the middle
        ctx.n, ctx.one = self.column(ctx), ctx.scalar(1)
        ctx.points = [torch.arange(length, device=ctx.y.device).to(ctx.y) for length in image.shape[2:4]]

    def fprop(self, ctx, x):
        rows, columns = self._inside(ctx)
        ctx.kept = torch.sub(ctx.one, rows.to(x) * columns)  # (K, 1, H, W, B)
        torch.mul(self.as_image(x), ctx.kept, out=self.as_image(ctx.y))
        return ctx.y

    def bprop(self, ctx, dy):
        torch.mul(self.as_image(dy), ctx.kept, out=self.as_image(ctx.dx[0]))
        return ctx.dx

    def vjp(self, graph, node, dy):
        return (graph.apply(replace(self, stream=node.stream), dy),)

    def _inside(self, ctx) -> tuple[torch.Tensor, torch.Tensor]:
        """Which rows (K, 1, H, 1, B) and which columns (K, 1, 1, W, B) the square has."""
        inside = []
        for axis, points in enumerate(ctx.points):
            middle = (ctx.uniforms[:, None, axis : axis + 1, None] * len(points)).floor_()
            start = middle.clamp_max_(len(points) - 1) - (ctx.n / 2).floor()
            place = points.view(-1, 1, 1) if axis == 0 else points.view(-1, 1)
            inside.append((place >= start) & (place < start + ctx.n))
        return tuple(inside)

    def reference(self, ctx, x):
        rows, columns = self._inside(ctx)
        return torch.where(rows & columns, 0, self.as_image(x)).reshape(x.shape)

    def onnx(self, op, x):
        return x


@dataclass(frozen=True)
class Noise(Augmentation):
    """y = x + s z, with z ~ N(0, 1) for each number; s is the column `strength`.

    z = Phi^-1(u) of a uniform number u; 0 counts as half of the smallest number above it. Inputs are
    normalised, so s is in units of their standard deviation. With `numbers`, only the first so many inputs
    change: the others are categories. Bishop 1995.
    """

    name: ClassVar[str] = "noise"
    formula: ClassVar[str] = "x + s z"
    of_images: ClassVar[bool] = False
    strength: str = static("input_noise", choices=STRENGTHS)
    numbers: int | None = static(None, low=0)

    def output_shape(self, shape):
        if self.numbers is not None and (len(shape) > 1 or self.numbers > shape[0]):
            raise UserError(
                f"{self.name}: numbers = {self.numbers} are the first of a vector, and its input has the "
                f"shape {tuple(shape)}; allowed: null, all of them, or up to the length of a vector"
            )
        return shape

    def settle(self, ctx, shape):
        ctx.noise_shape = (*(shape if self.numbers is None else (self.numbers,)), ctx.shape[-1])
        ctx.s = ctx.column(self.strength).to(ctx.y)
        digits = {torch.float32: 24, torch.float64: 53}[ctx.y.dtype]
        ctx.least = 2.0 ** -(digits + 1)

    def fprop(self, ctx, x):
        torch.add(x, 0, out=ctx.y)
        z = ctx.uniforms.clamp_min(ctx.least).mul_(2).sub_(1).erfinv_().mul_(math.sqrt(2))
        ctx.y[:, : self.numbers].add_(z * ctx.s)
        return ctx.y

    def bprop(self, ctx, dy):
        return (dy,)

    def vjp(self, graph, node, dy):
        return (dy,)

    def reference(self, ctx, x):
        z = torch.special.ndtri(ctx.uniforms.clamp_min(ctx.least)) * ctx.s
        return x + F.pad(z, (0, 0) * (x.ndim - 2) + (0, x.shape[1] - z.shape[1]))

    def onnx(self, op, x):
        return x
