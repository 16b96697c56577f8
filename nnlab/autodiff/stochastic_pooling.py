"""Stochastic pooling: each window becomes one of its activations, drawn at random."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch

from nnlab.autodiff import pooled
from nnlab.autodiff.image_calls import ImageCalls
from nnlab.autodiff.pooling import Pooling
from nnlab.autodiff.pooling_gradient import Unpool
from nnlab.autodiff.windows import Windows, as_image

TINY = 1e-30  # in place of a sum that is 0


@dataclass(frozen=True)
class StochasticPool(Pooling):
    """y = a_i of each window, drawn with probability a_i / sum_j a_j, where a = max(x, 0); dx_i = dy.

    When not training y = sum_i a_i^2 / sum_j a_j, the mean of what would be drawn. Negative numbers are
    never drawn, nor is padding. Where none is above 0, y = 0 and no gradient passes.

    Each window has a uniform number u. Of its activations, row by row, the first is drawn whose sum with
    those before it exceeds u sum_j a_j. The numbers come from the stream with the name of the node.
    Zeiler and Fergus 2013.
    """

    name: ClassVar[str] = "stochastic_pool"
    formula: ClassVar[str] = "x_i with probability x_i / Σ x"
    random: ClassVar[bool] = True

    def inner_units(self, shape):
        return torch.Size(shape).numel()

    def settle(self, ctx, shape):
        windows, threads = self.windows(shape), ctx.site.threads
        ctx.a, ctx.sum = ctx.zeros(*shape, ctx.site.batch), torch.zeros_like(ctx.y)
        if not ctx.training:
            ctx.squares = torch.zeros_like(ctx.a)
            ctx.to_y = ImageCalls(_means(windows), threads)
            return
        ctx.noise_shape, ctx.zero = ctx.shape, ctx.scalar(0)
        ctx.index = torch.zeros_like(ctx.y, dtype=torch.long)  # the place of what is drawn, in its image
        ctx.scratch = [torch.zeros_like(ctx.y) for _ in range(4)]
        ctx.to_y = ImageCalls(_draws(windows, pooled.first_places(windows, ctx.y)), threads)
        ctx.to_dx = pooled.ToPlaces(windows, ctx)

    def fprop(self, ctx, x):
        if ctx.training:
            ctx.to_y(x, ctx.uniforms, ctx.y, ctx.index, ctx.a, ctx.sum, *ctx.scratch)
        else:
            ctx.to_y(x, ctx.y, ctx.a, ctx.squares, ctx.sum)
        return ctx.y

    def bprop(self, ctx, dy):
        drawn, *_ = ctx.scratch
        ctx.to_dx(torch.gt(ctx.y, ctx.zero, out=drawn).mul_(dy))
        return ctx.dx

    def jvp(self, ctx, d, out):
        """Of d the numbers at the places that the last `fprop` drew, in `out`."""
        return pooled.at_places(ctx.index, d, out).mul_(ctx.y > ctx.zero)

    def vjp(self, graph, node, dy):
        return (graph.apply(Unpool(self, stream=node.stream), dy, *node.inputs),)

    def reference(self, ctx, x):
        a = pooled.window_view(self.windows(x.shape[1:-1]), x.clamp_min(0), 0)
        total = a.sum(-1)
        if not ctx.training:
            return (a.square().sum(-1) / total.clamp_min(TINY)).reshape(-1, *ctx.shape)
        threshold = as_image(ctx.uniforms) * total.detach()
        drawn = (a.detach().cumsum(-1) <= threshold[..., None]).sum(-1, keepdim=True)
        y = a.gather(-1, drawn.clamp_max(a.shape[-1] - 1))[..., 0]
        return torch.where(total > 0, y, 0).reshape(-1, *ctx.shape)

    def onnx(self, op, x):
        windows, a = self.windows(op.shapes[0]), op.Max(x, 0)
        squares, sums = (pooled.onnx_sums(op, windows, v) for v in (op.Mul(a, a), a))
        return op.Div(squares, op.Max(sums, TINY))


# ---- kernels, for `ImageCalls`


def _means(windows: Windows):
    """y = sum a^2 / sum a."""
    sums = pooled.sums(windows)

    def kernel(x, y, a, squares, sum_):
        torch.clamp_min(x, 0, out=a)
        torch.mul(a, a, out=squares)
        sums(a, sum_)
        sums(squares, y)
        y.div_(sum_.clamp_min_(TINY))

    return kernel


def _draws(windows: Windows, first_places: torch.Tensor):
    """y = what the uniforms u draw, and its place in the image, index."""
    places = list(pooled.places(windows))
    distances = [distance for distance, _, _ in places]
    steps = [*(after - before for before, after in pairwise(distances)), 0]  # to the next place
    last = windows.as_image[0].length * windows.as_image[1].length - 1

    def kernel(x, u, y, index, a, sum_, threshold, place, passed, before):
        torch.clamp_min(x, 0, out=a)
        sum_.zero_()
        for _, of_windows, of_image in places:
            sum_[of_windows].add_(a[of_image])
        torch.mul(u, sum_, out=threshold)
        # The same sums again, one by one; the last is the same number as above, and exceeds u times itself.
        sum_.zero_()
        y.zero_()
        place.copy_(first_places.expand_as(place))
        before.fill_(1)
        for step, (_, of_windows, of_image) in zip(steps, places, strict=True):
            sum_[of_windows].add_(a[of_image])
            torch.le(sum_, threshold, out=passed)
            place.add_(passed, alpha=step)
            drawn = before.sub_(passed)  # 1 where the threshold is passed no more, but was before
            y[of_windows].addcmul_(a[of_image], drawn[of_windows])
            before.copy_(passed)
        # Where all are 0 nothing is drawn, and the place is the last, which may be in the padding.
        index.copy_(place).clamp_(0, last)

    return kernel
