"""Gradient descent with one learning rate for all parameters, without memory or by signs: SGD, Lion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from nnlab.hyperparameters import column
from nnlab.optimizers.base import Optimizer

__all__ = ["SGD", "Lion"]


@dataclass(frozen=True)
class SGD(Optimizer):
    """theta <- theta - lr g. Robbins and Monro 1951."""

    name: ClassVar[str] = "sgd"
    elementwise: ClassVar[bool] = True
    lr: float = column(0.1, above=0)

    def factors(self, lr, t):
        return {"minus_lr": -lr}

    def update(self, theta, g, slots, columns, scratch):
        theta.addcmul_(g, columns.minus_lr)


@dataclass(frozen=True)
class Lion(Optimizer):
    """The sign of a moving average, with decoupled weight decay. Chen et al. 2023.

        W     <- W - lr weight_decay W          weights only, never biases
        theta <- theta - lr sign(beta1 m + (1 - beta1) g)
        m     <- beta2 m + (1 - beta2) g

    Every step has length lr in every parameter, so the paper asks for a rate 3 to 10 times smaller than
    AdamW's and a decay as many times larger: the defaults are AdamW's divided and multiplied by 10.
    """

    name: ClassVar[str] = "lion"
    elementwise: ClassVar[bool] = True
    slots: ClassVar[tuple[str, ...]] = ("m",)
    lr: float = column(3e-4, above=0)
    beta1: float = column(0.9, low=0, below=1)
    beta2: float = column(0.99, low=0, below=1)
    weight_decay: float = column(0.1, low=0)

    def factors(self, lr, t):
        return {
            "decay_factor": 1 - lr * self.weight_decay,
            "one_minus_beta1": 1 - self.beta1,
            "one_minus_beta2": 1 - self.beta2,
            "minus_lr": -lr,
        }

    def decay(self, weights, columns):
        weights.mul_(columns.decay_factor)

    def update(self, theta, g, slots, columns, scratch):
        sign = torch.lerp(slots.m, g, columns.one_minus_beta1, out=scratch).sign_()
        theta.addcmul_(sign, columns.minus_lr)
        slots.m.lerp_(g, columns.one_minus_beta2)
