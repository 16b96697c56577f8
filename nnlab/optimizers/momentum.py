"""Momentum: each step keeps a part of the one before, gamma_t of it, which may change during training."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, fields
from typing import ClassVar

import torch

from nnlab.allowed import LARGEST_COUNT
from nnlab.errors import advise
from nnlab.hyperparameters import column, static
from nnlab.optimizers.base import Optimizer

__all__ = ["Momentum", "Nesterov"]

RAMPS = ("none", "linear", "sutskever")


@dataclass(frozen=True)
class MomentumOptimizer(Optimizer):
    """Base of momentum and Nesterov: gamma_t, the momentum of update t = 1, 2, ..., with n = t - 1 before it.

        ramp=none         gamma
        ramp=linear       gamma_start + (gamma - gamma_start) min(1, n / ramp_updates)
                          Srivastava et al. 2014: from 0.5 to 0.99 over 100,000 updates
        ramp=sutskever    min(gamma, 1 - (1 - gamma_start) / (floor(n / ramp_updates) + 1))
                          Sutskever et al. 2013, with 0.5 and 250: 1 - 2^(-1 - log2(floor(n / 250) + 1))

    In the last `last_updates` of all planned updates it is `last_gamma` at most: Sutskever et al. lower it to
    0.9 for 1,000 updates, since a large momentum keeps the weights from settling. A row that goes back also
    goes back to its earlier n.
    """

    lr: float = column(0.05, above=0)
    gamma: float = column(0.9, low=0, below=1)
    _: KW_ONLY
    ramp: str = static("none", choices=RAMPS)
    gamma_start: float = column(0.5, low=0, below=1)
    ramp_updates: int = column(250, low=1, high=LARGEST_COUNT)
    last_gamma: float = column(0.9, low=0, below=1)
    last_updates: int = column(0, low=0, high=LARGEST_COUNT)

    def advise(self):
        if self.ramp == "none":
            self._advise_unused(("gamma_start", "ramp_updates"), "ramp=none", "ramp=linear")
        if not self.last_updates:
            self._advise_unused(("last_gamma",), "last_updates=0", "last_updates=1000")

    def _advise_unused(self, names: tuple[str, ...], without: str, use: str) -> None:
        usual = {field.name: field.default for field in fields(self)}
        for name in names:
            if (value := getattr(self, name)) != usual[name]:
                unused = f"optimizer.{name} = {value:g} has no effect with optimizer.{without}"
                advise(f"{unused}; optimizer.{use} uses it")

    @property
    def recorded_columns(self):
        return {} if self.ramp == "none" else {"momentum": "gamma"}

    def momentum(self, t, left=None) -> torch.Tensor:
        """gamma_t, (K, 1) or (K, S) float64; `left` as in `factors_in_run`."""
        n, gamma = t - 1, self.gamma
        if self.ramp == "linear":
            gamma = torch.lerp(self.gamma_start, gamma, (n / self.ramp_updates).clamp(max=1))
        elif self.ramp == "sutskever":
            gamma = torch.minimum(gamma, 1 - (1 - self.gamma_start) / ((n / self.ramp_updates).floor() + 1))
        if left is not None and bool(self.last_updates.any()):
            lowered = torch.minimum(gamma, self.last_gamma)
            gamma = torch.where(left <= self.last_updates, lowered, gamma)
        return gamma

    def factors(self, lr, t):
        return self.factors_in_run(lr, t)


@dataclass(frozen=True)
class Momentum(MomentumOptimizer):
    """theta_t = theta_{t-1} - lr g + gamma_t (theta_{t-1} - theta_{t-2}). Polyak 1964.

    gamma_t is gamma, unless `ramp` or `last_updates` say otherwise. `step` holds theta_{t-1} - theta_{t-2},
    so a change of lr reaches only steps to come.
    """

    name: ClassVar[str] = "momentum"
    elementwise: ClassVar[bool] = True
    slots: ClassVar[tuple[str, ...]] = ("step",)

    def factors_in_run(self, lr, t, left=None):
        return {"minus_lr": -lr, "gamma": self.momentum(t, left)}

    def update(self, theta, g, slots, columns, scratch):
        slots.step.mul_(columns.gamma).addcmul_(g, columns.minus_lr)
        theta.add_(slots.step)


@dataclass(frozen=True)
class Nesterov(MomentumOptimizer):
    """Momentum with the gradient at the point where the momentum leads. Nesterov 1983; Sutskever et al. 2013.

        step <- gamma_t step - lr g(x + gamma_t step);   x <- x + step

    theta is that point ahead, x + gamma_t step, where the gradient is computed:

        step <- gamma_t step - lr g(theta)
        theta <- theta + gamma_{t+1} step - lr g(theta)

    gamma_t is gamma, unless `ramp` or `last_updates` say otherwise. At a constant lr and gamma these are the
    steps of torch.optim.SGD(momentum=gamma, nesterov=True), which leaves lr out of `step`; here, as in
    `Momentum`, a change of lr reaches only steps to come.
    """

    name: ClassVar[str] = "nesterov"
    elementwise: ClassVar[bool] = True
    slots: ClassVar[tuple[str, ...]] = ("step",)

    def factors_in_run(self, lr, t, left=None):
        next_gamma = self.momentum(t + 1, None if left is None else left - 1)
        return {"minus_lr": -lr, "gamma": self.momentum(t, left), "next_gamma": next_gamma}

    def update(self, theta, g, slots, columns, scratch):
        slots.step.mul_(columns.gamma).addcmul_(g, columns.minus_lr)
        theta.addcmul_(slots.step, columns.next_gamma).addcmul_(g, columns.minus_lr)
