"""Choosing trials: an Optuna study in memory, by ask and tell, in the order of numbers.

It is only what a sampler looks at. What lasts is in the ledger; a sweep that goes on fills a new one from
there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

import optuna

from nnlab.runtime.threads import one_thread
from nnlab.search.as_optuna import OPTUNA_STATES, directions, distribution_of, frozen, quiet
from nnlab.search.domains import Domain, Interval
from nnlab.search.samplers import Sampler
from nnlab.search.space import Space
from nnlab.search.trial import COMPLETE, FAILED, PRUNED, TRAINING, Trial, key_of
from nnlab.streams import stream

ASK_ATTEMPTS = 8  # with other seeds, for a trial that was not there yet and that can be trained
RANDOM_DRAWS = 100  # after those
CELLS_TO_LOOK_THROUGH = 100_000  # of a space, for one that was not there yet
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
        self.space, self.sampler, self.signs = space, sampler, signs
        self.distinct, self.possible, self.rules = distinct, possible, rules
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler.refuse(space)
        with quiet():
            self.study = optuna.create_study(directions=directions(signs))
        self.distributions = {key: distribution_of(domain) for key, domain in space.domains.items()}
        self.seen: set[tuple] = set()
        self.worked = self.failed = 0  # of the reported trials
        self._asked: dict[int, optuna.Trial] = {}  # by number
        self._cells = sampler.trials_of(space)
        self._cells_so_far: list[dict] = []
        self._cells_in_all = space.count() if distinct else None

    def ask(self, number: int) -> dict | None:
        """The parameters of trial `number`, key -> label; None if the space has no further one."""
        if self._cells is not None:
            return self._cell(number)
        for attempt in range(ASK_ATTEMPTS):
            params = self._ask(number, attempt)
            if self._is_new(params) and self._is_possible(params):
                return self._take(number, params)
            self.study.tell(self._asked.pop(number), state=OPTUNA_STATES[FAILED])
        params = self._drawn_at_random(number)
        if params is None:
            return None
        self.study.enqueue_trial(params)
        return self._take(number, self._ask(number, ASK_ATTEMPTS))

    def tell(self, *trials: Trial) -> None:
        """What came of a batch of trials that were asked for."""
        # All are counted first: what a sampler learns of one depends on how many have worked at all.
        for trial in trials:
            self._count(trial)
        for trial in trials:
            self._tell(trial)

    def _tell(self, trial: Trial) -> None:
        asked, lesson = self._asked.pop(trial.number, None), self._lesson(trial)
        if asked is None or lesson is None:
            return  # of a grid; or it stays among those in training
        if lesson.state == PRUNED:
            epoch = max(lesson.intermediate_values)
            asked.report(lesson.intermediate_values[epoch], epoch)
        values = None
        if lesson.state == COMPLETE and lesson.values:
            values = list(lesson.values)
        with quiet():
            self.study.tell(asked, values, state=OPTUNA_STATES[lesson.state])

    def know(self, trial: Trial) -> None:
        """A trial of an earlier process, which is not asked for again."""
        self.seen.add(trial.key)
        self._count(trial)
        if self._cells is not None:
            return
        lesson = self._lesson(trial)
        if lesson is None:
            lesson = replace(trial, state=TRAINING, values=(), intermediate_values={})
        with quiet():
            self.study.add_trial(frozen(lesson, self.distributions))

    def _count(self, trial: Trial) -> None:
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

    def _is_possible(self, params: dict) -> bool:
        return self.rules == 1 or self.possible(params)

    def _take(self, number: int, params: dict) -> dict:
        self.seen.add(key_of(params))
        return params

    def _cell(self, number: int) -> dict | None:
        self._cells_so_far += islice(self._cells, number + 1 - len(self._cells_so_far))
        return self._cells_so_far[number] if number < len(self._cells_so_far) else None

    def _drawn_at_random(self, number: int) -> dict | None:
        """A cell that no trial had; of a space too large to look through, a random point. One that can be
        trained, if there is one among those that are drawn."""
        random = stream(self.sampler.seed, "unseen", number)
        drawn = None
        for drawn in islice(self._unseen(random), RANDOM_DRAWS):
            if self._is_possible(drawn):
                break
        return drawn

    def _unseen(self, random) -> Iterator[dict]:
        """Trials that were not there before, at random."""
        few = self._cells_in_all is not None and self._cells_in_all <= CELLS_TO_LOOK_THROUGH
        if few:
            left = [cell for cell in self.space.cells() if key_of(cell) not in self.seen]
            while left:
                yield left.pop(random.integers(len(left)))
        while not few:
            params = self.space.draw(lambda key, domain: _random_label(domain, random))
            if self._is_new(params):
                yield params


def _suggest(trial: optuna.Trial, key: str, distribution):
    d = distribution
    if hasattr(d, "choices"):
        return trial.suggest_categorical(key, d.choices)
    suggest = trial.suggest_int if isinstance(d.low, int) else trial.suggest_float
    return suggest(key, d.low, d.high, step=d.step, log=d.log)


def _random_label(domain: Domain, random):
    if not isinstance(domain, Interval):
        labels = domain.labels
    elif domain.whole:
        labels = domain.points(None)
    else:
        labels = domain.points(CELLS_TO_LOOK_THROUGH)
    return labels[random.integers(len(labels))]
