"""Learning-rate schedules: by what the rate is multiplied, per row, on the host.

A schedule says the factor at a `Progress`, which holds some steps of one epoch. One that listens has a
`state` (arrays over the rows) that `observe` updates from an epoch's metrics; it returns the rows that
must go back to the end of the previous epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnlab.fields import Part, control, static


@dataclass(frozen=True)
class Progress:
    """Some steps of an epoch: where each of K rows stands."""

    epoch: int  # 1, 2, ...
    step: np.ndarray  # (S,) in the epoch: 0, 1, ...
    steps: int  # in an epoch
    epochs: np.ndarray  # (K, 1): how many each row will train

    @property
    def done(self) -> np.ndarray:
        """Epochs done before each step, a fraction: (S,)."""
        return self.epoch - 1 + self.step / self.steps

    @property
    def updates(self) -> np.ndarray:
        """Updates before each step, (S,)."""
        return (self.epoch - 1) * self.steps + self.step


@dataclass(frozen=True)
class Schedule(Part):
    """Base of the schedules: `warmup` epochs in which the factor rises linearly, step by step."""

    group: ClassVar[str] = "schedule"
    goes_back: ClassVar[bool] = False
    warmup: float = control(0.0, low=0)

    def start(self, rows: int) -> dict[str, np.ndarray]:
        """The state of `rows` rows before the first epoch."""
        return {}

    def rate(self, progress: Progress, state) -> np.ndarray:
        """(K, S): the schedule's own factor times that of the warm-up, (updates + 1) / warm-up's steps."""
        warm = np.maximum(self.warmup, 1e-300)[:, None] * progress.steps
        return self.scale(progress, state) * np.minimum(1, (progress.updates + 1) / warm)

    def scale(self, progress: Progress, state) -> np.ndarray:
        """The factor, broadcast to (K, S)."""
        raise NotImplementedError

    def observe(self, state, metrics) -> np.ndarray | None:
        """Look at an epoch's metrics; (K,) bool, the rows to take back, or None."""
        return None


@dataclass(frozen=True)
class Constant(Schedule):
    """lr."""

    name: ClassVar[str] = "constant"

    def scale(self, progress, state):
        return np.ones((len(progress.epochs), 1))


@dataclass(frozen=True)
class Cosine(Schedule):
    """lr (floor + (1 - floor) (1 + cos(pi (epoch - 1) / epochs)) / 2). Loshchilov and Hutter 2017."""

    name: ClassVar[str] = "cosine"
    floor: float = control(0.0, low=0, high=1)

    def scale(self, progress, state):
        floor = self.floor[:, None]
        return floor + (1 - floor) * (1 + np.cos(np.pi * (progress.epoch - 1) / progress.epochs)) / 2


@dataclass(frozen=True)
class HalveAndGoBack(Schedule):
    """When the metric is above the previous epoch's: go back to that epoch's end and halve the rate.

    The row gets back its weights, what its optimiser remembered, and its count of updates; `previous`
    stays what it was, so the repeated epoch is compared with the same value.
    """

    name: ClassVar[str] = "halve_and_go_back"
    goes_back: ClassVar[bool] = True
    factor: float = control(0.5, above=0, below=1)
    metric: str = static("val_error", choices=("val_loss", "val_error"))

    def start(self, rows):
        return {"scale": np.ones(rows), "previous": np.full(rows, np.inf)}

    def scale(self, progress, state):
        return state["scale"][:, None]

    def observe(self, state, metrics):
        rose = metrics[self.metric] > state["previous"]
        state["scale"] = np.where(rose, state["scale"] * self.factor, state["scale"])
        state["previous"] = np.where(rose, state["previous"], metrics[self.metric])
        return rose


SCHEDULES = {schedule.name: schedule for schedule in (Constant, Cosine, HalveAndGoBack)}
