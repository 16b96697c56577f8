"""Samplers: the methods that choose the next trial. Each wraps one of Optuna's, created anew for every trial.

A sampler is seeded by (sampler.seed, trial number) alone, so an interrupted and resumed sweep chooses the
same trials as an uninterrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from nnlab.allowed import LARGEST_COUNT, LARGEST_EXACT_INTEGER
from nnlab.errors import UserError
from nnlab.hyperparameters import Component, static
from nnlab.search.domains import MAX_CELLS
from nnlab.search.space import Space
from nnlab.search.trial import COMPLETE, FAILED, PRUNED, Trial
from nnlab.streams import stream

LEARNING_BATCH = 16  # trials: in smaller batches a sampler learns from results sooner


@dataclass(frozen=True)
class Sampler(Component):
    """Base class of the samplers: their properties and methods, as the search uses them.

    learns       it chooses by the results of earlier trials, so batches are small
    remembers    it has internal state besides the values of trials. The state is not stored but rebuilt, by
                 asking the sampler for those trials again
    enumerates   it goes through a fixed list of trials (`trials_of`), and draws nothing
    objectives   how many objectives it supports
    conditional  it supports spaces in which some parameters are part of some trials only
    numbers      how many numeric parameters, part of every trial, it needs
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
    seed: int = static(0, low=0, high=LARGEST_EXACT_INTEGER)

    @property
    def batch(self) -> int | None:
        """How many trials are chosen at once; None: as many as there is memory for."""
        return LEARNING_BATCH if self.learns else None

    def refuse(self, space: Space) -> None:
        """Raise `UserError` for a space that this sampler does not support."""
        if space.conditional and not self.conditional:
            key = next(key for key in space.domains if key not in space.always)
            raise UserError(
                f"sampler={self.name} needs parameters that are part of every trial, and {key} is part of "
                f"some only; take sampler=tpe"
            )
        if self.numbers and len(_numeric_distributions(space)) < self.numbers:
            noun = "parameter that is a number" if self.numbers == 1 else "parameters that are numbers"
            raise UserError(
                f"sampler={self.name} needs at least {self.numbers} {noun} and part of every trial; take "
                f"sampler=tpe"
            )

    def trials_of(self, space: Space) -> Iterator[dict] | None:
        """All trials in order, if the sampler `enumerates`."""
        return None

    def count(self, space: Space) -> int | None:
        """The number of `trials_of`."""
        return None

    def trial_seed(self, number: int, attempt: int = 0) -> int:
        """A 32-bit seed for one trial; another for each attempt to draw a new, trainable one."""
        return int(stream(self.seed, "sampler", number, attempt).integers(2**32))

    def optuna(self, space: Space, seed: int, worked: int = 0, failed: int = 0):
        """Optuna's sampler for one trial, after `worked` trials that did not fail and `failed` that did."""
        raise NotImplementedError

    def observation(self, trial: Trial, signs: tuple[int, ...], worked: int) -> Trial | None:
        """The trial as it is reported to the sampler, of which `worked` have not failed; None: not reported,
        so that it counts as still running."""
        return trial


@dataclass(frozen=True)
class Grid(Sampler):
    """Every combination of values; `points` are laid on each interval, its ends among them."""

    name: ClassVar[str] = "grid"
    enumerates: ClassVar[bool] = True
    points: int | None = static(None, low=2, high=MAX_CELLS)

    def trials_of(self, space):
        return space.cells(self.points)

    def count(self, space):
        return space.count(self.points)


@dataclass(frozen=True)
class Random(Sampler):
    """Each trial independent, uniform over the space. Bergstra and Bengio 2012."""

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
        sampler = TPESampler(seed=seed, n_startup_trials=max(0, self.startup - failed), **group)
        return sampler if space.conditional else _once_there_are_results(sampler, _distributions(space))

    def observation(self, trial, signs, worked):
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

    def observation(self, trial, signs, worked):
        return as_complete(trial, signs)


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
        return _with_search_space(sequence, _distributions(space))


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
        return _with_search_space(cloud, _numeric_distributions(space))

    def observation(self, trial, signs, worked):
        return as_complete(trial, signs) if worked else trial


SAMPLERS = {sampler.name: sampler for sampler in (Grid, Random, TPE, GP, QMC, CMAES)}


def as_complete(trial: Trial, signs: tuple[int, ...]) -> Trial:
    """The trial for a sampler that only reads values: a failed one has infinity, a pruned one its last."""
    if trial.state == FAILED:
        return replace(trial, state=COMPLETE, values=tuple(sign * math.inf for sign in signs))
    return replace(trial, state=COMPLETE) if trial.state == PRUNED else trial


def _distributions(space: Space) -> dict:
    """Optuna's distributions of the parameters that every trial has and that can vary."""
    from nnlab.search.optuna_conversion import to_distribution

    distributions = {key: to_distribution(space.domains[key]) for key in sorted(space.always)}
    return {key: distribution for key, distribution in distributions.items() if not distribution.single()}


def _numeric_distributions(space: Space) -> dict:
    """The numeric ones of `_distributions`."""
    return {key: d for key, d in _distributions(space).items() if not hasattr(d, "choices")}


def _with_search_space(sampler, distributions: dict):
    """The sampler with a fixed search space. Optuna would infer it from finished trials, and so draw the
    whole first batch at random."""
    sampler.infer_relative_search_space = lambda study, trial: distributions
    return sampler


def _once_there_are_results(sampler, distributions: dict):
    """The TPE sampler with a fixed search space, once there are results; for several objectives with none, so
    that each parameter is drawn by itself. It is what Optuna infers anew for every trial from all others,
    which after thousands of them takes longer than the choice."""
    from optuna.trial import TrialState

    results = (TrialState.COMPLETE, TrialState.PRUNED)

    def search_space(study, trial):
        earlier = study.get_trials(deepcopy=False)
        is_known = len(study.directions) == 1 and any(t.state in results for t in earlier)
        return distributions if is_known else {}

    sampler.infer_relative_search_space = search_space
    return sampler
