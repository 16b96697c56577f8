"""Sparsemax, the Euclidean projection onto the simplex: by sorting, by bisection, in ONNX."""

import numpy as np
import torch


def sparsemax(z: torch.Tensor, out: torch.Tensor | None = None, axis: int = -2) -> torch.Tensor:
    """max(z - tau, 0) for scores z (..., m, B) of m units and B examples, with the tau of each example that
    makes its sum over the units 1. `axis` is that of the units.

    tau = max_k (z_(1) + ... + z_(k) - 1) / k, where z_(1) >= z_(2) >= ...: the tau of k is right if the k
    largest are the support, and the largest tau is that of the true support. Held, Wolfe and Crowder 1974.
    """
    z = z - z.amax(axis, keepdim=True)  # the same projection, and large z lose no digits in the sums
    k = torch.arange(1, z.shape[axis] + 1, dtype=z.dtype, device=z.device)
    k = k.view(-1, *(1,) * (z.ndim - 1 - axis % z.ndim))
    tau = z.sort(axis, descending=True).values.cumsum(axis).sub_(1).div_(k).amax(axis, keepdim=True)
    return torch.clamp_min(z.sub_(tau), 0, out=out)


def sparsemax_by_bisection(z: torch.Tensor, axis: int = -2) -> torch.Tensor:
    """`sparsemax` from the definition of tau, sum_i max(z_i - tau, 0) = 1; slower, as a reference for tests.

    Bisection for tau finds the support, the units above 0. Their number and sum give tau in closed form,
    which autograd can differentiate.
    """
    z = z - z.detach().amax(axis, keepdim=True)  # the same projection, and large z lose no digits
    fixed = z.detach()
    low, high = fixed.amin(axis, keepdim=True) - 1, fixed.amax(axis, keepdim=True)
    for _ in range(80):
        tau = (low + high) / 2
        too_low = (fixed - tau).clamp_min(0).sum(axis, keepdim=True) > 1
        low, high = torch.where(too_low, tau, low), torch.where(too_low, high, tau)
    support = fixed > (low + high) / 2
    tau = (torch.where(support, z, 0).sum(axis, keepdim=True) - 1) / support.sum(axis, keepdim=True)
    return torch.where(support, z - tau, 0)


def sparsemax_onnx(op, z):
    """`sparsemax` in ONNX's operators, for z (..., m, B), or images (K, m, H, W, B); see `Box.onnx`."""
    (m, *others), axis = op.shapes[0], -1 - len(op.shapes[0])
    k = op.constant(np.arange(1.0, m + 1).reshape(m, *(1 for _ in others), 1), z)
    z = op.Sub(z, op.ReduceMax(z, axes=[axis], keepdims=1))
    sums = op.CumSum(op.TopK(z, k=m, axis=axis), axis=axis)
    tau = op.ReduceMax(op.Div(op.Sub(sums, 1), k), axes=[axis], keepdims=1)
    return op.Relu(op.Sub(z, tau))
