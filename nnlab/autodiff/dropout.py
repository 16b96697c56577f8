"""Inverted dropout, of units and of weights."""

import copy
from dataclasses import replace

import torch

from nnlab.autodiff.box import Box


class Dropout(Box):
    """y = x m / (1 - p), each m_i = [u_i >= p] for a uniform u_i; the identity when not training.

    Kept units are divided by 1 - p, so nothing needs scaling at test time. p is the experiment's
    column `name`, a row's own; `uniforms` (K or 1, n, B) are set by the engine before each step.
    Srivastava et al. 2014.
    """

    def __init__(self, name: str = "dropout"):
        self.name = name

    def settle(self, site, shape):
        p = site.column(self.name)
        self.active = site.training and bool((p > 0).any())
        if self.active:
            self.noise_shape = (*shape, site.batch)
            self.p, self.scale = p.to(site.like), (1 / (1 - p)).to(site.like)
            self.mask = site.zeros(*self.noise_shape)

    def fprop(self, x):
        if not self.active:
            return x
        torch.ge(self.uniforms, self.p, out=self.mask).mul_(self.scale)
        return torch.mul(x, self.mask, out=self.y)

    def bprop(self, dy):
        if not self.active:
            return (dy,)
        torch.mul(dy, self.mask, out=self.dx[0])
        return self.dx


class DropConnect(Box):
    """`box` with its weights W replaced by V = W m / (1 - p), each m_ij = [u_ij >= p]; dW = dV m / (1 - p).

    One mask for each row and batch. Kept weights are divided by 1 - p, so that their mean is W, which is
    what is used when not training: then, and where no row has a rate, `bind` gives the box itself. p is
    the column `name`; `uniforms` (K or 1, *W's shape) are set by the engine before each step.
    Wan et al. 2013, who draw a mask for every example.
    """

    def __init__(self, box: Box, name: str = "dropconnect"):
        self.box, self.name = box, name

    def output_shape(self, *shapes):
        return self.box.output_shape(*shapes)

    def parameters(self, *shapes):
        return self.box.parameters(*shapes)

    def bind(self, site, *shapes):
        p = site.column(self.name)
        if not (site.training and bool((p > 0).any())):
            return self.box.bind(site, *shapes)
        bound = copy.copy(self)
        bound.W, bound.dW = site.theta["weight"], site.grad["weight"]
        bound.noise_shape = tuple(bound.W.shape[1:])
        bound.p, bound.scale = p.to(site.like), (1 / (1 - p)).to(site.like)
        bound.mask, bound.V = (site.zeros(*bound.noise_shape) for _ in range(2))
        bound.box = self.box.bind(replace(site, theta=site.theta | {"weight": bound.V}), *shapes)
        return bound

    def fprop(self, *x):
        torch.ge(self.uniforms, self.p, out=self.mask).mul_(self.scale)
        torch.mul(self.W, self.mask, out=self.V)
        return self.box.fprop(*x)

    def bprop(self, dy):
        dx = self.box.bprop(dy)
        self.dW.mul_(self.mask)
        return dx
