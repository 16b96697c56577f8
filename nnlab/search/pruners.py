"""Pruners: which trials are not worth training to the end.

All trials of a batch wait for each other at a rung, an epoch. There each is judged by its worth, its
objective if it ended there (less is better), beside the trials of its batch and of all earlier ones.
So what is pruned does not depend on who was quicker.
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
    """Base of the pruners, and the one of name `none`: every trial is trained to its end.

    `prunes`: it has rungs. `objectives`: by how many it can judge.
    """

    group: ClassVar[str] = "pruner"
    name: ClassVar[str] = "none"
    prunes: ClassVar[bool] = False
    objectives: ClassVar[int] = 1

    def __init_subclass__(cls):
        """Whoever writes `rungs` prunes."""
        super().__init_subclass__()
        cls.prunes = cls.rungs is not Pruner.rungs

    def rungs(self, epochs: int) -> list[int]:
        """The epochs before the last one at which trials are judged."""
        return []

    def keep(self, rung: int, epochs: int, numbers, worth, came) -> np.ndarray:
        """(n,) bool: who goes on from this rung; arrays (n,) over all trials so far, by number.

        `worth` is what each was worth at the rung or, if it left before, when it left; `came` tells which
        came to the rung. The answer counts for those now training. `epochs` is the most that a trial trains.
        """
        return np.ones(len(worth), bool)

    def kept(self, epochs: int) -> float:
        """The share of all epochs that is trained in spite of it, as far as its rule says: for the plan."""
        # Between two rungs train those that the rungs before have left.
        left, share, before = 1.0, 0.0, 0
        for rung in (*self.rungs(epochs), epochs):
            share += left * (rung - before) / epochs
            left, before = left * self.survivors, rung
        return share

    @property
    def survivors(self) -> float:
        """The share of trials that go on from a rung."""
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

    def kept(self, epochs):
        return 0.6 if self.rungs(epochs) else 1.0  # a guess: about half go at the first rungs


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
        return _powers(self.min_epochs, self.factor, epochs)

    def keep(self, rung, epochs, numbers, worth, came):
        return _best(worth, came, self.factor)


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
        return _powers(self.min_epochs, self.factor, epochs)

    def bracket(self, number: int, epochs: int) -> int:
        """The bracket of a trial, by its number: the one furthest behind its share of the trials so far."""
        return _brackets(len(self.rungs(epochs)), self.factor).of(number)

    def keep(self, rung, epochs, numbers, worth, came):
        brackets = np.array([self.bracket(int(n), epochs) for n in numbers])
        keep, at = np.ones(len(worth), bool), self.rungs(epochs).index(rung)
        for b in range(at + 1):
            own = brackets == b
            keep[own] = _best(worth[own], came[own], self.factor)
        return keep


PRUNERS = {pruner.name: pruner for pruner in (Pruner, Median, Halving, Hyperband)}


class _Brackets:
    """The brackets 0 to `last` of one round of trials, in turn; ceil((s + 1) factor^k / (k + 1)) of each.

    A round may be longer than any sweep: as much of it is made as is asked for.
    """

    def __init__(self, last: int, factor: int):
        sizes = [math.ceil((last + 1) * factor ** (last - b) / (last - b + 1)) for b in range(last + 1)]
        self.round, self.shares = sum(sizes), np.array(sizes) / sum(sizes)
        self.order: list[int] = []
        self.given = np.zeros(last + 1)

    def of(self, number: int) -> int:
        """The bracket of a trial."""
        place = number % self.round
        for n in range(len(self.order), place + 1):
            self.order.append(int(np.argmax(self.shares * (n + 1) - self.given)))
            self.given[self.order[-1]] += 1
        return self.order[place]


@cache
def _brackets(last: int, factor: int) -> _Brackets:
    return _Brackets(last, factor)


def _powers(first: int, factor: int, end: int) -> list[int]:
    rungs = []
    while first < end:
        rungs.append(first)
        first *= factor
    return rungs


def _best(worth: np.ndarray, came: np.ndarray, factor: int) -> np.ndarray:
    """(n,) bool: the best 1 of `factor` of those who came, at least one; of equals the earlier."""
    rank = np.argsort(np.argsort(np.where(came, worth, np.inf), kind="stable"))
    return rank < max(1, came.sum() // factor)
