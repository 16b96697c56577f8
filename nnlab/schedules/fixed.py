"""Schedules fixed in advance. e of E epochs are completed, t of T updates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnlab.allowed import LARGEST_COUNT
from nnlab.errors import UserError, advise
from nnlab.hyperparameters import control, static
from nnlab.schedules.base import UNITS, Schedule


@dataclass(frozen=True)
class Constant(Schedule):
    """lr."""

    name: ClassVar[str] = "constant"
    is_constant: ClassVar[bool] = True

    def scale(self, progress, state):
        return np.ones((len(progress.epochs), 1))


@dataclass(frozen=True)
class StepDecay(Schedule):
    """lr factor^floor(e / every): the rate falls once every `every` epochs, as in torch's StepLR.

    With unit=updates e counts updates: Srivastava et al. 2014 halve it every 10,000.

    >>> from nnlab import simulate
    >>> simulate(StepDecay(every=2), epochs=5, steps=1).round(3).tolist()
    [1.0, 1.0, 0.1, 0.1, 0.01]
    """

    name: ClassVar[str] = "step"
    every: int = control(10, low=1, high=LARGEST_COUNT)
    factor: float = control(0.1, above=0)
    unit: str = static("epochs", choices=UNITS)

    def scale(self, progress, state):
        return self.factor[:, None] ** (progress.elapsed(self.unit) // self.every[:, None])


@dataclass(frozen=True)
class MultiStepDecay(Schedule):
    """lr factors[i] after milestones[i] epochs, and lr before the first: at any distances, of any height.

    torch's MultiStepLR multiplies by the same factor each time; here each factor is of lr itself. With
    unit=updates milestones count updates. The 600-400-20 epochs of Wan et al. 2013 are milestones = [600,
    1000, 1400, 1420, 1440, 1460], with factors = [0.5, 0.1, 0.05, 0.01, 0.005, 0.001] and 1,480 epochs.

    >>> from nnlab import simulate
    >>> simulate(MultiStepDecay(milestones=[2, 3], factors=[0.5, 0.1]), epochs=5, steps=1).tolist()
    [1.0, 1.0, 0.5, 0.1, 0.1]
    """

    name: ClassVar[str] = "steps"
    milestones: tuple[int, ...] = control((10, 20), low=1, high=LARGEST_COUNT)
    factors: tuple[float, ...] = control((0.1, 0.01), above=0)
    unit: str = static("epochs", choices=UNITS)

    def __post_init__(self):
        super().__post_init__()
        if isinstance(self.milestones, tuple):  # not a stack of them
            self._refuse_lists()

    def _refuse_lists(self) -> None:
        milestones, factors = list(self.milestones), list(self.factors)
        if len(milestones) != len(factors):
            raise UserError(
                f"schedule.factors = {factors} and schedule.milestones = {milestones}: expected a factor for "
                f"each milestone, and there are {len(factors)} for {len(milestones)}"
            )
        for earlier, later in zip(milestones, milestones[1:], strict=False):
            if later <= earlier:
                raise UserError(
                    f"schedule.milestones = {milestones}: expected each to be later than the one before, and "
                    f"{later} follows {earlier}"
                )

    def advise(self, epochs):
        super().advise(epochs)
        never = [m for m in self.milestones if self.unit == "epochs" and m >= epochs]
        if never:
            advise(
                f"schedule.milestones = {list(self.milestones)} and epochs = {epochs}: {never[0]} epochs "
                f"are not over before the end, so the rate never is {self.factors[-len(never)]:g} times lr"
            )

    def scale(self, progress, state):
        passed = self.milestones[:, :, None] <= progress.elapsed(self.unit)  # (K, n, S)
        factors = np.insert(self.factors, 0, 1.0, axis=1)  # before the first milestone 1
        return np.take_along_axis(factors, passed.sum(1), axis=1)


@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """lr gamma^e, as in torch's ExponentialLR."""

    name: ClassVar[str] = "exponential"
    gamma: float = control(0.95, above=0)

    def scale(self, progress, state):
        return self.gamma[:, None] ** progress.done


@dataclass(frozen=True)
class InverseTimeDecay(Schedule):
    """lr / (1 + decay t), by the update, as in Keras's old `decay`. Robbins and Monro 1951."""

    name: ClassVar[str] = "inverse_time"
    decay: float = control(1e-6, low=0)

    def scale(self, progress, state):
        return 1 / (1 + self.decay[:, None] * progress.updates)


@dataclass(frozen=True)
class PolynomialDecay(Schedule):
    """lr (end + (1 - end) (1 - e / E)^power); with end = 0 torch's PolynomialLR, with power = 1 a line."""

    name: ClassVar[str] = "polynomial"
    power: float = control(1.0, above=0)
    end: float = control(0.0, low=0, high=1)

    def scale(self, progress, state):
        end = self.end[:, None]
        remaining = np.maximum(0, 1 - progress.done / progress.epochs)
        return end + (1 - end) * remaining ** self.power[:, None]


@dataclass(frozen=True)
class Cosine(Schedule):
    """lr (floor + (1 - floor) (1 + cos(pi e / E)) / 2). Loshchilov and Hutter 2017.

    >>> from nnlab import simulate
    >>> simulate(Cosine(), epochs=4, steps=1).round(3).tolist()
    [1.0, 0.854, 0.5, 0.146]
    """

    name: ClassVar[str] = "cosine"
    floor: float = control(0.0, low=0, high=1)

    def scale(self, progress, state):
        floor = self.floor[:, None]
        return floor + (1 - floor) * (1 + np.cos(np.pi * (progress.done / progress.epochs))) / 2


@dataclass(frozen=True)
class CosineLog(Schedule):
    """lr (1 - cos(2 pi log2(1 + (2^cycles - 1) t / T))) / 2, by the update: up from 0 and down to 0 `cycles`
    times, each time for twice as long. Holzmueller, Grinsztajn and Steinwart 2024 (coslog4).

    The weights settle at the end of each cycle, which makes a good best epoch likely, whenever the model
    begins to overfit.

    >>> from nnlab import simulate
    >>> simulate(CosineLog(cycles=2), epochs=6, steps=1).round(3).tolist()
    [0.0, 0.93, 0.0, 0.718, 0.93, 0.324]
    """

    name: ClassVar[str] = "cosine_log"
    cycles: int = control(4, low=1, high=30)

    def scale(self, progress, state):
        fraction = progress.updates / (progress.epochs * progress.steps)
        turns = np.log2(1 + (2 ** self.cycles[:, None] - 1) * fraction)
        return (1 - np.cos(2 * np.pi * turns)) / 2


@dataclass(frozen=True)
class OneCycle(Schedule):
    """By the update, along half a cosine up to lr and along another down to almost 0. Smith and Topin 2019.

        from lr / div_factor to lr                     until t = pct_start T - 1
        from lr to lr / (div_factor final_div_factor)  until t = T - 1

    lr is the peak, and the names and numbers are those of torch's OneCycleLR. Momentum stays constant.

    >>> from nnlab import simulate
    >>> simulate(OneCycle(), epochs=5, steps=1).round(3).tolist()
    [0.04, 0.95, 0.611, 0.188, 0.0]
    """

    name: ClassVar[str] = "one_cycle"
    pct_start: float = control(0.3, low=0, high=1)
    div_factor: float = control(25.0, low=1)
    final_div_factor: float = control(1e4, low=1)

    def scale(self, progress, state):
        low = 1 / self.div_factor[:, None]
        lowest = 1 / (self.div_factor * self.final_div_factor)[:, None]
        last = progress.epochs * progress.steps - 1  # (K, 1)
        peak = self.pct_start[:, None] * (last + 1) - 1
        t = progress.updates
        up = half_cosine(low, 1, t / np.maximum(peak, 1))
        down = half_cosine(1, lowest, (t - peak) / np.maximum(last - peak, 1e-9))
        return np.where(t <= peak, up, down)


def half_cosine(start, end, fraction):
    """From `start` at fraction 0 to `end` at fraction 1."""
    return end + (start - end) * (1 + np.cos(np.pi * np.clip(fraction, 0, 1))) / 2
