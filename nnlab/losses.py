"""Losses: how far outputs z are from targets t, example by example.

z and t are (..., m, B): m outputs, B examples. A class is one-hot over m, so `t` is a number for each
output either way. `fprop` gives (..., B); `bprop` writes the gradient of the weighted sum over the
examples, weight (..., 1, B), into `out`. With weight 1/B that is the gradient of the mean loss.
"""

import torch


class CrossEntropy:
    """-sum_i t_i log p_i with p = softmax(z); its gradient is p - t. Units: nats."""

    name = "cross_entropy"
    needs_classes = True

    def fprop(self, z, t):
        return -(torch.log_softmax(z, -2) * t).sum(-2)

    def bprop(self, z, t, weight, out):
        torch.softmax(z, -2, out=out)
        return out.sub_(t).mul_(weight)


class SquaredError:
    """mean_i (z_i - t_i)^2, without a half; its gradient is 2 (z - t) / m."""

    name = "squared_error"
    needs_classes = False

    def fprop(self, z, t):
        return (z - t).square_().mean(-2)

    def bprop(self, z, t, weight, out):
        return torch.sub(z, t, out=out).mul_(weight).mul_(2 / z.shape[-2])


LOSSES = {loss.name: loss for loss in (CrossEntropy, SquaredError)}
