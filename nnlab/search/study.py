"""Chooses trials by Optuna's ask-and-tell interface, on a study in memory, in the order of trial numbers.

The study only serves the sampler. Trials are stored by the ledger, from which a resumed sweep fills a new
study.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

import optuna

from nnlab.runtime.threads import one_thread
from nnlab.search.domains import Domain, Interval
from nnlab.search.optuna_conversion import (
    OPTUNA_STATES,
    directions,
    to_distribution,
    to_frozen_trial,
    without_optuna_warnings,
)
from nnlab.search.samplers import Sampler
from nnlab.search.space import Space
from nnlab.search.trial import COMPLETE, FAILED, PRUNED, TRAINING, Trial, trial_key
from nnlab.streams import stream

ASK_ATTEMPTS = 8  # with other seeds, until a trial is new and can be trained
RANDOM_DRAWS = 100  # if all those attempts fail
MAX_CELLS_ENUMERATED = 100_000  # a smaller space is enumerated to find a new trial
RULES = 2  # version; 1: samplers learned nothing from failures, and untrainable draws counted as trials


class Chooser:
    """Asks a sampler for one trial after another; `distinct`: never for the same one twice.

    A trial for which `is_trainable(params)` is false is drawn again. A resumed sweep keeps the version of the
    `rules` that it began with.
    """

    def __init__(
        self, space: Space, sampler: Sampler, signs: tuple[int, ...], distinct: bool = True,
        is_trainable: Callable[[dict], bool] = lambda params: True, rules: int = RULES,
    ):  # fmt: skip
        self.space, self.sampler, self.signs = space, sampler, signs
        self.distinct, self.is_trainable, self.rules = distinct, is_trainable, rules
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler.refuse(space)
        with without_optuna_warnings():
            self.study = optuna.create_study(directions=directions(signs))
        self.distributions = {key: to_distribution(domain) for key, domain in space.domains.items()}
        self.seen: set[tuple] = set()
        self.worked = self.failed = 0  # how many reported trials did not fail, and how many did
        self._asked_trials: dict[int, optuna.Trial] = {}  # by number
        self._cells = sampler.trials_of(space)
        self._cells_listed: list[dict] = []
        self._drawn = space.without_points()
        self._cell_count = self._drawn.count() if distinct else None

    def ask(self, number: int) -> dict | None:
        """The parameters of trial `number`, key -> label; None if the space has no further one."""
        if self._cells is not None:
            return self._cell(number)
        for attempt in range(ASK_ATTEMPTS):
            params = self._ask_optuna(number, attempt)
            if self._is_new(params) and self._may_train(params):
                return self._accept(number, params)
            self.study.tell(self._asked_trials.pop(number), state=OPTUNA_STATES[FAILED])
        params = self._draw_at_random(number)
        if params is None:
            return None
        self.study.enqueue_trial(params)
        return self._accept(number, self._ask_optuna(number, ASK_ATTEMPTS))

    def tell(self, *trials: Trial) -> None:
        """Report the results of a batch of trials to the sampler."""
        # All are counted first: what a sampler learns from one depends on how many have not failed.
        for trial in trials:
            self._count(trial)
        for trial in trials:
            self._tell_optuna(trial)

    def _tell_optuna(self, trial: Trial) -> None:
        optuna_trial, observation = self._asked_trials.pop(trial.number, None), self._observation(trial)
        if optuna_trial is None or observation is None:
            return  # a grid needs no reports; or the trial stays among the running ones
        if observation.state == PRUNED:
            epoch = max(observation.intermediate_values)
            optuna_trial.report(observation.intermediate_values[epoch], epoch)
        values = None
        if observation.state == COMPLETE and observation.values:
            values = list(observation.values)
        with without_optuna_warnings():
            self.study.tell(optuna_trial, values, state=OPTUNA_STATES[observation.state])

    def add_finished(self, trial: Trial) -> None:
        """Add a trial of an earlier process, which is not asked for again."""
        self.seen.add(trial.key)
        self._count(trial)
        if self._cells is not None:
            return
        observation = self._observation(trial)
        if observation is None:
            observation = replace(trial, state=TRAINING, values=(), intermediate_values={})
        with without_optuna_warnings():
            self.study.add_trial(to_frozen_trial(observation, self.distributions))

    def _count(self, trial: Trial) -> None:
        if self.rules > 1:
            self.worked += trial.state != FAILED
            self.failed += trial.state == FAILED

    def _observation(self, trial: Trial) -> Trial | None:
        """The trial as it is reported to the sampler."""
        return trial if self.rules == 1 else self.sampler.observation(trial, self.signs, self.worked)

    def _ask_optuna(self, number: int, attempt: int) -> dict:
        # A Gaussian process has small matrices: on busy cores two threads took four times as long. And with
        # one thread its choices do not depend on the number of cores.
        with without_optuna_warnings(), one_thread():
            seed = self.sampler.trial_seed(number, attempt)
            self.study.sampler = self.sampler.optuna(self.space, seed, self.worked, self.failed)
            trial = self._asked_trials[number] = self.study.ask()
            return self.space.draw(lambda key, domain: _suggest(trial, key, self.distributions[key]))

    def _is_new(self, params: dict) -> bool:
        return not self.distinct or trial_key(params) not in self.seen

    def _may_train(self, params: dict) -> bool:
        return self.rules == 1 or self.is_trainable(params)

    def _accept(self, number: int, params: dict) -> dict:
        self.seen.add(trial_key(params))
        return params

    def _cell(self, number: int) -> dict | None:
        self._cells_listed += islice(self._cells, number + 1 - len(self._cells_listed))
        return self._cells_listed[number] if number < len(self._cells_listed) else None

    def _draw_at_random(self, number: int) -> dict | None:
        """A random cell that no trial has had; in a space too large to enumerate, a random point. Draws until
        one can be trained, at most RANDOM_DRAWS times."""
        generator = stream(self.sampler.seed, "unseen", number)
        params = None
        for params in islice(self._unseen(generator), RANDOM_DRAWS):
            if self._may_train(params):
                break
        return params

    def _unseen(self, generator) -> Iterator[dict]:
        """New trials, in random order."""
        enumerable = self._cell_count is not None and self._cell_count <= MAX_CELLS_ENUMERATED
        if enumerable:
            unseen = [cell for cell in self._drawn.cells() if trial_key(cell) not in self.seen]
            while unseen:
                yield unseen.pop(generator.integers(len(unseen)))
        while not enumerable:
            params = self.space.draw(lambda key, domain: _random_label(domain, generator))
            if self._is_new(params):
                yield params


def _suggest(trial: optuna.Trial, key: str, distribution):
    d = distribution
    if hasattr(d, "choices"):
        return trial.suggest_categorical(key, d.choices)
    suggest = trial.suggest_int if isinstance(d.low, int) else trial.suggest_float
    return suggest(key, d.low, d.high, step=d.step, log=d.log)


def _random_label(domain: Domain, generator):
    if not isinstance(domain, Interval):
        labels = domain.labels
    elif domain.whole:
        labels = domain.points(None)
    else:
        labels = domain.points(MAX_CELLS_ENUMERATED)
    return labels[generator.integers(len(labels))]
