"""Inverted dropout."""

import torch

from nnlab.autodiff.box import Box


class Dropout(Box):
    """y = x m / (1 - p), each m_i = [u_i >= p] for a uniform u_i; the identity when not training.

    Kept units are divided by 1 - p, so nothing needs scaling at test time. p is the experiment's
    column `name`, a row's own; `uniforms` (K or 1, n, B) are set by the graph before each step.
    Srivastava et al. 2014.
    """

    stochastic = True

    def __init__(self, name: str = "dropout"):
        self.name = name

    def settle(self, site, shape):
        p = site.column(self.name)
        self.active = site.training and bool((p > 0).any())
        self.stochastic = self.active
        if self.active:
            self.p = p.to(site.like)
            self.scale = (1 / (1 - p)).to(site.like)
            self.mask = site.zeros(*shape, site.batch)

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
