"""Adam and its descendants: moving averages of the gradient and of its square."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from nnlab.hyperparameters import column, static
from nnlab.optimizers.base import Optimizer, over_root

__all__ = ["Adam", "AdamW", "AMSGrad", "NAdam"]


@dataclass(frozen=True)
class Adam(Optimizer):
    """Moving averages of g and g^2, freed of their start at zero. Kingma and Ba 2015.

        m <- beta1 m + (1 - beta1) g          m^ = m / (1 - beta1^t)
        v <- beta2 v + (1 - beta2) g^2        v^ = v / (1 - beta2^t)
        theta <- theta - lr m^ / sqrt(v^ + epsilon)

    With `epsilon_inside_root: false` the divisor is sqrt(v^) + epsilon, as torch has it. The step is
    computed as  lr sqrt(c2) / c1 * m / sqrt(v + epsilon c2)  with c = 1 - beta^t: the same number
    with the corrections on (K, 1) columns instead of (K, P) matrices.
    """

    name: ClassVar[str] = "adam"
    elementwise: ClassVar[bool] = True
    slots: ClassVar[tuple[str, ...]] = ("m", "v")
    lr: float = column(3e-3, above=0)
    beta1: float = column(0.9, low=0, below=1)
    beta2: float = column(0.999, low=0, below=1)
    epsilon: float = column(1e-16, low=1e-30)
    epsilon_inside_root: bool = static(True)

    def factors(self, lr, t):
        return corrected(self, lr / (1 - self.beta1**t), t)

    def update(self, theta, g, slots, f, scratch):
        average(slots, g, f, scratch)
        step = over_root(slots.m, slots.v, f.epsilon, self.epsilon_inside_root, scratch)
        theta.addcmul_(step, f.minus_lr)


@dataclass(frozen=True)
class AdamW(Optimizer):
    """Adam with decay beside the gradient instead of in it. Loshchilov and Hutter 2019.

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

    def factors(self, lr, t):
        keep = {"keep": 1 - lr * self.weight_decay}
        return keep | corrected(self, lr / (1 - self.beta1**t), t)

    def decay(self, weights, f):
        weights.mul_(f.keep)

    def update(self, theta, g, slots, f, scratch):
        average(slots, g, f, scratch)
        step = over_root(slots.m, slots.v, f.epsilon, self.epsilon_inside_root, scratch)
        theta.addcmul_(step, f.minus_lr)


@dataclass(frozen=True)
class AMSGrad(Optimizer):
    """Adam whose divisor never shrinks. Reddi, Kale and Kumar 2018.

        top <- max(top, v);   theta <- theta - lr m^ / sqrt(top^ + epsilon)

    with top^ = top / (1 - beta2^t), as torch has it: the paper leaves the corrections out.
    """

    name: ClassVar[str] = "amsgrad"
    elementwise: ClassVar[bool] = True
    slots: ClassVar[tuple[str, ...]] = ("m", "v", "top")
    lr: float = column(3e-3, above=0)
    beta1: float = column(0.9, low=0, below=1)
    beta2: float = column(0.999, low=0, below=1)
    epsilon: float = column(1e-16, low=1e-30)
    epsilon_inside_root: bool = static(True)

    def factors(self, lr, t):
        return corrected(self, lr / (1 - self.beta1**t), t)

    def update(self, theta, g, slots, f, scratch):
        average(slots, g, f, scratch)
        torch.maximum(slots.top, slots.v, out=slots.top)
        step = over_root(slots.m, slots.top, f.epsilon, self.epsilon_inside_root, scratch)
        theta.addcmul_(step, f.minus_lr)


@dataclass(frozen=True)
class NAdam(Optimizer):
    """Adam that looks ahead as Nesterov does, with a momentum that grows to beta1. Dozat 2016.

        mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2)
        m^ = mu_{t+1} / (1 - mu_1 ... mu_{t+1}) m
             + (1 - mu_t) / (1 - mu_1 ... mu_t) g
        theta <- theta - lr m^ / sqrt(v^ + epsilon)

    with Adam's m, v and v^. With a for the factor of g and b for that of m, m^ is computed as
    (a + b) times the point between m and g at a / (a + b).
    """

    name: ClassVar[str] = "nadam"
    elementwise: ClassVar[bool] = True
    slots: ClassVar[tuple[str, ...]] = ("m", "v", "room")
    lr: float = column(2e-3, above=0)
    beta1: float = column(0.9, low=0, below=1)
    beta2: float = column(0.999, low=0, below=1)
    epsilon: float = column(1e-16, low=1e-30)
    momentum_decay: float = column(4e-3, low=0)
    epsilon_inside_root: bool = static(True)

    def factors(self, lr, t):
        product, following = self.product(t), self.mu(t + 1)
        a = (1 - self.mu(t)) / (1 - product)
        b = following / (1 - product * following)
        return {"ahead": a / (a + b)} | corrected(self, lr * (a + b), t)

    def mu(self, t) -> torch.Tensor:
        """The momentum of update t."""
        return self.beta1 * (1 - 0.5 * 0.96 ** (t * self.momentum_decay))

    def product(self, t) -> torch.Tensor:
        """mu_1 ... mu_t; beyond the update where it is below 1e-18, and 1 minus it is 1, that one's."""
        longest = max(float(self.beta1.max()), 0.1)
        needed = min(int(t.max()), math.ceil(math.log(1e-18) / math.log(longest)))
        each = self.mu(torch.arange(1, -(-needed // 64) * 64 + 1, dtype=t.dtype, device=t.device))
        products = each.cumprod(1)  # (K, needed): a row's own, in order, so its bits are its own
        return products.gather(1, t.long().clamp(max=products.shape[1]) - 1)

    def update(self, theta, g, slots, f, scratch):
        average(slots, g, f, scratch)
        # `scratch` is taken by over_root, so the point ahead needs a matrix of its own: the slot `room`.
        ahead = torch.lerp(slots.m, g, f.ahead, out=slots.room)
        step = over_root(ahead, slots.v, f.epsilon, self.epsilon_inside_root, scratch)
        theta.addcmul_(step, f.minus_lr)


def corrected(o, rate, t) -> dict[str, torch.Tensor]:
    """Adam's columns: `rate` is lr with the correction of m; that of v is c2 = 1 - beta2^t."""
    c2 = 1 - o.beta2**t
    return {
        "one_minus_beta1": 1 - o.beta1,
        "one_minus_beta2": 1 - o.beta2,
        "epsilon": o.epsilon * (c2 if o.epsilon_inside_root else c2.sqrt()),
        "minus_lr": -rate * c2.sqrt(),
    }


def average(slots, g, f, scratch) -> None:
    """m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2."""
    slots.m.lerp_(g, f.one_minus_beta1)
    slots.v.lerp_(torch.mul(g, g, out=scratch), f.one_minus_beta2)
