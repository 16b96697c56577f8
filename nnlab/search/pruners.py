"""Pruners: the rules by which unpromising trials are stopped early.

All trials of a batch wait for each other at a rung, which is an epoch. There each is compared, by its worth
(the objective so far; lower is better), with the trials of its batch and of all earlier batches. So the
decisions do not depend on which trial is computed faster.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

from nnlab.allowed import LARGEST_COUNT
from nnlab.hyperparameters import Component, static


@dataclass(frozen=True)
class Pruner(Component):
    """Base class of the pruners, and the pruner `none`: every trial is trained to its end.

    `prunes`: it has rungs. `objectives`: how many objectives it supports.
    """

    group: ClassVar[str] = "pruner"
    name: ClassVar[str] = "none"
    prunes: ClassVar[bool] = False
    objectives: ClassVar[int] = 1

    def __init_subclass__(cls):
        """A subclass that defines `rungs` prunes."""
        super().__init_subclass__()
        cls.prunes = cls.rungs is not Pruner.rungs

    def rungs(self, epochs: int) -> list[int]:
        """The epochs, before the last one, at which trials are compared."""
        return []

    def keep(self, rung: int, epochs: int, numbers, worth, came) -> np.ndarray:
        """(n,) bool: which trials continue after this rung; all arrays are (n,), over all trials so far.

        `worth` is each trial's objective at the rung or, if it ended before, at its end (lower is better);
        `came` says which have reached the rung. The answer is used for those now training. `epochs` is the
        most that a trial trains.
        """
        return np.ones(len(worth), bool)

    def trained_share(self, epochs: int) -> float:
        """The expected share of all epochs that are trained in spite of pruning, for the estimate of time."""
        # Between two rungs those trials train that have survived the earlier rungs.
        surviving, trained, previous_rung = 1.0, 0.0, 0
        for rung in (*self.rungs(epochs), epochs):
            trained += surviving * (rung - previous_rung) / epochs
            surviving, previous_rung = surviving * self.survivors, rung
        return trained

    @property
    def survivors(self) -> float:
        """The share of trials that survive a rung."""
        return 0.5 if self.prunes else 1.0


@dataclass(frozen=True)
class Median(Pruner):
    """Prune a trial that is worse than the median of all so far, each as it stood at this rung or when it
    left: after `warmup` epochs, and then every `interval` epochs, if there are at least `startup` trials.
    After Golovin et al. 2017 (Vizier), who compare with finished trials only: here all train at once."""

    name: ClassVar[str] = "median"
    startup: int = static(5, low=2, high=LARGEST_COUNT)
    warmup: int = static(5, low=1, high=LARGEST_COUNT)
    interval: int = static(5, low=1, high=LARGEST_COUNT)

    def rungs(self, epochs):
        return list(range(self.warmup, epochs, self.interval))

    def keep(self, rung, epochs, numbers, worth, came):
        return (worth <= np.median(worth)) | (len(worth) < self.startup)

    def trained_share(self, epochs):
        return 0.6 if self.rungs(epochs) else 1.0  # a guess: about half are pruned at the first rungs


@dataclass(frozen=True)
class Halving(Pruner):
    """Successive halving: at the rungs min_epochs, min_epochs factor, min_epochs factor^2, ... the best 1 of
    `factor` trials go on. Jamieson and Talwalkar 2016; beside earlier batches, as in Li et al. 2020."""

    name: ClassVar[str] = "halving"
    min_epochs: int = static(2, low=1, high=LARGEST_COUNT)
    factor: int = static(3, low=2, high=LARGEST_COUNT)

    @property
    def survivors(self):
        return 1 / self.factor

    def rungs(self, epochs):
        return _geometric_rungs(self.min_epochs, self.factor, epochs)

    def keep(self, rung, epochs, numbers, worth, came):
        return _best_fraction(worth, came, self.factor)


@dataclass(frozen=True)
class Hyperband(Pruner):
    """Halving in brackets that begin at later and later rungs, since a trial that is slow at first may win:
    bracket b judges its own trials from rung b on. Li et al. 2018.

    With s rungs there are brackets 0 to s; each gets its share of the trials, bracket by bracket in turn, in
    the proportions of the paper, so that each costs about as much.
    """

    name: ClassVar[str] = "hyperband"
    min_epochs: int = static(2, low=1, high=LARGEST_COUNT)
    factor: int = static(3, low=2, high=LARGEST_COUNT)

    @property
    def survivors(self):
        return 1 / self.factor

    def rungs(self, epochs):
        return _geometric_rungs(self.min_epochs, self.factor, epochs)

    def bracket(self, number: int, epochs: int) -> int:
        """The bracket of a trial, by its number: the one furthest behind its share of the trials so far."""
        return _brackets(len(self.rungs(epochs)), self.factor).bracket_of(number)

    def keep(self, rung, epochs, numbers, worth, came):
        brackets = np.array([self.bracket(int(n), epochs) for n in numbers])
        keep, rung_index = np.ones(len(worth), bool), self.rungs(epochs).index(rung)
        for b in range(rung_index + 1):
            in_bracket = brackets == b
            keep[in_bracket] = _best_fraction(worth[in_bracket], came[in_bracket], self.factor)
        return keep


PRUNERS = {pruner.name: pruner for pruner in (Pruner, Median, Halving, Hyperband)}


class _Brackets:
    """The brackets 0 to `last` of one round of trials, interleaved; ceil((s + 1) factor^k / (k + 1)) of each.

    A round may be longer than any sweep, so it is computed as far as it is needed.
    """

    def __init__(self, last: int, factor: int):
        sizes = [math.ceil((last + 1) * factor ** (last - b) / (last - b + 1)) for b in range(last + 1)]
        self.round_size, self.shares = sum(sizes), np.array(sizes) / sum(sizes)
        self.order: list[int] = []
        self.assigned = np.zeros(last + 1)

    def bracket_of(self, number: int) -> int:
        """The bracket of a trial."""
        position = number % self.round_size
        for n in range(len(self.order), position + 1):
            self.order.append(int(np.argmax(self.shares * (n + 1) - self.assigned)))
            self.assigned[self.order[-1]] += 1
        return self.order[position]


@cache
def _brackets(last: int, factor: int) -> _Brackets:
    return _Brackets(last, factor)


def _geometric_rungs(first: int, factor: int, end: int) -> list[int]:
    rungs = []
    while first < end:
        rungs.append(first)
        first *= factor
    return rungs


def _best_fraction(worth: np.ndarray, reached: np.ndarray, factor: int) -> np.ndarray:
    """(n,) bool: the best 1 / `factor` of those that `reached` the rung, at least one; ties: the earlier."""
    rank = np.argsort(np.argsort(np.where(reached, worth, np.inf), kind="stable"))
    return rank < max(1, reached.sum() // factor)
