"""Choosing trials: an Optuna study in memory, asked and told in the order of numbers.

It is no more than what a sampler looks at. What lasts is in the ledger; a sweep that goes on fills a new
one from there.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

from nnlab.runtime.threads import one_thread
from nnlab.search.samplers import Sampler
from nnlab.search.space import Interval, Space
from nnlab.search.trial import COMPLETE, FAILED, PRUNED, TRAINING, Trial, key_of
from nnlab.streams import stream

ATTEMPTS = 8  # with other seeds, for a trial that was not there yet and that can be trained
LOTS = 100  # drawn after those
FEW = 100_000  # cells that can be looked through for one
RULES = 2  # by rule 1 samplers learned nothing from failures, and a draw that cannot be trained was a trial


class Chooser:
    """Asks a sampler for one trial after another; `distinct`: never for one that was there before.

    `possible(params)` says whether a trial can be trained at all: one that cannot is drawn again. A sweep
    goes on by the `rules` that it began with.
    """

    def __init__(
        self, space: Space, sampler: Sampler, signs: tuple[int, ...], distinct: bool = True,
        possible: Callable[[dict], bool] = lambda params: True, rules: int = RULES,
    ):  # fmt: skip
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler.refuse(space)
        self.space, self.sampler, self.signs, self.distinct = space, sampler, signs, distinct
        self.possible, self.rules = possible, rules
        words = ["minimize" if sign > 0 else "maximize" for sign in signs]
        with quiet():
            self.study = optuna.create_study(directions=words)
        self.distributions = {key: domain.distribution() for key, domain in space.domains.items()}
        self.seen: set[tuple] = set()
        self.worked = self.failed = 0  # of the trials that were told
        self._asked = {}  # number -> Optuna's trial
        self._cells = sampler.trials_of(space)
        self._laid: list[dict] = []
        self._cells_in_all = space.count() if distinct else None

    def ask(self, number: int) -> dict | None:
        """The parameters of trial `number`, key -> label; None if the space has no further one."""
        if self._cells is not None:
            return self._cell(number)
        for attempt in range(ATTEMPTS):
            params = self._ask(number, attempt)
            if self._is_new(params) and (self.rules == 1 or self.possible(params)):
                return self._take(number, params)
            self.study.tell(self._asked.pop(number), state=_state(FAILED))
        params = self._by_lot(number)
        if params is None:
            return None
        self.study.enqueue_trial(params)
        return self._take(number, self._ask(number, ATTEMPTS))

    def tell(self, *trials: Trial) -> None:
        """What came of a batch of trials that were asked for."""
        for trial in trials:
            self._count_in(trial)
        for trial in trials:
            self._tell(trial)

    def _tell(self, trial: Trial) -> None:
        asked, lesson = self._asked.pop(trial.number, None), self._lesson(trial)
        if asked is None or lesson is None:
            return  # of a grid; or it stays among those in training
        if lesson.state == PRUNED:
            epoch = max(lesson.intermediate_values)
            asked.report(lesson.intermediate_values[epoch], epoch)
        values = lesson.values if lesson.state == COMPLETE else None
        with quiet():
            self.study.tell(asked, list(values) if values else None, state=_state(lesson.state))

    def know(self, trial: Trial) -> None:
        """A trial of which the sampler need only know what came of it."""
        self.seen.add(trial.key)
        self._count_in(trial)
        if self._cells is None:
            with quiet():
                lesson = self._lesson(trial) or replace(
                    trial, state=TRAINING, values=(), intermediate_values={}
                )
                self.study.add_trial(frozen(lesson, self.distributions))

    def _count_in(self, trial: Trial) -> None:
        if self.rules > 1:
            self.worked += trial.state != FAILED
            self.failed += trial.state == FAILED

    def _lesson(self, trial: Trial) -> Trial | None:
        """The trial as the sampler learns of it."""
        return trial if self.rules == 1 else self.sampler.lesson(trial, self.signs, self.worked)

    def _ask(self, number: int, attempt: int) -> dict:
        # A Gaussian process is of small matrices: on busy cores two threads took four times as long. And what
        # it chooses does not depend on how many cores there are.
        with quiet(), one_thread():
            seed = self.sampler.seed_of(number, attempt)
            self.study.sampler = self.sampler.optuna(self.space, seed, self.worked, self.failed)
            trial = self._asked[number] = self.study.ask()
            return self.space.draw(lambda key, domain: _suggest(trial, key, self.distributions[key]))

    def _is_new(self, params: dict) -> bool:
        return not self.distinct or key_of(params) not in self.seen

    def _take(self, number: int, params: dict) -> dict:
        self.seen.add(key_of(params))
        return params

    def _cell(self, number: int) -> dict | None:
        self._laid += islice(self._cells, number + 1 - len(self._laid))
        return self._laid[number] if number < len(self._laid) else None

    def _by_lot(self, number: int) -> dict | None:
        """A cell that no trial had; of a space too large to look through, a random point. One that can be
        trained, if there is one among those that are drawn."""
        random, drawn = stream(self.sampler.seed, "unseen", number), None
        for drawn in islice(self._lots(random), LOTS):
            if self.rules == 1 or self.possible(drawn):
                break
        return drawn

    def _lots(self, random) -> Iterator[dict]:
        """Trials that were not there before, at random."""
        if self._cells_in_all is not None and self._cells_in_all <= FEW:
            left = [cell for cell in self.space.cells() if key_of(cell) not in self.seen]
            while left:
                yield left.pop(random.integers(len(left)))
        while self._cells_in_all is None or self._cells_in_all > FEW:
            params = self.space.draw(lambda key, domain: _lot(domain, random))
            if self._is_new(params):
                yield params


def frozen(trial: Trial, distributions: dict, attributes: dict | None = None):
    """The trial as Optuna keeps one."""
    from optuna.trial import create_trial

    values = list(trial.values) if trial.state in (COMPLETE, PRUNED) else None
    return create_trial(
        state=_state(trial.state), values=values, params=trial.params,
        distributions={key: distributions[key] for key in trial.params},
        intermediate_values=trial.intermediate_values if len(trial.values) < 2 else {},
        user_attrs=attributes or {},
    )  # fmt: skip


class quiet(warnings.catch_warnings):
    """Optuna's notes on what it calls experimental are for who writes code, not for who runs a sweep."""

    def __enter__(self):
        found = super().__enter__()
        warnings.simplefilter("ignore")
        return found


def _state(word: str):
    from optuna.trial import TrialState

    return {
        COMPLETE: TrialState.COMPLETE, PRUNED: TrialState.PRUNED, FAILED: TrialState.FAIL,
        TRAINING: TrialState.RUNNING,
    }[word]  # fmt: skip


def _suggest(trial, key: str, d):
    if hasattr(d, "choices"):
        return trial.suggest_categorical(key, d.choices)
    suggest = trial.suggest_int if isinstance(d.low, int) else trial.suggest_float
    return suggest(key, d.low, d.high, step=d.step, log=d.log)


def _lot(domain, random):
    if isinstance(domain, Interval):
        points = domain.points(None if domain.whole else FEW)
        return points[random.integers(len(points))]
    labels = domain.labels
    return labels[random.integers(len(labels))]
