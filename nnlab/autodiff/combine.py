"""Boxes of several inputs: where branches of the graph meet."""

import torch

from nnlab.autodiff.box import Box


class Add(Box):
    """y = x_1 + x_2 + ..., all of one shape; every dx_i = dy."""

    def fprop(self, *x):
        torch.add(x[0], x[1], out=self.y)
        for further in x[2:]:
            self.y.add_(further)
        return self.y

    def bprop(self, dy):
        return (dy,) * len(self.dx)


class Multiply(Box):
    """y = x_1 x_2, elementwise; dx_1 = dy x_2, dx_2 = dy x_1."""

    def fprop(self, a, b):
        self.x = (a, b)
        return torch.mul(a, b, out=self.y)

    def bprop(self, dy):
        for dx, other in zip(self.dx, reversed(self.x), strict=True):
            if dx is not None:
                torch.mul(dy, other, out=dx)
        return self.dx
