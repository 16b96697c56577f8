"""The search: choose a batch of trials, train it, report it to the sampler; again, until there are enough.

No files but the ledger's, no printing: it yields what happens, and those who want it read it.
"""

from __future__ import annotations

import copy
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, field, replace
from itertools import islice

import numpy as np

from nnlab.arguments import typed
from nnlab.choices import shown
from nnlab.errors import UserError
from nnlab.exclusive import Exclusive
from nnlab.experiment import Experiment
from nnlab.search.batch_training import Candidate, TrialBatch
from nnlab.search.candidates import CandidateMaker
from nnlab.search.domains import Interval  # noqa: F401 (Interval: of the example)
from nnlab.search.from_python import read_base, space_of, table
from nnlab.search.ledger import Ledger, check
from nnlab.search.plan import Plan, plan
from nnlab.search.rankable import with_rankable_objective
from nnlab.search.settings import USUAL_TRIALS, Search
from nnlab.search.space import Space
from nnlab.search.study import RULES, Chooser
from nnlab.search.trial import COMPLETE, FAILED, Trial, best
from nnlab.training.data_cache import DataCache
from nnlab.training.placement import Placement, choose_placement
from nnlab.training.results import Record

CELLS_LOOKED_AT = 1000  # of a grid, before it begins
HOPELESS_TRIALS = 20  # if the first so many all fail, the sweep stops
SMALLEST_BATCH, LARGEST_BATCH = 16, 128  # trials
BATCH_WORK = {"cpu": 4e11, "cuda": 4e13}  # parameters x examples that a batch trains on, at most


@dataclass(frozen=True)
class BatchStarted:
    """A batch is about to be trained."""

    batch: TrialBatch


@dataclass(frozen=True)
class TrialsFinished:
    """The trials of a batch by number: once before they are written to the ledger, and once when they are."""

    trials: list[Trial]
    batch: TrialBatch
    written: bool


@dataclass
class Seconds:
    """Where the time went: search (Optuna's share: choosing and reporting), and training."""

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
        self.space = space_of(self.space, base)
        self.ledger: Ledger | None = None
        self._under_way: Callable[[], Exclusive | None] = lambda: None
        self.candidates = CandidateMaker(self.space, self.experiment_of, self.cache, self.search.objectives)
        self.chooser = self._chooser()
        one_of_each = self.candidates.one_of_each()
        self.judged_by = ""  # why, if it is not by the usual objective
        if self.rules > 1:
            rankable = with_rankable_objective(self.search, one_of_each, self.cache)
            self.search, self.judged_by = rankable
            self.candidates.objectives = self.search.objectives
        self.first: Candidate = one_of_each[0]
        self.limit = self._limit()
        self.wanted = self._wanted()
        self.count = self.wanted if self.limit is None else min(self.wanted, self.limit)
        self.place = self._place()
        self.epochs = max(c.experiment.epochs for c in one_of_each)  # the most that a trial may train
        self.size = self._size()

    def run(self) -> Sweep:
        """Train every trial that has not finished yet."""
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
        why = "sweep.run() trains them"
        reasons = [t.reason for t in self.trials if t.reason]
        if reasons:
            why = f"{len(self.trials)} trials have failed: {reasons[0]}"
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
        return self.candidates.experiment(params)

    def _refuse_missing(self, params: dict) -> None:
        """Raise `UserError` where parameters of a trial are missing, or are none of the space."""
        self.space.values(params)
        groups = [key for key in self.space.domains if key in self.space.groups]
        missing = [key for key in groups if key not in params]
        if not missing:  # which other keys there are depends on the groups
            keys = self.space.keys({key: params[key] for key in groups})
            missing = [key for key in keys if key not in params]
        if missing:
            raise UserError(f"params = {shown(params)}: {missing[0]} is missing")

    def __repr__(self):
        count = f"<Sweep: {len(self.trials)} of {self.count} trials"
        if not self.trials:
            return f"{count}; sweep.run(), or iterate over it>"
        if not any(trial.state == COMPLETE for trial in self.trials):
            return f"{count}, none complete>"
        values = ", ".join(f"{v:.4g}" for v in self.best.values)
        return f"{count}, the best {', '.join(self.search.objectives)} {values} with {self.best.params}>"

    def _place(self) -> Placement:
        """Where all trials are trained whose device is `auto`: by the work of all, were they like the first.

        Decided once, since a trial must not depend on the batch that it is in.
        """
        e = self.first.experiment
        rows = self.cache.rows([e])
        batch = self.search.batch if self.search.batch != "auto" else self.search.sampler.batch
        at_once = len(rows) * (batch or LARGEST_BATCH)
        found = choose_placement(rows, self.cache.datasets, self.count, at_once)
        if found.reason:  # there was a choice
            self.candidates.device = str(found.device)
            self.candidates.begin_batch()
            self.first = self.candidates.make(self.first.params)
        return found

    def _chooser(self) -> Chooser:
        s = self.search
        possible = self.candidates.is_possible
        return Chooser(self.space, s.sampler, s.signs, s.distinct, possible, self.rules)

    def _limit(self) -> int | None:
        """How many trials there can be; None: no end."""
        sampler = self.search.sampler
        if sampler.enumerates:
            return sampler.count(self.space)
        return self.space.count() if self.search.distinct else None

    def _wanted(self) -> int:
        """How many trials were asked for: of a grid, unless it is said, all."""
        if self.search.trials != "auto":
            return self.search.trials
        return self.limit if self.search.sampler.enumerates else USUAL_TRIALS

    @typed
    def go_on_from(self, ledger: Ledger) -> None:
        """Write to this ledger; every trial that it has counts as finished."""
        self.ledger, self.trials = ledger, ledger.trials()
        check(self.trials, self.space, self.search.signs)

    def __iter__(self) -> Iterator[BatchStarted | Record | TrialsFinished]:
        before = self._under_way()
        if before:  # two would train the same trials
            before.give_up()
        events = Exclusive("sweep", self._train())
        self._under_way = weakref.ref(events)
        return events

    def _train(self) -> Iterator[BatchStarted | Record | TrialsFinished]:
        self._give_up_if_hopeless()
        # The same batches as before, where a sweep goes on: a choice depends on the batches before it.
        for start in range(0, self.count, self.size):
            numbers = range(start, min(start + self.size, self.count))
            known = [t for t in self.trials if t.number in numbers]
            # A sampler that keeps notes of its own must be asked again for what it chose.
            if len(known) == len(numbers) and not self.search.sampler.remembers:
                for trial in known:
                    self.chooser.know(trial)
                continue
            yield from self._train_batch(numbers, known)
            self._give_up_if_hopeless()

    def plan(self) -> Plan:
        """What is left to do: trials, stacks, memory, time. The first batch is chosen for it, by a copy."""
        finished = len(self.trials)
        size = max(1, min(self.size, self.count - finished))
        aside = copy.copy(self)
        aside.chooser = aside._chooser()
        batch = aside.prepared(aside.ask_for(range(size)))
        return replace(plan(batch, max(0, self.count - finished), self.size), because=self.place.reason)

    def impossible(self) -> int | None:
        """How many cells of a grid cannot be trained or ranked; None if they are too many to look at."""
        sampler = self.search.sampler
        if not sampler.enumerates or self.count > CELLS_LOOKED_AT:
            return None
        cells = islice(sampler.trials_of(self.space), self.count)
        return sum(bool(self.candidates.make(cell).wrong) for cell in cells)

    def ask_for(self, numbers: range) -> dict[int, dict]:
        """The parameters of these trials, by number. (The space has at least `count`.)"""
        return {number: self.chooser.ask(number) for number in numbers}

    def prepared(self, asked: dict[int, dict]) -> TrialBatch:
        """These trials, ready to train."""
        new = [replace(self.candidates.of_next_batch(params), number=n) for n, params in asked.items()]
        self.candidates.begin_batch()
        return TrialBatch(new, self.search, self.cache, self.trials, self.epochs)

    def _train_batch(
        self, numbers: range, known: list[Trial]
    ) -> Iterator[BatchStarted | Record | TrialsFinished]:
        """The trials of these numbers, of which some are `known` where a sweep goes on."""
        now = time.perf_counter()
        asked = self.ask_for(numbers)
        self._refuse_other_choices(asked, known)
        now = self.seconds.add("search", now)
        new = {n: params for n, params in asked.items() if n >= numbers.start + len(known)}
        if not new:
            self.chooser.tell(*known)
            return
        batch = self.prepared(new)
        yield BatchStarted(batch)
        yield from batch
        finished = batch.finished()
        yield TrialsFinished(finished, batch, written=False)
        now = self.seconds.add("training", now)
        # All at once: what a sampler learns must not depend on the order in which trials ended.
        self.chooser.tell(*known, *finished)
        for trial in finished:
            if self.ledger:
                self.ledger.append(trial, self.chooser.distributions)
            self.trials.append(trial)
        self.seconds.add("search", now)
        yield TrialsFinished(finished, batch, written=True)

    def _refuse_other_choices(self, asked: dict[int, dict], known: list[Trial]) -> None:
        """A batch that was written in part is chosen again, and must come out as it was."""
        for trial in known:
            params = asked.get(trial.number)
            if params != trial.params:
                raise UserError(
                    f"trial {trial.number} was {trial.params} and would now be {params}: this sweep was "
                    f"begun with another version of nnlab or Optuna; start a new one, perhaps with "
                    f"refine=FOLDER"
                )

    def _give_up_if_hopeless(self) -> None:
        """Stop where the first trials all fail.

        Not so of a grid, whose first cells are neighbours, nor for trials that were never trained.
        """
        first = [t for t in self.trials if t.rows][:HOPELESS_TRIALS]
        if self.search.sampler.enumerates or len(first) < HOPELESS_TRIALS:
            return
        if all(t.state == FAILED for t in first):
            reasons = [t.reason for t in first]
            most = max(sorted(set(reasons)), key=reasons.count)
            raise Hopeless(f"the first {HOPELESS_TRIALS} trials all failed, most of them so: {most}")

    def _size(self) -> int:
        """Trials in a batch: few if the sampler learns from one for the next, or if each is much work."""
        sampler, e = self.search.sampler, self.first.experiment
        if self.search.batch != "auto":
            return self.search.batch
        if sampler.batch:
            return sampler.batch
        folds = self.cache.folds(e)
        rows = len(folds) * e.seeds
        parameters = e.graph(self.cache.datasets[e.data].spec).parameter_count
        work = rows * parameters * len(folds[0].train) * e.epochs
        affordable = BATCH_WORK[self.place.device.type] // work
        return int(max(SMALLEST_BATCH, min(LARGEST_BATCH // rows, affordable)))


class Hopeless(Exception):
    """Every trial fails, so that more of them would say nothing."""
