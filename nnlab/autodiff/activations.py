"""Elementwise activations, y = f(x) and dx = dy f'(x), and the maps of a whole layer onto the simplex."""

import math

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
        self.zero = site.number(0)

    def fprop(self, x):
        return torch.clamp_min(x, self.zero, out=self.y)

    def bprop(self, dy):
        (dx,) = self.dx
        torch.sign(self.y, out=dx).mul_(dy)  # y >= 0, so its sign is [y > 0]
        return self.dx


class LeakyReLU(Box):
    """y = max(x, a x) with the slope a < 1; dx = dy max([y > 0], a). Maas, Hannun and Ng 2013."""

    def __init__(self, slope: float = 0.01):
        self.slope = slope

    def settle(self, site, shape):
        self.a = site.number(self.slope)

    def fprop(self, x):
        torch.mul(x, self.a, out=self.y)
        return torch.maximum(x, self.y, out=self.y)

    def bprop(self, dy):
        (dx,) = self.dx
        torch.sign(self.y, out=dx).clamp_min_(self.a).mul_(dy)
        return self.dx


class ELU(Box):
    """y = x where x > 0, else exp(x) - 1; dx = dy (1 + min(y, 0)). Clevert, Unterthiner, Hochreiter 2016.

    Since exp(x) - 1 >= x, that is y = max(x, exp(min(x, 0)) - 1).
    """

    def settle(self, site, shape):
        self.zero = site.number(0)

    def fprop(self, x):
        torch.clamp_max(x, self.zero, out=self.y).expm1_()
        return torch.maximum(x, self.y, out=self.y)

    def bprop(self, dy):
        (dx,) = self.dx
        torch.clamp_max(self.y, self.zero, out=dx)
        torch.addcmul(dy, dx, dy, out=dx)
        return self.dx


class GELU(Box):
    """y = x P(x), P the normal distribution and p its density; dx = dy (P + x p). Hendrycks, Gimpel 2016.

    P(x) = (1 + erf(x / sqrt 2)) / 2 and p(x) = exp(-x^2 / 2 - log(2 pi) / 2): exact, no approximation.
    """

    def settle(self, site, shape):
        self.root_half, self.half = site.number(math.sqrt(0.5)), site.number(0.5)
        self.log_p0 = site.number(-0.5 * math.log(2 * math.pi))
        self.P = site.zeros(*shape, site.batch)

    def fprop(self, x):
        self.x = x
        torch.mul(x, self.root_half, out=self.P).erf_()
        torch.add(self.half, self.P, alpha=0.5, out=self.P)
        return torch.mul(x, self.P, out=self.y)

    def bprop(self, dy):
        (dx,), x = self.dx, self.x
        torch.addcmul(self.log_p0, x, x, value=-0.5, out=dx).exp_()
        torch.addcmul(self.P, x, dx, out=dx).mul_(dy)
        return self.dx


class SiLU(Box):
    """y = x s with s = 1 / (1 + exp(-x)); dx = dy (s + y (1 - s)). Elfwing, Uchibe and Doya 2017."""

    def settle(self, site, shape):
        self.s = site.zeros(*shape, site.batch)

    def fprop(self, x):
        torch.sigmoid(x, out=self.s)
        return torch.mul(x, self.s, out=self.y)

    def bprop(self, dy):
        (dx,) = self.dx
        torch.addcmul(self.s, self.s, self.y, value=-1, out=dx).add_(self.y).mul_(dy)
        return self.dx


class Softplus(Box):
    """y = log(1 + exp(x)); dx = dy / (1 + exp(-x)). Dugas et al. 2001."""

    def settle(self, site, shape):
        self.zero = site.number(0)

    def fprop(self, x):
        self.x = x
        return torch.logaddexp(x, self.zero, out=self.y)

    def bprop(self, dy):
        (dx,) = self.dx
        torch.sigmoid(self.x, out=dx).mul_(dy)
        return self.dx


class Softsign(Box):
    """y = x / d with d = 1 + |x|; dx = dy / d^2. Glorot and Bengio 2010."""

    def settle(self, site, shape):
        self.one, self.d = site.number(1), site.zeros(*shape, site.batch)

    def fprop(self, x):
        torch.abs(x, out=self.d).add_(self.one)
        return torch.div(x, self.d, out=self.y)

    def bprop(self, dy):
        (dx,) = self.dx
        torch.div(dy, self.d, out=dx).div_(self.d)
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


class Sparsemax(Box):
    """y = the point of the simplex nearest to x; dx = s (dy - the mean of dy over the support), s = [y > 0].

    Martins and Astudillo 2016.
    """

    def settle(self, site, shape):
        self.s = site.zeros(*shape, site.batch)

    def fprop(self, x):
        return sparsemax(x, out=self.y)

    def bprop(self, dy):
        (dx,) = self.dx
        torch.sign(self.y, out=self.s)
        mean = torch.mul(dy, self.s, out=dx).sum(1, keepdim=True) / self.s.sum(1, keepdim=True)
        torch.sub(dy, mean, out=dx).mul_(self.s)
        return self.dx


def sparsemax(z: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
    """max(z - tau, 0) over the units, z (..., m, B), with the tau that makes the sum 1.

    tau = max_k (z_(1) + ... + z_(k) - 1) / k, where z_(1) >= z_(2) >= ...: each k supposes that the k
    largest are the support, and the largest tau is that of the true one. Held, Wolfe and Crowder 1974.
    """
    z = z - z.amax(-2, keepdim=True)  # the same projection, and large z lose no digits in the sums
    k = torch.arange(1, z.shape[-2] + 1, dtype=z.dtype, device=z.device)[:, None]
    tau = z.sort(-2, descending=True).values.cumsum(-2).sub_(1).div_(k).amax(-2, keepdim=True)
    return torch.clamp_min(z.sub_(tau), 0, out=out)


ACTIVATIONS = {
    "identity": Identity, "relu": ReLU, "leaky_relu": LeakyReLU, "elu": ELU, "gelu": GELU, "silu": SiLU,
    "softplus": Softplus, "sigmoid": Sigmoid, "tanh": Tanh, "softsign": Softsign,
}  # fmt: skip
OUTPUTS = {"identity": Identity, "softmax": Softmax, "sparsemax": Sparsemax, "sigmoid": Sigmoid}
