"""Adam and its variants: moving averages of the gradient and of its square."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from nnlab.hyperparameters import column, static
from nnlab.optimizers.base import Optimizer, divide_by_root

__all__ = ["Adam", "AdamW", "AMSGrad", "NAdam"]


@dataclass(frozen=True)
class Adam(Optimizer):
    """Bias-corrected moving averages of g and g^2. Kingma and Ba 2015.

        m <- beta1 m + (1 - beta1) g          m^ = m / (1 - beta1^t)
        v <- beta2 v + (1 - beta2) g^2        v^ = v / (1 - beta2^t)
        theta <- theta - lr m^ / sqrt(v^ + epsilon)

    With `epsilon_inside_root: false` the divisor is sqrt(v^) + epsilon, as torch has it. The step is
    computed as  lr sqrt(c2) / c1 * m / sqrt(v + epsilon c2)  with c = 1 - beta^t: the same number
    with the corrections on (K, 1) columns instead of (K, P) matrices.

    With `bias_correction: false` m^ = m and v^ = v, averages that still remember their start at 0. v has
    the longer memory, so that the first steps are too long: the very first (1 - beta1) / sqrt(1 - beta2)
    times, 3.2 times with the defaults.
    """

    name: ClassVar[str] = "adam"
    elementwise: ClassVar[bool] = True
    slots: ClassVar[tuple[str, ...]] = ("m", "v")
    lr: float = column(3e-3, above=0)
    beta1: float = column(0.9, low=0, below=1)
    beta2: float = column(0.999, low=0, below=1)
    epsilon: float = column(1e-16, low=1e-30)
    epsilon_inside_root: bool = static(True)
    bias_correction: bool = static(True)

    def factors(self, lr, t):
        return corrected_columns(self, lr / correction(self, self.beta1, t), t)

    def update(self, theta, g, slots, columns, scratch):
        update_averages(slots, g, columns, scratch)
        step = divide_by_root(slots.m, slots.v, columns.epsilon, self.epsilon_inside_root, scratch)
        theta.addcmul_(step, columns.minus_lr)


@dataclass(frozen=True)
class AdamW(Optimizer):
    """Adam with decoupled weight decay, which is not part of the gradient. Loshchilov and Hutter 2019.

        W <- W - lr weight_decay W            weights only, never biases
        theta <- theta - lr m^ / sqrt(v^ + epsilon)

    As in torch, the decay follows lr and its schedule.
    """

    name: ClassVar[str] = "adamw"
    elementwise: ClassVar[bool] = True
    slots: ClassVar[tuple[str, ...]] = ("m", "v")
    lr: float = column(3e-3, above=0)
    beta1: float = column(0.9, low=0, below=1)
    beta2: float = column(0.999, low=0, below=1)
    epsilon: float = column(1e-16, low=1e-30)
    weight_decay: float = column(0.01, low=0)
    epsilon_inside_root: bool = static(True)
    bias_correction: bool = static(True)

    def factors(self, lr, t):
        decay_factor = {"decay_factor": 1 - lr * self.weight_decay}
        return decay_factor | corrected_columns(self, lr / correction(self, self.beta1, t), t)

    def decay(self, weights, columns):
        weights.mul_(columns.decay_factor)

    def update(self, theta, g, slots, columns, scratch):
        update_averages(slots, g, columns, scratch)
        step = divide_by_root(slots.m, slots.v, columns.epsilon, self.epsilon_inside_root, scratch)
        theta.addcmul_(step, columns.minus_lr)


@dataclass(frozen=True)
class AMSGrad(Optimizer):
    """Adam whose divisor never shrinks. Reddi, Kale and Kumar 2018.

        top <- max(top, v);   theta <- theta - lr m^ / sqrt(top^ + epsilon)

    with top^ = top / (1 - beta2^t), as in torch; the paper has no bias correction.
    """

    name: ClassVar[str] = "amsgrad"
    elementwise: ClassVar[bool] = True
    slots: ClassVar[tuple[str, ...]] = ("m", "v", "top")
    lr: float = column(3e-3, above=0)
    beta1: float = column(0.9, low=0, below=1)
    beta2: float = column(0.999, low=0, below=1)
    epsilon: float = column(1e-16, low=1e-30)
    epsilon_inside_root: bool = static(True)
    bias_correction: bool = static(True)

    def factors(self, lr, t):
        return corrected_columns(self, lr / correction(self, self.beta1, t), t)

    def update(self, theta, g, slots, columns, scratch):
        update_averages(slots, g, columns, scratch)
        torch.maximum(slots.top, slots.v, out=slots.top)
        step = divide_by_root(slots.m, slots.top, columns.epsilon, self.epsilon_inside_root, scratch)
        theta.addcmul_(step, columns.minus_lr)


@dataclass(frozen=True)
class NAdam(Optimizer):
    """Adam with Nesterov momentum, which grows to beta1. Dozat 2016.

        mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2)
        m^ = mu_{t+1} / (1 - mu_1 ... mu_{t+1}) m
             + (1 - mu_t) / (1 - mu_1 ... mu_t) g
        theta <- theta - lr m^ / sqrt(v^ + epsilon)

    with Adam's m, v and v^. With a for the factor of g and b for that of m, m^ is computed as
    (a + b) times the interpolation of m and g at a / (a + b). With `bias_correction: false` the products of
    mu are left out, and v^ = v.
    """

    name: ClassVar[str] = "nadam"
    elementwise: ClassVar[bool] = True
    slots: ClassVar[tuple[str, ...]] = ("m", "v", "workspace")
    lr: float = column(2e-3, above=0)
    beta1: float = column(0.9, low=0, below=1)
    beta2: float = column(0.999, low=0, below=1)
    epsilon: float = column(1e-16, low=1e-30)
    momentum_decay: float = column(4e-3, low=0)
    epsilon_inside_root: bool = static(True)
    bias_correction: bool = static(True)

    def factors(self, lr, t):
        product, next_mu = self.product(t), self.mu(t + 1)
        a, b = 1 - self.mu(t), next_mu
        if self.bias_correction:
            a, b = a / (1 - product), b / (1 - product * next_mu)
        return {"lookahead": a / (a + b)} | corrected_columns(self, lr * (a + b), t)

    def mu(self, t) -> torch.Tensor:
        """The momentum of update t."""
        return self.beta1 * (1 - 0.5 * 0.96 ** (t * self.momentum_decay))

    def product(self, t) -> torch.Tensor:
        """mu_1 ... mu_t; constant from the update on where it is below 1e-18, so that 1 minus it is 1."""
        largest_beta1 = max(float(self.beta1.max()), 0.1)
        count = min(int(t.max()), math.ceil(math.log(1e-18) / math.log(largest_beta1)))
        mus = self.mu(torch.arange(1, -(-count // 64) * 64 + 1, dtype=t.dtype, device=t.device))
        products = mus.cumprod(1)  # (K, count), along each row, so that its bits depend on that row alone
        return products.gather(1, t.long().clamp(max=products.shape[1]) - 1)

    def update(self, theta, g, slots, columns, scratch):
        update_averages(slots, g, columns, scratch)
        # divide_by_root uses `scratch`, so the interpolation needs a matrix of its own: the slot `workspace`.
        lookahead = torch.lerp(slots.m, g, columns.lookahead, out=slots.workspace)
        step = divide_by_root(lookahead, slots.v, columns.epsilon, self.epsilon_inside_root, scratch)
        theta.addcmul_(step, columns.minus_lr)


def correction(optimizer, beta, t) -> torch.Tensor:
    """1 - beta^t: the sum of the weights that a moving average has given to t values; the rest is its
    start's, at 0. Without `bias_correction` 1."""
    return 1 - beta**t if optimizer.bias_correction else torch.ones_like(t)


def corrected_columns(optimizer, rate, t) -> dict[str, torch.Tensor]:
    """Adam's columns: `rate` is lr with the bias correction of m; that of v is c2 = 1 - beta2^t."""
    c2 = correction(optimizer, optimizer.beta2, t)
    return {
        "one_minus_beta1": 1 - optimizer.beta1,
        "one_minus_beta2": 1 - optimizer.beta2,
        "epsilon": optimizer.epsilon * (c2 if optimizer.epsilon_inside_root else c2.sqrt()),
        "minus_lr": -rate * c2.sqrt(),
    }


def update_averages(slots, g, columns, scratch) -> None:
    """m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2."""
    slots.m.lerp_(g, columns.one_minus_beta1)
    slots.v.lerp_(torch.mul(g, g, out=scratch), columns.one_minus_beta2)
