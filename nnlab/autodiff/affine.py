"""The affine box: the one with weights."""

import math

import torch

from nnlab.autodiff.box import Box, Parameter
from nnlab.autodiff.products import product


class Affine(Box):
    """Y = W X + b, with X (K, fan_in, B), W (K, fan_out, fan_in), b (K, fan_out, 1).

    bprop:  dW = dY X',  db = the sum of dY over the examples,  dX = W' dY.
    """

    def __init__(self, units: int, activation: str = "identity"):
        self.units, self.activation = units, activation  # the activation that follows, for init

    def output_shape(self, shape):
        return (self.units,)

    def parameters(self, shape):
        fan_in = math.prod(shape)
        return {
            "weight": Parameter((self.units, fan_in), "weight", fan_in, self.units, self.activation),
            "bias": Parameter((self.units, 1), "bias"),
        }

    def settle(self, site, shape):
        fan_in, fan_out, batch = math.prod(shape), self.units, site.batch
        self.W, self.b = self.theta["weight"], self.theta["bias"]
        self.WT = self.W.mT
        self.forward = product(site.rows, fan_out, fan_in, batch, site.threads)
        if site.training:
            self.dW, self.db = self.grad["weight"], self.grad["bias"]
            self.to_dW = product(site.rows, fan_out, batch, fan_in, site.threads)
            self.to_dx = product(site.rows, fan_in, fan_out, batch, site.threads)

    def fprop(self, x):
        self.x = x
        return self.forward(self.W, x, self.y).add_(self.b)

    def bprop(self, dy):
        self.to_dW(dy, self.x.mT, self.dW)
        torch.sum(dy, 2, keepdim=True, out=self.db)
        (dx,) = self.dx
        if dx is not None:
            self.to_dx(self.WT, dy, dx)
        return self.dx
