"""What a schedule is: by what the learning rate is multiplied, per row, on the host.

A schedule says the factor at a `Progress`, which holds some steps of one epoch. One that listens has a
`state` (arrays over the rows) that `observe` updates from an epoch's metrics; it returns the rows that
must go back to the end of the previous epoch. `over` says which rows have a rate too small to go on with.

What `observe` hears of a row whose epoch ended in NaN or infinity is infinity, the largest rise there is. If
it takes the row back, training goes on from the previous epoch; if not, the row has diverged.

A refit listens to nothing, since it trains on the examples that the metrics are of: the state is given the
values that it had before the same epoch of the first training, and the same epochs are taken back.
"""

from __future__ import annotations

import warnings
from dataclasses import KW_ONLY, dataclass, replace
from typing import ClassVar

import numpy as np

from nnlab.allowed import Allowed, checked
from nnlab.arguments import typed
from nnlab.choices import shown
from nnlab.errors import Advice, UserError
from nnlab.hyperparameters import Component, control, stack

LINE = 64  # steps
UPDATES = 2**27  # of which `simulate` says the factor: 1 GB


@dataclass(frozen=True)
class Progress:
    """Some steps of an epoch: where each of K rows stands."""

    epoch: int  # 1, 2, ...
    step: np.ndarray  # (S,) in the epoch: 0, 1, ...
    steps: int  # in an epoch
    epochs: np.ndarray  # (K, 1): how many each row will train

    @property
    def done(self) -> np.ndarray:
        """Whole epochs done before each step, (S,)."""
        return np.full(len(self.step), self.epoch - 1.0)

    @property
    def updates(self) -> np.ndarray:
        """Updates before each step, (S,)."""
        return (self.epoch - 1) * self.steps + self.step


@dataclass(frozen=True)
class PastEpoch:
    """An epoch of one row, as a refit repeats it."""

    state: dict[str, np.ndarray]  # the schedule's, before the epoch
    back: bool  # whether the row was taken back after it


@dataclass(frozen=True)
class Schedule(Component):
    """Base of the schedules: `warmup` epochs in which the factor rises linearly, step by step."""

    group: ClassVar[str] = "schedule"
    goes_back: ClassVar[bool] = False
    _: KW_ONLY
    warmup: float = control(0.0, low=0)

    def advise(self, epochs: int) -> None:
        """Advice, if the warm-up is longer than so many epochs."""
        if self.warmup > epochs:
            warnings.warn(
                f"schedule.warmup = {self.warmup:g} epochs and epochs = {epochs}: the warm-up does not end, "
                f"and the last learning rate is {epochs / self.warmup:.2g} times what it would be",
                Advice,
                stacklevel=3,
            )

    def start(self, rows: int) -> dict[str, np.ndarray]:
        """The state of `rows` rows before the first epoch."""
        return {}

    def rate(self, progress: Progress, state) -> np.ndarray:
        """(K, S): the schedule's own factor times that of the warm-up, (updates + 1) / warm-up's steps.

        A row's steps are computed in one line, filled up to a multiple of 64: the last bit of a power or
        a cosine may depend on where in a vector it is, and so must not depend on the number of rows.
        """
        count = len(progress.step)
        line = replace(progress, step=np.pad(progress.step, (0, -count % LINE), mode="edge"))
        warm = np.maximum(self.warmup, 1e-300)[:, None] * progress.steps
        return (self.scale(line, state) * np.minimum(1, (line.updates + 1) / warm))[:, :count]

    def scale(self, progress: Progress, state) -> np.ndarray:
        """The factor, broadcast to (K, S)."""
        raise NotImplementedError

    @property
    def listens(self) -> bool:
        """Whether it looks at how validation goes."""
        return type(self).observe is not Schedule.observe

    def observe(self, state, metrics) -> np.ndarray | None:
        """Look at an epoch's metrics; (K,) bool, the rows to take back, or None."""
        return None

    def over(self, state) -> np.ndarray | None:
        """After an epoch: (K,) bool, the rows whose rate is too small to train on, or None."""
        return None


@typed
def simulate(schedule: Schedule, epochs: int, steps: int, metrics=None) -> np.ndarray:
    """The factor of every update, (epochs * steps,), without training.

    `metrics` has the value of the metric that the schedule listens to, of every epoch; without it the
    metric never gets worse. An epoch that a schedule takes back counts as an epoch.

    >>> from nnlab.schedules import HalveOnRise
    >>> simulate(HalveOnRise(), epochs=3, steps=2, metrics=[1, 3, 0]).tolist()
    [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]
    """
    _refuse(schedule, epochs, steps, metrics)
    schedule, total = stack([schedule]), np.array([[epochs]], float)
    state, seen = schedule.start(1), []
    for epoch in range(1, epochs + 1):
        seen.append(schedule.rate(Progress(epoch, np.arange(steps), steps, total), state)[0])
        if metrics is not None and state:
            schedule.observe(state, {schedule.metric: np.array([metrics[epoch - 1]], float)})
    return np.concatenate(seen)


def _refuse(schedule: Schedule, epochs: int, steps: int, metrics) -> None:
    """Raise `UserError` for what cannot be simulated."""
    if type(schedule) is Schedule:
        raise UserError("schedule = Schedule(): that is only their base; take nnlab.Cosine(), say")
    checked(epochs, int, Allowed(low=1, high=UPDATES), "epochs")
    checked(steps, int, Allowed(low=1, high=UPDATES), "steps")
    if epochs * steps > UPDATES:
        raise UserError(f"epochs = {epochs} of {steps} steps: expected {UPDATES:,} updates at most")
    if metrics is not None:
        try:
            values = np.asarray(metrics, float)
        except (TypeError, ValueError, OverflowError):
            values = np.empty(())
        if values.ndim != 1 or len(values) < epochs:
            raise UserError(f"metrics = {shown(metrics)}: expected a number for each of {epochs} epochs")
