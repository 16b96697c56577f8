"""A rate for each parameter, from the size of its gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from nnlab.hyperparameters import column, static
from nnlab.optimizers.base import Optimizer, over_root

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
            "inside": self.initial + self.epsilon,
        }

    def update(self, theta, g, slots, f, scratch):
        slots.v.addcmul_(g, g)
        if self.epsilon_inside_root:
            step = torch.add(slots.v, f.inside, out=scratch).rsqrt_().mul_(g)
        else:
            root = torch.add(slots.v, f.initial, out=scratch).sqrt_()
            step = torch.div(g, root.add_(f.epsilon), out=scratch)
        theta.addcmul_(step, f.minus_lr)


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

    def update(self, theta, g, slots, f, scratch):
        slots.v.lerp_(torch.mul(g, g, out=scratch), f.one_minus_gamma)
        step = over_root(g, slots.v, f.epsilon, self.epsilon_inside_root, scratch)
        theta.addcmul_(step, f.minus_lr)


@dataclass(frozen=True)
class AdaDelta(Optimizer):
    """Steps as long as recent steps, in the parameter's own unit. Zeiler 2012.

        v <- rho v + (1 - rho) g^2
        d  = sqrt(u + epsilon) / sqrt(v + epsilon) g;   theta <- theta - lr d
        u <- rho u + (1 - rho) d^2

    In the paper lr = 1. epsilon sets the length of the first steps.
    """

    name: ClassVar[str] = "adadelta"
    elementwise: ClassVar[bool] = True
    slots: ClassVar[tuple[str, ...]] = ("u", "v", "room")
    lr: float = column(1.0, above=0)
    rho: float = column(0.9, low=0, below=1)
    epsilon: float = column(1e-6, low=1e-30)

    def factors(self, lr, t):
        return {"minus_lr": -lr, "one_minus_rho": 1 - self.rho, "epsilon": self.epsilon}

    def update(self, theta, g, slots, f, scratch):
        slots.v.lerp_(torch.mul(g, g, out=scratch), f.one_minus_rho)
        # u is that of the steps before: it is only updated below, with the step that it has scaled.
        root = torch.add(slots.u, f.epsilon, out=slots.room).sqrt_()
        d = over_root(g, slots.v, f.epsilon, True, scratch).mul_(root)
        theta.addcmul_(d, f.minus_lr)
        slots.u.lerp_(d.mul_(d), f.one_minus_rho)
