"""Learning-rate schedules: by what the rate is multiplied, per row, on the host.

`scale(epoch, epochs, state)` gives the factor of an epoch (1, 2, ...) for every row; `epochs` (K,) is how
many each row will train. A schedule that listens has a `state` (arrays over the rows) that `observe`
updates from an epoch's metrics; it returns the rows that must go back to the previous epoch's end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnlab.fields import Part, control, static


@dataclass(frozen=True)
class Schedule(Part):
    """Base of the schedules."""

    group: ClassVar[str] = "schedule"
    goes_back: ClassVar[bool] = False

    def start(self, rows: int) -> dict[str, np.ndarray]:
        """The state of `rows` rows before the first epoch."""
        return {}

    def scale(self, epoch: int, epochs: np.ndarray, state) -> np.ndarray:
        """The factor of the learning rate in `epoch`, (K,)."""
        raise NotImplementedError

    def observe(self, state, metrics) -> np.ndarray | None:
        """Look at an epoch's metrics; (K,) bool, the rows to take back, or None."""
        return None


@dataclass(frozen=True)
class Constant(Schedule):
    """lr."""

    name: ClassVar[str] = "constant"

    def scale(self, epoch, epochs, state):
        return np.ones(len(epochs))


@dataclass(frozen=True)
class Cosine(Schedule):
    """lr (floor + (1 - floor) (1 + cos(pi (epoch - 1) / epochs)) / 2). Loshchilov and Hutter 2017."""

    name: ClassVar[str] = "cosine"
    floor: float = control(0.0, low=0, high=1)

    def scale(self, epoch, epochs, state):
        return self.floor + (1 - self.floor) * (1 + np.cos(np.pi * (epoch - 1) / epochs)) / 2


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

    def scale(self, epoch, epochs, state):
        return state["scale"].copy()

    def observe(self, state, metrics):
        rose = metrics[self.metric] > state["previous"]
        state["scale"] = np.where(rose, state["scale"] * self.factor, state["scale"])
        state["previous"] = np.where(rose, state["previous"], metrics[self.metric])
        return rose


SCHEDULES = {schedule.name: schedule for schedule in (Constant, Cosine, HalveAndGoBack)}
