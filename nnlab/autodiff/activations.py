"""Elementwise activations: y = f(x) and dx = dy f'(x), with f' written in terms of y."""

import torch

from nnlab.autodiff.box import Box


class Identity(Box):
    """y = x."""

    def fprop(self, x):
        return x

    def bprop(self, dy):
        return (dy,)


class ReLU(Box):
    """y = max(x, 0); dx = dy [y > 0]. At 0 the derivative is taken to be 0."""

    def settle(self, site, shape):
        self.zero = torch.zeros((), dtype=site.like.dtype, device=site.like.device)

    def fprop(self, x):
        return torch.clamp_min(x, self.zero, out=self.y)

    def bprop(self, dy):
        (dx,) = self.dx
        torch.sign(self.y, out=dx).mul_(dy)  # y >= 0, so its sign is [y > 0]
        return self.dx


class Sigmoid(Box):
    """y = 1 / (1 + exp(-x)); dx = dy y (1 - y)."""

    def fprop(self, x):
        return torch.sigmoid(x, out=self.y)

    def bprop(self, dy):
        (dx,) = self.dx
        torch.mul(dy, self.y, out=dx)
        dx.addcmul_(dx, self.y, value=-1)
        return self.dx


class Tanh(Box):
    """y = tanh(x); dx = dy (1 - y^2)."""

    def fprop(self, x):
        return torch.tanh(x, out=self.y)

    def bprop(self, dy):
        (dx,) = self.dx
        torch.mul(dy, self.y, out=dx)
        torch.addcmul(dy, dx, self.y, value=-1, out=dx)
        return self.dx


class Softmax(Box):
    """y_i = exp(x_i) / sum_j exp(x_j) over the units; dx = y (dy - sum_j dy_j y_j)."""

    def fprop(self, x):
        return torch.softmax(x, 1, out=self.y)

    def bprop(self, dy):
        (dx,) = self.dx
        torch.mul(dy, self.y, out=dx)
        torch.sub(dy, dx.sum(1, keepdim=True), out=dx).mul_(self.y)
        return self.dx


ACTIVATIONS = {"identity": Identity, "relu": ReLU, "sigmoid": Sigmoid, "tanh": Tanh}
