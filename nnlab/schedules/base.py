"""The base class of schedules: a factor for the learning rate of each row and step, computed on the host.

`scale` returns the factor at a `Progress`, some steps of one epoch. A schedule that watches validation has a
`state` (arrays over the rows). `observe` updates it from the metrics of an epoch, and returns the rows that
must go back to the end of the previous epoch. `over` returns the rows whose rate is too small to continue.

For a row whose epoch ended in NaN or infinity, `observe` sees infinity, the largest rise there is. If it
takes the row back, training continues from the previous epoch; if not, the row has diverged.

A refit observes nothing, since it trains on the validation examples too. Instead, each epoch gets the state
that it had in the first training, and the same epochs are taken back.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import ClassVar

import numpy as np

from nnlab.allowed import Allowed, validate
from nnlab.arguments import typed
from nnlab.choices import short_repr
from nnlab.errors import UserError, advise
from nnlab.hyperparameters import Component, control, stack
from nnlab.metrics import cost, recorded_name

# The last bit of a power or a cosine may depend on its position in a vector, so every row's steps are padded
# to a multiple of this length, however many rows there are.
PADDED_STEPS = 64
UNITS = ("epochs", "updates")  # in which a schedule may count
MAX_UPDATES = 2**27  # in a simulation: 1 GB of factors


@dataclass(frozen=True)
class Progress:
    """The position of K rows in their training: some steps of one epoch."""

    epoch: int  # 1, 2, ...
    step: np.ndarray  # (S,) indices within the epoch: 0, 1, ...
    steps: int  # in an epoch
    epochs: np.ndarray  # (K, 1): the total of each row

    @property
    def done(self) -> np.ndarray:
        """Epochs completed before each step, (S,)."""
        return np.full(len(self.step), self.epoch - 1.0)

    @property
    def updates(self) -> np.ndarray:
        """Updates before each step, (S,)."""
        return (self.epoch - 1) * self.steps + self.step

    def elapsed(self, unit: str) -> np.ndarray:
        """Epochs completed or updates before each step, (S,): one of `UNITS`."""
        return self.done if unit == "epochs" else self.updates


@dataclass(frozen=True)
class PastEpoch:
    """An epoch of one row in the first training, which a refit repeats."""

    state: dict[str, np.ndarray]  # the schedule's, before the epoch
    went_back: bool  # whether the row went back to its start after it


@dataclass(frozen=True)
class Schedule(Component):
    """Base of the schedules; in the first `warmup` epochs the factor rises linearly, step by step."""

    group: ClassVar[str] = "schedule"
    goes_back: ClassVar[bool] = False
    is_constant: ClassVar[bool] = False  # but for a warm-up
    metric: ClassVar[str] = ""  # what it observes, if that is one metric
    remedy: ClassVar[str] = "stopping=patience ends such a run"  # where the rate became too small to matter
    _: KW_ONLY
    warmup: float = control(0.0, low=0)

    def advise(self, epochs: int) -> None:
        """Warn, as `Advice`, if the warm-up is longer than the training."""
        if self.warmup > epochs:
            advise(
                f"schedule.warmup = {self.warmup:g} epochs and epochs = {epochs}: the warm-up does not end, "
                f"and the last learning rate is {epochs / self.warmup:.2g} times what it would be without"
            )

    def start(self, rows: int) -> dict[str, np.ndarray]:
        """The state of `rows` rows before the first epoch."""
        return {}

    def rate(self, progress: Progress, state) -> np.ndarray:
        """(K, S): `scale` times the factor of the warm-up, (updates + 1) / (warmup steps)."""
        count = len(progress.step)
        padded = replace(progress, step=np.pad(progress.step, (0, -count % PADDED_STEPS), mode="edge"))
        warmup_steps = np.maximum(self.warmup, 1e-300)[:, None] * progress.steps  # not 0 without a warm-up
        factors = self.scale(padded, state) * np.minimum(1, (padded.updates + 1) / warmup_steps)
        return factors[:, :count]

    def scale(self, progress: Progress, state) -> np.ndarray:
        """The factor, broadcast to (K, S)."""
        raise NotImplementedError

    @property
    def varies(self) -> bool:
        """Whether the rate changes during training."""
        return not self.is_constant or self.warmup > 0

    @property
    def listens(self) -> bool:
        """Whether it observes the validation metrics."""
        return type(self).observe is not Schedule.observe

    def observe(self, state, metrics) -> np.ndarray | None:
        """Update the state from an epoch's metrics; (K,) bool, the rows to take back, or None.

        A metric of the table, such as `roc_auc`, is there by its own name, as what is minimised: 1 - roc_auc.
        """
        return None

    def over(self, state) -> np.ndarray | None:
        """After an epoch: (K,) bool, the rows whose rate is too small to continue, or None."""
        return None


@typed
def simulate(schedule: Schedule, epochs: int, steps: int, metrics=None) -> np.ndarray:
    """The factor of every update, (epochs * steps,), without training.

    `metrics` has the value of the observed metric for every epoch; without it the metric never gets worse. An
    epoch that the schedule takes back counts as an epoch.

    >>> from nnlab.schedules import HalveOnRise
    >>> simulate(HalveOnRise(), epochs=3, steps=2, metrics=[1, 3, 0]).tolist()
    [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]
    """
    _refuse_simulation(schedule, epochs, steps, metrics)
    schedule = stack([schedule])
    state = schedule.start(1)
    total_epochs = np.array([[epochs]], float)
    factors = []
    for epoch in range(1, epochs + 1):
        progress = Progress(epoch, np.arange(steps), steps, total_epochs)
        factors.append(schedule.rate(progress, state)[0])
        if metrics is not None and state:
            value = np.array([metrics[epoch - 1]], float)
            observed = cost(schedule.metric, {recorded_name(schedule.metric): value})
            schedule.observe(state, {schedule.metric: observed})
    return np.concatenate(factors)


def _refuse_simulation(schedule: Schedule, epochs: int, steps: int, metrics) -> None:
    """Raise `UserError` for what cannot be simulated."""
    if type(schedule) is Schedule:
        raise UserError("schedule = Schedule(): that is only the base class; write nnlab.Cosine(), say")
    validate(epochs, int, Allowed(low=1, high=MAX_UPDATES), "epochs")
    validate(steps, int, Allowed(low=1, high=MAX_UPDATES), "steps")
    if epochs * steps > MAX_UPDATES:
        raise UserError(f"epochs = {epochs} of {steps} steps: expected {MAX_UPDATES:,} updates at most")
    if metrics is not None:
        try:
            values = np.asarray(metrics, float)
        except (TypeError, ValueError, OverflowError):
            values = np.empty(())
        if values.ndim != 1 or len(values) < epochs:
            raise UserError(f"metrics = {short_repr(metrics)}: expected a number for each of {epochs} epochs")
