"""Adaptive optimisers: a learning rate for each parameter, from its past gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from nnlab.hyperparameters import column, static
from nnlab.optimizers.base import Optimizer, divide_by_root

__all__ = ["AdaGrad", "RMSProp", "AdaDelta"]


@dataclass(frozen=True)
class AdaGrad(Optimizer):
    """v <- v + g^2, from v = initial; theta <- theta - lr g / sqrt(v + epsilon). Duchi et al. 2011.

    With `epsilon_inside_root: false` the divisor is sqrt(v) + epsilon, as torch has it. The slot
    holds v - initial, the sum of squares alone.
    """

    name: ClassVar[str] = "adagrad"
    elementwise: ClassVar[bool] = True
    slots: ClassVar[tuple[str, ...]] = ("v",)
    lr: float = column(0.01, above=0)
    initial: float = column(0.0, low=0)
    epsilon: float = column(1e-20, low=1e-30)
    epsilon_inside_root: bool = static(True)

    def factors(self, lr, t):
        return {
            "minus_lr": -lr,
            "initial": self.initial,
            "epsilon": self.epsilon,
            "initial_plus_epsilon": self.initial + self.epsilon,
        }

    def update(self, theta, g, slots, columns, scratch):
        slots.v.addcmul_(g, g)
        if self.epsilon_inside_root:
            step = torch.add(slots.v, columns.initial_plus_epsilon, out=scratch).rsqrt_().mul_(g)
        else:
            root = torch.add(slots.v, columns.initial, out=scratch).sqrt_()
            step = torch.div(g, root.add_(columns.epsilon), out=scratch)
        theta.addcmul_(step, columns.minus_lr)


@dataclass(frozen=True)
class RMSProp(Optimizer):
    """v <- gamma v + (1 - gamma) g^2; theta <- theta - lr g / sqrt(v + epsilon). Hinton 2012.

    With `epsilon_inside_root: false` the divisor is sqrt(v) + epsilon, as torch has it.
    """

    name: ClassVar[str] = "rmsprop"
    elementwise: ClassVar[bool] = True
    slots: ClassVar[tuple[str, ...]] = ("v",)
    lr: float = column(1e-3, above=0)
    gamma: float = column(0.9, low=0, below=1)
    epsilon: float = column(1e-16, low=1e-30)
    epsilon_inside_root: bool = static(True)

    def factors(self, lr, t):
        return {"minus_lr": -lr, "one_minus_gamma": 1 - self.gamma, "epsilon": self.epsilon}

    def update(self, theta, g, slots, columns, scratch):
        slots.v.lerp_(torch.mul(g, g, out=scratch), columns.one_minus_gamma)
        step = divide_by_root(g, slots.v, columns.epsilon, self.epsilon_inside_root, scratch)
        theta.addcmul_(step, columns.minus_lr)


@dataclass(frozen=True)
class AdaDelta(Optimizer):
    """Steps with the root mean square of recent steps, so that no learning rate is needed. Zeiler 2012.

        v <- rho v + (1 - rho) g^2
        d  = sqrt(u + epsilon) / sqrt(v + epsilon) g;   theta <- theta - lr d
        u <- rho u + (1 - rho) d^2

    In the paper lr = 1. epsilon sets the length of the first steps.
    """

    name: ClassVar[str] = "adadelta"
    elementwise: ClassVar[bool] = True
    slots: ClassVar[tuple[str, ...]] = ("u", "v", "workspace")
    lr: float = column(1.0, above=0)
    rho: float = column(0.9, low=0, below=1)
    epsilon: float = column(1e-6, low=1e-30)

    def factors(self, lr, t):
        return {"minus_lr": -lr, "one_minus_rho": 1 - self.rho, "epsilon": self.epsilon}

    def update(self, theta, g, slots, columns, scratch):
        slots.v.lerp_(torch.mul(g, g, out=scratch), columns.one_minus_rho)
        # u is the average over earlier steps: it is updated below, with the step that it scales here.
        root = torch.add(slots.u, columns.epsilon, out=slots.workspace).sqrt_()
        d = divide_by_root(g, slots.v, columns.epsilon, True, scratch).mul_(root)
        theta.addcmul_(d, columns.minus_lr)
        slots.u.lerp_(d.mul_(d), columns.one_minus_rho)
