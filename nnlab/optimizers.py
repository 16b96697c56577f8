"""Optimisers: one step on all parameters of all rows.

An optimiser sees matrices (K, P): `theta`, its gradient `g`, and `slots`, what it remembers, by name and
zero at the start. Its numbers are columns: `factors(lr, t)` computes what a step needs from them in
float64, for a run of steps at once (lr (K, S); t (K, S) counts a row's updates from 1), and `update` gets
them by attribute, one step's (K, 1) each, in the dtype of theta. `scratch` is a further matrix that a
step may overwrite; `g` is left as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from nnlab.fields import Part, column, static


@dataclass(frozen=True)
class Optimizer(Part):
    """Base of the optimisers; `lr` is the rate before its schedule."""

    group: ClassVar[str] = "optimizer"
    slots: ClassVar[tuple[str, ...]] = ()
    lr: float = column(1e-3, above=0)

    def factors(self, lr, t) -> dict[str, torch.Tensor]:
        raise NotImplementedError

    def clip(self, g, f) -> None:
        """Change the gradient in place before the update."""

    def update(self, theta, g, slots, f, scratch) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class SGD(Optimizer):
    """theta <- theta - lr g. Robbins and Monro 1951."""

    name: ClassVar[str] = "sgd"
    lr: float = column(0.1, above=0)

    def factors(self, lr, t):
        return {"minus_lr": -lr}

    def update(self, theta, g, slots, f, scratch):
        theta.addcmul_(g, f.minus_lr)


@dataclass(frozen=True)
class Momentum(Optimizer):
    """theta_t = theta_{t-1} - lr g + gamma (theta_{t-1} - theta_{t-2}). Polyak 1964.

    `step` holds theta_{t-1} - theta_{t-2}, so a change of lr reaches only steps to come.
    """

    name: ClassVar[str] = "momentum"
    slots: ClassVar[tuple[str, ...]] = ("step",)
    lr: float = column(0.05, above=0)
    gamma: float = column(0.9, low=0, below=1)

    def factors(self, lr, t):
        return {"minus_lr": -lr, "gamma": self.gamma}

    def update(self, theta, g, slots, f, scratch):
        slots.step.mul_(f.gamma).addcmul_(g, f.minus_lr)
        theta.add_(slots.step)


@dataclass(frozen=True)
class RMSProp(Optimizer):
    """v <- gamma v + (1 - gamma) g^2; theta <- theta - lr g / sqrt(v + epsilon). Hinton 2012.

    With `epsilon_inside_root: false` the divisor is sqrt(v) + epsilon, as torch has it.
    """

    name: ClassVar[str] = "rmsprop"
    slots: ClassVar[tuple[str, ...]] = ("v",)
    gamma: float = column(0.9, low=0, below=1)
    epsilon: float = column(1e-16, above=0)
    epsilon_inside_root: bool = static(True)

    def factors(self, lr, t):
        return {"minus_lr": -lr, "one_minus_gamma": 1 - self.gamma, "epsilon": self.epsilon}

    def update(self, theta, g, slots, f, scratch):
        slots.v.lerp_(torch.mul(g, g, out=scratch), f.one_minus_gamma)
        step = over_root(g, slots.v, f.epsilon, self.epsilon_inside_root, scratch)
        theta.addcmul_(step, f.minus_lr)


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
    slots: ClassVar[tuple[str, ...]] = ("m", "v")
    lr: float = column(3e-3, above=0)
    beta1: float = column(0.9, low=0, below=1)
    beta2: float = column(0.999, low=0, below=1)
    epsilon: float = column(1e-16, above=0)
    epsilon_inside_root: bool = static(True)

    def factors(self, lr, t):
        c1, c2 = 1 - self.beta1**t, 1 - self.beta2**t
        return {
            "one_minus_beta1": 1 - self.beta1,
            "one_minus_beta2": 1 - self.beta2,
            "epsilon": self.epsilon * (c2 if self.epsilon_inside_root else c2.sqrt()),
            "minus_lr": -lr * c2.sqrt() / c1,
        }

    def update(self, theta, g, slots, f, scratch):
        slots.m.lerp_(g, f.one_minus_beta1)
        slots.v.lerp_(torch.mul(g, g, out=scratch), f.one_minus_beta2)
        step = over_root(slots.m, slots.v, f.epsilon, self.epsilon_inside_root, scratch)
        theta.addcmul_(step, f.minus_lr)


OPTIMIZERS = {optimizer.name: optimizer for optimizer in (SGD, Momentum, RMSProp, Adam)}


def over_root(x, v, epsilon, inside: bool, out):
    """x / sqrt(v + epsilon), or x / (sqrt(v) + epsilon) if not `inside`."""
    if inside:
        return torch.add(v, epsilon, out=out).rsqrt_().mul_(x)
    return torch.div(x, torch.sqrt(v, out=out).add_(epsilon), out=out)
