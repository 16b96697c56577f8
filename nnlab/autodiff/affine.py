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
        self.WT, self.x = self.W.mT, None
        self.to_y = product(site, fan_out, fan_in, batch, self.y)
        if site.training:
            self.db = self.grad["bias"]
            self.to_dW = product(site, fan_out, batch, fan_in, self.grad["weight"])
        if self.dx[0] is not None:
            self.to_dx = product(site, fan_in, fan_out, batch, self.dx[0])

    def fprop(self, x):
        if x is not self.x:
            self.x, self.xT = x, x.mT
        return self.to_y(self.W, x).add_(self.b)

    def bprop(self, dy):
        self.to_dW(dy, self.xT)
        torch.sum(dy, 2, keepdim=True, out=self.db)
        if self.dx[0] is not None:
            self.to_dx(self.WT, dy)
        return self.dx
