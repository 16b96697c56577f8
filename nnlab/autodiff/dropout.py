"""Inverted dropout of units, and DropConnect: dropout of weights."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from nnlab.autodiff.box import Box
from nnlab.hyperparameters import static

RATES = ("dropout", "input_dropout", "dropconnect")  # the columns of `Regularizer.rates`


@dataclass(frozen=True)
class Dropout(Box):
    """y = x m / (1 - p), each m_i = [u_i >= p] for a uniform u_i; the identity when not training.

    Kept units are divided by 1 - p, so nothing needs scaling at test time. p is `rate`, or the column of the
    experiment that has this name. The uniforms come from the stream named `stream`, or by default from that
    with the name of the node.
    Srivastava et al. 2014.
    """

    name: ClassVar[str] = "dropout"
    formula: ClassVar[str] = "x m / (1 - p)"
    random: ClassVar[bool] = True
    rate: str | float = static("dropout", choices=RATES, low=0, below=1)
    stream: str = static("")

    def is_identity(self, site):
        return not (site.training and bool((self.rates(site) > 0).any()))

    def rates(self, site):
        """p of each row (K, 1), float64."""
        if isinstance(self.rate, str):
            return site.columns[self.rate]
        return torch.full((site.rows, 1), self.rate, dtype=torch.float64)

    def settle(self, ctx, shape):
        p = self.rates(ctx.site).unflatten(1, (1,) * len(ctx.shape))
        ctx.p, ctx.scale = p.to(ctx.y), (1 / (1 - p)).to(ctx.y)
        ctx.noise_shape, ctx.mask = ctx.shape, ctx.zeros()

    def fprop(self, ctx, x):
        torch.ge(ctx.uniforms, ctx.p, out=ctx.mask).mul_(ctx.scale)
        return torch.mul(x, ctx.mask, out=ctx.y)

    def bprop(self, ctx, dy):
        torch.mul(dy, ctx.mask, out=ctx.dx[0])
        return ctx.dx

    def vjp(self, graph, node, dy):
        """The same mask, since it is drawn from the same stream."""
        return (graph.apply(replace(self, stream=node.stream), dy),)

    def reference(self, ctx, x):
        p = self.rates(ctx.site).unflatten(1, (1,) * len(ctx.shape)).to(x)
        return torch.where(ctx.uniforms < p, torch.zeros_like(x), x / (1 - p))

    def onnx(self, op, x):
        return x


@dataclass(frozen=True)
class DropConnect(Dropout):
    """Dropout on a leaf: V = W m / (1 - p) replaces the weights W, and dW = dV m / (1 - p).

    One mask for each row and batch. Kept weights are divided by 1 - p, so that their mean is W, which is used
    when not training. Wan et al. 2013, who draw a mask for every example.
    """

    name: ClassVar[str] = "dropconnect"
    formula: ClassVar[str] = "W m / (1 - p)"
    rate: str | float = static("dropconnect", choices=RATES, low=0, below=1)
