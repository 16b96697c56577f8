"""The search: choose a batch of trials, train it, tell it; again, until there are enough.

No files but the ledger's, no printing: it yields what happens, and those who want it read it.
"""

from __future__ import annotations

import copy
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import KW_ONLY, dataclass, field, replace
from itertools import combinations, islice, product

import numpy as np

from nnlab.arguments import typed
from nnlab.choices import shown
from nnlab.errors import UserError
from nnlab.exclusive import Exclusive
from nnlab.experiment import Experiment
from nnlab.search.batch_training import Candidate, TrialBatch, candidate
from nnlab.search.from_python import read_base, space_of, table, variant
from nnlab.search.ledger import Ledger, check
from nnlab.search.plan import Plan, plan
from nnlab.search.rankable import judged
from nnlab.search.settings import TRIALS, Search
from nnlab.search.space import Interval, Space  # noqa: F401 (Interval: of the example)
from nnlab.search.study import RULES, Chooser
from nnlab.search.trial import COMPLETE, FAILED, Trial, best, key_of
from nnlab.training.data_cache import DataCache
from nnlab.training.results import Record

TRIES = 500  # combinations, for one that goes with a value
LOOKED_AT = 1000  # cells of a grid, before it begins
HOPELESS = 20  # if so many trials diverge, all from the first, the sweep stops
LARGEST, WORK = 128, 4e11  # trials in a batch; parameters x examples seen by one


@dataclass(frozen=True)
class BatchStarted:
    """A batch is about to be trained."""

    batch: TrialBatch


@dataclass(frozen=True)
class TrialsFinished:
    """What came of trials, by number, and the batch that trained them: once before they are written to the
    ledger, and once when they are."""

    trials: list[Trial]
    batch: TrialBatch
    written: bool


@dataclass
class Seconds:
    """Where the time went: choosing and telling (Optuna's share), and training."""

    search: float = 0.0
    training: float = 0.0

    def add(self, what: str, since: float) -> float:
        """Count the seconds since then; now."""
        now = time.perf_counter()
        setattr(self, what, getattr(self, what) + now - since)
        return now


@typed(but=("space", "experiment_of"))
@dataclass(repr=False)
class Sweep:
    """A search over settings of an experiment: `run` it, or iterate over it.

    >>> lr = Interval(1e-4, 1e-1, log=True)
    >>> sweep = Sweep({"optimizer.lr": lr, "model.hidden": [[32], [64, 64]]}, Search(trials=4))
    >>> sweep.run()                                          # doctest: +ELLIPSIS
    <Sweep: 4 of 4 trials, the best val_loss ...>

    `best` is then the best trial, `experiment(best)` its experiment, and `table` has all trials.

    space          a dict: key -> a list of values, a range, an `Interval` or `Steps`; or a `Space`
    search         how: sampler, pruner, objective, number of trials
    experiment_of  an experiment, of which the keys are settings (`epochs`, `optimizer`, `optimizer.lr`); or a
                   function that makes one of a trial's parameters, key -> value. It may raise `UserError`,
                   and then the trial has failed

    Iterated over, it yields for each batch `BatchStarted`, a `Record` an epoch and stack, and
    `TrialsFinished` twice. A space of fewer trials ends it early. `rules`: see `Chooser`.
    """

    space: Space | dict
    search: Search = field(default_factory=Search)
    experiment_of: Callable[[dict], Experiment] | Experiment | None = None
    _: KW_ONLY
    cache: DataCache = field(default_factory=DataCache)
    rules: int = RULES
    trials: list[Trial] = field(default_factory=list)
    seconds: Seconds = field(default_factory=Seconds)

    def __post_init__(self):
        self.experiment_of = read_base(self.experiment_of)
        base = self.experiment_of if isinstance(self.experiment_of, Experiment) else None
        self.space, s = space_of(self.space, base), self.search
        self.ledger: Ledger | None = None
        self._under_way: Callable[[], Exclusive | None] = lambda: None
        self._ready: dict[tuple, Candidate] = {}  # trials of the next batch
        self.chooser = self._chooser()
        candidates = self._checked()
        self.judged_by = ""  # why, if it is not by the usual objective
        if self.rules > 1:
            self.search, self.judged_by = judged(s, candidates, self.cache)
        self.first = candidates[0]
        self.epochs = max(c.experiment.epochs for c in candidates)  # the most that a trial may train
        self.size = s.batch if s.batch != "auto" else self._size()
        self.limit = self._limit()
        usual = self.limit if s.sampler.enumerates else TRIALS
        self.wanted = usual if s.trials == "auto" else s.trials
        self.count = self.wanted if self.limit is None else min(self.wanted, self.limit)

    def run(self) -> Sweep:
        """Train every trial that has not been told yet."""
        for _ in self:
            pass
        return self

    @property
    def best(self) -> Trial:
        """The best complete trial, by the first objective; its `params` are values, lists as lists. Raises
        `UserError` if there is none yet."""
        complete = best(self.trials, self.search.signs)
        if complete:
            return replace(complete[0], params=self.space.values(complete[0].params))
        failed = [t.reason for t in self.trials if t.reason]
        why = f"{len(self.trials)} trials have failed: {failed[0]}" if failed else "sweep.run() trains them"
        raise UserError(f"no trial is complete: {why}")

    @property
    def table(self) -> dict[str, np.ndarray]:
        """All trials as columns of equal length, for `pandas.DataFrame`."""
        return table(self.trials, self.space.domains, self.search.objectives)

    @typed
    def experiment(self, trial: Trial | dict) -> Experiment:
        """The experiment of a trial, or of its parameters. Raises `UserError` for what cannot be made."""
        params = trial.params if isinstance(trial, Trial) else trial
        self._refuse_missing(params)
        return self._experiment(params)

    def _refuse_missing(self, params: dict) -> None:
        """Raise `UserError` where parameters of a trial are missing, or are none of the space."""
        self.space.values(params)
        groups = [key for key in self.space.domains if key in self.space.groups]
        missing = [key for key in groups if key not in params] or [
            key for key in self.space.keys({k: params[k] for k in groups}) if key not in params
        ]
        if missing:
            raise UserError(f"params = {shown(params)}: {missing[0]} is missing")

    def _experiment(self, params: dict) -> Experiment:
        values = self.space.values(params)
        if isinstance(self.experiment_of, Experiment):
            return variant(self.experiment_of, values)
        made = self.experiment_of(values)
        if not isinstance(made, Experiment):
            raise UserError(f"the function gave {shown(made)} for {values}: expected a nnlab.Experiment")
        return made

    def __repr__(self):
        said = f"<Sweep: {len(self.trials)} of {self.count} trials"
        if not any(trial.state == COMPLETE for trial in self.trials):
            return (
                f"{said}; sweep.run(), or iterate over it>" if not self.trials else f"{said}, none complete>"
            )
        values = ", ".join(f"{v:.4g}" for v in self.best.values)
        return f"{said}, the best {', '.join(self.search.objectives)} {values} with {self.best.params}>"

    def _chooser(self) -> Chooser:
        s = self.search
        return Chooser(self.space, s.sampler, s.signs, s.distinct, self._is_possible, self.rules)

    def _limit(self) -> int | None:
        """How many trials there can be; None: no end."""
        sampler = self.search.sampler
        if sampler.enumerates:
            return sampler.count(self.space)
        return self.space.count() if self.search.distinct else None

    @typed
    def go_on_from(self, ledger: Ledger) -> None:
        """Write to this ledger; every trial that it has counts as told."""
        self.ledger, self.trials = ledger, ledger.trials()
        check(self.trials, self.space, self.search.signs)

    def __iter__(self) -> Iterator[BatchStarted | Record | TrialsFinished]:
        before = self._under_way()
        if before:  # two would train the same trials
            before.give_up()
        mine = Exclusive("sweep", self._train())
        self._under_way = weakref.ref(mine)
        return mine

    def _train(self) -> Iterator[BatchStarted | Record | TrialsFinished]:
        self._give_up_if_hopeless()
        for start in range(0, self.count, self.size):
            numbers = range(start, min(start + self.size, self.count))
            known = [t for t in self.trials if t.number in numbers]
            if len(known) == len(numbers) and not self.search.sampler.remembers:
                for trial in known:
                    self.chooser.know(trial)
                continue
            yield from self._batch(numbers, known)
            self._give_up_if_hopeless()

    def plan(self) -> Plan:
        """What is left to do: trials, stacks, memory, time. The first batch is chosen for it, on the side."""
        told = len(self.trials)
        size = max(1, min(self.size, self.count - told))
        side = copy.copy(self)
        side.chooser = side._chooser()
        return plan(side.prepared(side.chosen(range(size))), max(0, self.count - told), self.size)

    def _checked(self) -> list[Candidate]:
        """A trial for every end or value of every parameter. Raises `UserError` for one that fits nowhere,
        and where no trial can be ranked.

        What cannot go together is for the trials to find out: in which order values stand says nothing.
        """
        found, unranked = {}, []
        for key, domain in self.space.domains.items():
            for label in domain.ends():
                tried = []
                for params in islice(self._having(key, label), TRIES):
                    tried.append(self._candidate(0, params))
                    if tried[-1].experiment:
                        found[key_of(params)] = tried[-1]
                        break
                if tried and not tried[-1].experiment:
                    unranked += (c.wrong for c in tried if c.unranked)
                    if not any(c.unranked for c in tried):
                        raise UserError(_shortest(c.wrong for c in tried))
        if not found:
            raise UserError(_shortest(unranked))
        return list(found.values())

    def _having(self, key: str, label) -> Iterator[dict]:
        """Trials that have this parameter: with all others at their first, then with one of them at another
        end, with two, ..."""
        space = self.space
        ends = {k: domain.ends() for k, domain in space.domains.items()}
        first, others = {k: each[0] for k, each in ends.items()} | {key: label}, [k for k in ends if k != key]
        for count in range(len(others) + 1):
            for moved in combinations(others, count):
                for labels in product(*(ends[k][1:] for k in moved)):
                    every = first | dict(zip(moved, labels, strict=True))
                    keys = space.keys({k: v for k, v in every.items() if k in space.groups})
                    if key in keys and all(k in keys for k in moved):
                        yield {k: every[k] for k in keys}

    def impossible(self) -> int | None:
        """How many cells of a grid cannot be trained or ranked; None if they are too many to look at."""
        sampler = self.search.sampler
        if not sampler.enumerates or self.count > LOOKED_AT:
            return None
        cells = islice(sampler.trials_of(self.space), self.count)
        return sum(bool(self._candidate(0, cell).wrong) for cell in cells)

    def _candidate(self, number: int, params: dict) -> Candidate:
        found = candidate(number, params, self._experiment, self.cache)
        if found.experiment and not found.experiment.split.validates:
            unmeasured = [name for name in self.search.objectives if name.startswith("val_")]
            if unmeasured:
                wrong = f"objective={unmeasured[0]} is measured on validation examples, of which "
                wrong += f"split={found.experiment.split.name} holds back none: set objective=train_loss"
                return Candidate(number, params, wrong=wrong, unranked=True)
        if found.experiment and "small_weights" in self.search.objectives:
            if found.experiment.regularizer.small is None:
                wrong = "objective = small_weights: set regularizer.small, what counts as small"
                return Candidate(number, params, wrong=wrong, unranked=True)
        return found

    def chosen(self, numbers: range) -> dict[int, dict]:
        """The parameters of these trials, by number. (`count` is no more than the space has.)"""
        return {number: self.chooser.ask(number) for number in numbers}

    def prepared(self, asked: dict[int, dict]) -> TrialBatch:
        """These trials, ready to train."""
        new = [replace(self._made(params), number=n) for n, params in asked.items()]
        self._ready.clear()
        return TrialBatch(new, self.search, self.cache, self.trials, self.epochs)

    def _is_possible(self, params: dict) -> bool:
        return not self._made(params).wrong

    def _made(self, params: dict) -> Candidate:
        """The trial of these parameters, made once for choosing and training it."""
        key = key_of(params)
        if key not in self._ready:
            self._ready[key] = self._candidate(0, params)
        return self._ready[key]

    def _batch(self, numbers: range, known: list[Trial]) -> Iterator[BatchStarted | Record | TrialsFinished]:
        now = time.perf_counter()
        asked = self.chosen(numbers)
        self._check(asked, known)
        now = self.seconds.add("search", now)
        new = {n: params for n, params in asked.items() if n >= numbers.start + len(known)}
        if not new:
            self.chooser.tell(*known)
            return
        batch = self.prepared(new)
        yield BatchStarted(batch)
        yield from batch
        told = batch.finished()
        yield TrialsFinished(told, batch, written=False)
        now = self.seconds.add("training", now)
        self.chooser.tell(*known, *told)
        for trial in told:
            if self.ledger:
                self.ledger.append(trial, self.chooser.distributions)
            self.trials.append(trial)
        self.seconds.add("search", now)
        yield TrialsFinished(told, batch, written=True)

    def _check(self, asked: dict[int, dict], known: list[Trial]) -> None:
        """A batch that was told in part is chosen again, and must come out as it was."""
        for trial in known:
            if asked.get(trial.number) != trial.params:
                raise UserError(
                    f"trial {trial.number} was {trial.params} and would now be {asked.get(trial.number)}: "
                    f"this sweep was begun with another version of nnlab or Optuna; start a new one, perhaps "
                    f"with refine=FOLDER"
                )

    def _give_up_if_hopeless(self) -> None:
        """Not so of a grid, whose first cells are neighbours, nor for trials that were never trained."""
        first = [t for t in self.trials if t.rows][:HOPELESS]
        if self.search.sampler.enumerates or len(first) < HOPELESS:
            return
        if all(t.state == FAILED for t in first):
            reasons = sorted({t.reason for t in first}, key=[t.reason for t in first].count, reverse=True)
            raise Hopeless(f"the first {HOPELESS} trials all failed, most of them so: {reasons[0]}")

    def _size(self) -> int:
        """Trials in a batch: few if the sampler learns from one for the next, or if each is much work."""
        sampler, e = self.search.sampler, self.first.experiment
        if sampler.batch:
            return sampler.batch
        folds = self.cache.folds(e)
        rows = len(folds) * e.seeds
        size = e.graph(self.cache.datasets[e.data].spec).parameter_count
        work = rows * size * len(folds[0].train) * e.epochs
        return int(max(16, min(LARGEST // rows, WORK // work)))


def _shortest(reasons: Iterable[str]) -> str:
    """One of several, whichever comes first."""
    return min(reasons, key=lambda reason: (len(reason), reason))


class Hopeless(Exception):
    """Every trial fails, so that more of them would say nothing."""
