"""Samplers: who chooses the next trial. Each is Optuna's, made anew for every trial.

A sampler is seeded by (sampler.seed, trial number) and by nothing that came before, so a sweep that was
interrupted chooses as one that was not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from nnlab.allowed import LARGEST_COUNT, LARGEST_EXACT
from nnlab.errors import UserError
from nnlab.hyperparameters import Component, static
from nnlab.search.domains import CELLS_AT_MOST
from nnlab.search.space import Space
from nnlab.search.trial import COMPLETE, FAILED, PRUNED, Trial
from nnlab.streams import stream

LEARNING_BATCH = 16  # trials: the fewer, the sooner what they gave is learned from


@dataclass(frozen=True)
class Sampler(Component):
    """Base of the samplers, with what a search asks of one.

    learns       it looks at what earlier trials gave, so batches are small
    remembers    it keeps notes on its own trials beside their values; they are not stored but made again, by
                 asking it for those trials anew
    enumerates   it goes through a list of its own (`trials_of`), and draws nothing
    objectives   how many it can take
    conditional  it can search a space of which some parameters are part of some trials only
    numbers      how many parameters it needs that are numbers and part of every trial
    slow_after   the number of trials after which choosing one takes longer than half a second; None: never
    """

    group: ClassVar[str] = "sampler"
    learns: ClassVar[bool] = False
    remembers: ClassVar[bool] = False
    enumerates: ClassVar[bool] = False
    objectives: ClassVar[int] = 99
    conditional: ClassVar[bool] = True
    numbers: ClassVar[int] = 0
    slow_after: ClassVar[int | None] = None
    seed: int = static(0, low=0, high=LARGEST_EXACT)

    @property
    def batch(self) -> int | None:
        """How many trials are chosen at once; None: as many as there is memory for."""
        return LEARNING_BATCH if self.learns else None

    def refuse(self, space: Space) -> None:
        """Raise `UserError` for a space that it cannot search."""
        if space.conditional and not self.conditional:
            some = next(key for key in space.domains if key not in space.always)
            raise UserError(
                f"sampler={self.name} needs parameters that are part of every trial, and {some} is part of "
                f"some only; take sampler=tpe"
            )
        if self.numbers and len(_numbers(space)) < self.numbers:
            they = "parameter that is a number" if self.numbers == 1 else "parameters that are numbers"
            raise UserError(
                f"sampler={self.name} needs at least {self.numbers} {they} and part of every trial; take "
                f"sampler=tpe"
            )

    def trials_of(self, space: Space) -> Iterator[dict] | None:
        """All its trials in order, if it `enumerates`."""
        return None

    def count(self, space: Space) -> int | None:
        """How many those are."""
        return None

    def seed_of(self, number: int, attempt: int = 0) -> int:
        """A seed for one trial, of 32 bits; another for each attempt to find one that was not there yet."""
        return int(stream(self.seed, "sampler", number, attempt).integers(2**32))

    def optuna(self, space: Space, seed: int, worked: int = 0, failed: int = 0):
        """Optuna's sampler for one trial, after so many that `worked` and so many that `failed`."""
        raise NotImplementedError

    def lesson(self, trial: Trial, signs: tuple[int, ...], worked: int) -> Trial | None:
        """The trial as the sampler learns of it, when so many have `worked`; None leaves it among those that
        are still training."""
        return trial


@dataclass(frozen=True)
class Grid(Sampler):
    """Every combination of values; `points` are laid on each interval, its ends among them."""

    name: ClassVar[str] = "grid"
    enumerates: ClassVar[bool] = True
    points: int | None = static(None, low=2, high=CELLS_AT_MOST)

    def trials_of(self, space):
        return space.cells(self.points)

    def count(self, space):
        return space.count(self.points)


@dataclass(frozen=True)
class Random(Sampler):
    """Each trial by itself, evenly over the space. Bergstra and Bengio 2012."""

    name: ClassVar[str] = "random"

    def optuna(self, space, seed, worked=0, failed=0):
        from optuna.samplers import RandomSampler

        return RandomSampler(seed=seed)


@dataclass(frozen=True)
class TPE(Sampler):
    """Tree-structured Parzen estimators: where good trials are dense and bad ones are not. Bergstra,
    Bardenet, Bengio and Kegl 2011; parameters are chosen together (Falkner, Klein and Hutter 2018), and
    trials that are still training count as bad, so that a batch spreads. Those that failed count as bad
    for good: worse than any that was pruned, and never among the best, however few there are.

    The first `startup` trials are random.
    """

    name: ClassVar[str] = "tpe"
    learns: ClassVar[bool] = True
    startup: int = static(16, low=1, high=LARGEST_COUNT)

    def optuna(self, space, seed, worked=0, failed=0):
        from optuna.samplers import TPESampler

        # Without groups Optuna would draw what only some trials have at random, each by itself.
        group = {"multivariate": True, "group": True} if space.conditional else {}
        return TPESampler(seed=seed, n_startup_trials=max(0, self.startup - failed), **group)

    def lesson(self, trial, signs, worked):
        return None if trial.state == FAILED else trial


@dataclass(frozen=True)
class GP(Sampler):
    """Bayesian optimisation with a Gaussian process: the trial of the largest expected improvement. Snoek,
    Larochelle and Adams 2012. Half a second a trial after a hundred trials, 14 seconds after a thousand.
    """

    name: ClassVar[str] = "gp"
    learns: ClassVar[bool] = True
    slow_after: ClassVar[int | None] = 100
    startup: int = static(16, low=1, high=LARGEST_COUNT)

    def optuna(self, space, seed, worked=0, failed=0):
        from optuna.samplers import GPSampler

        return GPSampler(seed=seed, n_startup_trials=self.startup)

    def lesson(self, trial, signs, worked):
        return with_values(trial, signs)


@dataclass(frozen=True)
class QMC(Sampler):
    """A scrambled Sobol sequence, more even than random points: Sobol 1967, Owen 1995. It is one sequence for
    the whole sweep; parameters that only some trials have are drawn at random."""

    name: ClassVar[str] = "qmc"
    remembers: ClassVar[bool] = True

    def optuna(self, space, seed, worked=0, failed=0):
        from optuna.samplers import QMCSampler, RandomSampler

        sequence = QMCSampler(
            seed=self.seed, scramble=True, independent_sampler=RandomSampler(seed=seed),
            warn_independent_sampling=False,
        )  # fmt: skip
        return _informed(sequence, _distributions(space))


@dataclass(frozen=True)
class CMAES(Sampler):
    """Covariance matrix adaptation: a cloud of `population` trials that moves and stretches. Hansen and
    Ostermeier 2001. Categories, and what only some trials have, are drawn at random; and so is everything
    as long as all trials failed, which would move the cloud anywhere."""

    name: ClassVar[str] = "cmaes"
    learns: ClassVar[bool] = True
    remembers: ClassVar[bool] = True
    objectives: ClassVar[int] = 1
    numbers: ClassVar[int] = 2
    population: int = static(16, low=2, high=1000)

    @property
    def batch(self):
        return self.population

    def optuna(self, space, seed, worked=0, failed=0):
        from optuna.samplers import CmaEsSampler

        cloud = CmaEsSampler(
            seed=seed, popsize=self.population, n_startup_trials=int(failed > 0 and worked == 0),
            warn_independent_sampling=False,
        )  # fmt: skip
        return _informed(cloud, _numbers(space))

    def lesson(self, trial, signs, worked):
        return with_values(trial, signs) if worked else trial


SAMPLERS = {sampler.name: sampler for sampler in (Grid, Random, TPE, GP, QMC, CMAES)}


def with_values(trial: Trial, signs: tuple[int, ...]) -> Trial:
    """The trial for a sampler that looks at values alone: one that failed is worse than every other, one that
    was pruned is as good as it was when it was."""
    if trial.state == FAILED:
        return replace(trial, state=COMPLETE, values=tuple(sign * math.inf for sign in signs))
    return replace(trial, state=COMPLETE) if trial.state == PRUNED else trial


def _distributions(space: Space) -> dict:
    """What Optuna knows of the parameters that every trial has, if there is a choice."""
    from nnlab.search.as_optuna import distribution_of

    each = {key: distribution_of(space.domains[key]) for key in sorted(space.always)}
    return {key: distribution for key, distribution in each.items() if not distribution.single()}


def _numbers(space: Space) -> dict:
    """Those of them that are numbers."""
    return {key: d for key, d in _distributions(space).items() if not hasattr(d, "choices")}


def _informed(sampler, distributions: dict):
    """A sampler that knows its search space: Optuna's own reads it off finished trials, and so would draw
    the whole first batch at random."""
    sampler.infer_relative_search_space = lambda study, trial: distributions
    return sampler
