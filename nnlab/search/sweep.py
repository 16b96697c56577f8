"""The search loop: choose a batch of trials, train it, report it to the sampler, and repeat.

It writes no files but the ledger's and prints nothing: it yields events, which its callers write or show.
"""

from __future__ import annotations

import copy
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from itertools import islice

import numpy as np

from nnlab.arguments import typed
from nnlab.choices import short_repr
from nnlab.errors import UserError
from nnlab.exclusive import Exclusive
from nnlab.experiment import Experiment
from nnlab.jobs import opening
from nnlab.jobs.dispatcher import Dispatcher
from nnlab.jobs.executor import Executor
from nnlab.search.batch_training import Candidate, TrialBatch
from nnlab.search.candidates import CandidateMaker
from nnlab.search.comparable import choose_objective
from nnlab.search.domains import Interval  # noqa: F401 (Interval: for the doctest)
from nnlab.search.events import BatchStarted, Seconds, TrialsFinished
from nnlab.search.ledger import Ledger, check_trials
from nnlab.search.plan import Plan, estimate_plan
from nnlab.search.python_space import check_base, to_space, trials_table
from nnlab.search.settings import DEFAULT_TRIALS, Search
from nnlab.search.space import Space
from nnlab.search.study import RULES, Chooser
from nnlab.search.trial import COMPLETE, FAILED, Trial, rank_trials
from nnlab.training.data_cache import DataCache
from nnlab.training.placement import Placement, choose_placement
from nnlab.training.results import Record

MAX_CELLS_CHECKED = 1000  # cells of a grid that are checked before the sweep begins
ALL_FAILED_TRIALS = 20  # if the first so many all fail, the sweep stops
SMALLEST_BATCH, LARGEST_BATCH = 16, 128  # trials
JOBS_AHEAD = 2  # jobs that wait for a worker, for each that can run at once
MAX_BATCH_WORK = {"cpu": 4e11, "cuda": 4e13}  # parameters x examples in the training of one batch


@dataclass(frozen=True)
class StartedBatch:
    """A batch whose trials are chosen, and perhaps in training elsewhere already.

    `known` are those of its trials that a continued sweep has; without others there is no `batch`.
    """

    known: list[Trial]
    batch: TrialBatch | None


@typed(unchecked=("space", "experiment_of"))
@dataclass(repr=False)
class Sweep:
    """A search over settings of an experiment: `run` it, or iterate over it.

    >>> lr = Interval(1e-4, 1e-1, log=True)
    >>> sweep = Sweep({"optimizer.lr": lr, "model.hidden": [[32], [64, 64]]}, Search(trials=4))
    >>> sweep.run()                                          # doctest: +ELLIPSIS
    <Sweep: 4 of 4 trials, the best val_loss ...>

    `best` is then the best trial, `experiment(best)` its experiment, and `table` has all trials.

    space          a dict: key -> a list of values, a range, an `Interval` or `Steps`; or a `Space`
    search         how to search: sampler, pruner, objective, number of trials
    experiment_of  an experiment, of which the keys are settings (`epochs`, `optimizer`, `optimizer.lr`); or a
                   function that makes one of a trial's parameters, key -> value. It may raise `UserError`,
                   and then the trial has failed
    executor       trains the batches as jobs; by default one of the search's launcher, if that is remote

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
    executor: Executor | None = None

    def __post_init__(self):
        self.experiment_of = check_base(self.experiment_of)
        base = self.experiment_of if isinstance(self.experiment_of, Experiment) else None
        self.space = to_space(self.space, base)
        self.ledger: Ledger | None = None
        self._running: Callable[[], Exclusive | None] = lambda: None
        self.candidates = CandidateMaker(self.space, self.experiment_of, self.cache, self.search.objectives)
        self.chooser = self._chooser()
        probes = self.candidates.probe_every_value()
        self.objective_reason = ""  # empty for the usual objective
        if self.rules > 1:
            self.search, self.objective_reason = choose_objective(self.search, probes, self.cache)
            self.candidates.objectives, self.chooser = self.search.objectives, self._chooser()
        self.first_candidate: Candidate = probes[0]
        self.max_trials = self._max_trials()
        self.requested = self._requested_trials()
        self.count = self.requested if self.max_trials is None else min(self.requested, self.max_trials)
        self.placement = self._choose_placement()
        self.epochs = max(c.experiment.epochs for c in probes)  # the most that a trial may train
        self.batch_size = self._choose_batch_size()

    def run(self) -> Sweep:
        """Train every trial that has not finished yet."""
        for _ in self:
            pass
        return self

    @property
    def best(self) -> Trial:
        """The best complete trial, by the first objective; its `params` are values, lists as lists. Raises
        `UserError` if there is none yet."""
        complete = rank_trials(self.trials, self.search.signs)
        if complete:
            return replace(complete[0], params=self.space.values(complete[0].params))
        reason = "sweep.run() trains them"
        reasons = [t.reason for t in self.trials if t.reason]
        if reasons:
            reason = f"{len(self.trials)} trials have failed: {reasons[0]}"
        raise UserError(f"no trial is complete: {reason}")

    @property
    def table(self) -> dict[str, np.ndarray]:
        """All trials as columns of equal length, for `pandas.DataFrame`."""
        return trials_table(self.trials, self.space.domains, self.search.objectives)

    @typed
    def experiment(self, trial: Trial | dict) -> Experiment:
        """The experiment of a trial, or of its parameters. Raises `UserError` for what cannot be made."""
        params = trial.params if isinstance(trial, Trial) else trial
        self._refuse_missing(params)
        return self.candidates.experiment(params)

    def _refuse_missing(self, params: dict) -> None:
        """Raise `UserError` for missing parameters of a trial, and for any that are not in the space."""
        self.space.values(params)
        groups = [key for key in self.space.domains if key in self.space.groups]
        missing = [key for key in groups if key not in params]
        if not missing:  # which other keys there are depends on the groups
            keys = self.space.keys({key: params[key] for key in groups})
            missing = [key for key in keys if key not in params]
        if missing:
            raise UserError(f"params = {short_repr(params)}: {missing[0]} is missing")

    def __repr__(self):
        count = f"<Sweep: {len(self.trials)} of {self.count} trials"
        if not self.trials:
            return f"{count}; sweep.run(), or iterate over it>"
        if not any(trial.state == COMPLETE for trial in self.trials):
            return f"{count}, none complete>"
        values = ", ".join(f"{v:.4g}" for v in self.best.values)
        return f"{count}, the best {', '.join(self.search.objectives)} {values} with {self.best.params}>"

    def _choose_placement(self) -> Placement:
        """The device of all trials with device=auto, by the work of all, if they are like the first.

        Decided once for the sweep: a trial must not depend on the batch that it is in.
        """
        e = self.first_candidate.experiment
        rows = self.cache.rows([e])
        batch = self.search.batch if self.search.batch != "auto" else self.search.sampler.batch
        concurrent_rows = len(rows) * (batch or LARGEST_BATCH)
        placement = choose_placement(rows, self.cache.datasets, self.count, concurrent_rows)
        if placement.reason:  # there was a choice
            self.candidates.device = str(placement.device)
            self.candidates.begin_batch()
            self.first_candidate = self.candidates.make(self.first_candidate.params)
        return placement

    def _chooser(self) -> Chooser:
        s = self.search
        is_trainable = self.candidates.is_trainable
        return Chooser(self.space, s.sampler, s.signs, s.distinct, is_trainable, self.rules)

    def _max_trials(self) -> int | None:
        """How many trials there can be; None: no limit."""
        sampler = self.search.sampler
        if sampler.enumerates:
            return sampler.count(self.space)
        return self.space.without_points().count() if self.search.distinct else None

    def _requested_trials(self) -> int:
        """How many trials were requested; by default all cells of a grid."""
        if self.search.trials != "auto":
            return self.search.trials
        return self.max_trials if self.search.sampler.enumerates else DEFAULT_TRIALS

    @typed
    def continue_from(self, ledger: Ledger) -> None:
        """Continue the sweep of this ledger: its trials count as finished, and new ones are written to it."""
        self.ledger, self.trials = ledger, ledger.trials()
        check_trials(self.trials, self.space, self.search.signs)

    def __iter__(self) -> Iterator[BatchStarted | Record | TrialsFinished]:
        previous = self._running()
        if previous:  # two iterators would train the same trials
            previous.give_up()
        events = Exclusive("sweep", self._train())
        self._running = weakref.ref(events)
        return events

    def _train(self) -> Iterator[BatchStarted | Record | TrialsFinished]:
        self._stop_if_all_fail()
        launcher, executor = self.search.launcher, self.executor
        if executor is None and launcher.remote and len(self.trials) < self.count:
            executor = opening.open_executor(launcher)
        try:
            yield from self._train_batches(Dispatcher(executor) if executor else None)
        finally:
            if executor is not self.executor:
                executor.close()

    def _train_batches(
        self, dispatcher: Dispatcher | None
    ) -> Iterator[BatchStarted | Record | TrialsFinished]:
        upcoming, started = self._unfinished_batches(), deque()
        while True:
            while self._may_start(started, dispatcher) and (numbers := next(upcoming, None)):
                started.append(self._start_batch(*numbers, dispatcher))
            if not started:
                return
            yield from self._finish_batch(started.popleft(), dispatcher)
            try:
                self._stop_if_all_fail()
            except AllTrialsFailed:
                for unwanted in started:
                    if unwanted.batch:
                        unwanted.batch.jobs.forget()
                raise

    def _unfinished_batches(self) -> Iterator[tuple[range, list[Trial]]]:
        """The numbers of each batch, and those of its trials that are known.

        A sweep that is continued has the same batches as before: a choice depends on all earlier batches.
        """
        for start in range(0, self.count, self.batch_size):
            numbers = range(start, min(start + self.batch_size, self.count))
            known = [t for t in self.trials if t.number in numbers]
            # A sampler with internal state must be asked again for the trials that it chose.
            if len(known) == len(numbers) and not self.search.sampler.remembers:
                for trial in known:
                    self.chooser.add_finished(trial)
                continue
            yield numbers, known

    def _may_start(self, started: Sequence[StartedBatch], dispatcher: Dispatcher | None) -> bool:
        """Whether another batch may be chosen now, perhaps before the results of those that have started."""
        if not started or dispatcher is None:
            return not started
        return self.chooses_ahead and dispatcher.waiting < JOBS_AHEAD * dispatcher.slots()

    @property
    def chooses_ahead(self) -> bool:
        """Whether no choice, and no pruning, depends on the results of earlier batches."""
        return not (self.search.sampler.learns or self.search.pruner.prunes)

    def plan(self) -> Plan:
        """The estimated cost of the remaining trials. A copy of the sweep chooses the first batch for it."""
        finished = len(self.trials)
        batch_size = max(1, min(self.batch_size, self.count - finished))
        planner = copy.copy(self)
        planner.chooser = planner._chooser()
        batch = planner.make_batch(planner.choose(range(batch_size)))
        return replace(
            estimate_plan(batch, max(0, self.count - finished), self.batch_size),
            because=self.placement.reason,
        )

    def count_untrainable(self) -> int | None:
        """How many cells of a grid cannot be trained or ranked; None if there are too many to check."""
        sampler = self.search.sampler
        if not sampler.enumerates or self.count > MAX_CELLS_CHECKED:
            return None
        cells = islice(sampler.trials_of(self.space), self.count)
        return sum(bool(self.candidates.make(cell).reason) for cell in cells)

    def choose(self, numbers: range) -> dict[int, dict]:
        """The parameters of these trials, number -> params. (The space has at least `count` trials.)"""
        return {number: self.chooser.ask(number) for number in numbers}

    def make_batch(self, chosen: dict[int, dict]) -> TrialBatch:
        """A batch of these trials, ready to train."""
        new = [replace(self.candidates.cached(params), number=n) for n, params in chosen.items()]
        self.candidates.begin_batch()
        return TrialBatch(new, self.search, self.cache, self.trials, self.epochs)

    def _start_batch(self, numbers: range, known: list[Trial], dispatcher: Dispatcher | None) -> StartedBatch:
        """Choose the trials of these numbers; some are `known` if a continued sweep has them already."""
        now = time.perf_counter()
        chosen = self.choose(numbers)
        self._refuse_other_choices(chosen, known)
        self.seconds.add("search", now)
        new = {n: params for n, params in chosen.items() if n >= numbers.start + len(known)}
        batch = self.make_batch(new) if new else None
        if batch and dispatcher:
            batch.submit(dispatcher, self._slots_of_batch(numbers, dispatcher), self.search.launcher.stacks)
        return StartedBatch(known, batch)

    def _slots_of_batch(self, numbers: range, dispatcher: Dispatcher) -> int:
        """On how many workers a batch is to train: if others are in flight beside it, on a share of all, in
        fewer and larger stacks."""
        batches_left = -(-(self.count - numbers.start) // self.batch_size) if self.chooses_ahead else 1
        return -(-dispatcher.slots() // batches_left)

    def _finish_batch(
        self, started: StartedBatch, dispatcher: Dispatcher | None
    ) -> Iterator[BatchStarted | Record | TrialsFinished]:
        """Train the trials of the batch, or wait for them; then report them."""
        known, batch = started.known, started.batch
        if batch is None:
            self.chooser.tell(*known)
            return
        now = time.perf_counter()
        yield BatchStarted(batch)
        yield from batch
        finished = batch.finished_trials()
        yield TrialsFinished(finished, batch, written=False)
        if dispatcher is None:
            self.seconds.add("training", now)
        now = time.perf_counter()
        # The whole batch at once: what a sampler learns must not depend on the order in which trials ended.
        self.chooser.tell(*known, *finished)
        for trial in finished:
            if self.ledger:
                self.ledger.append(trial, self.chooser.distributions)
            self.trials.append(trial)
        self.seconds.add("search", now)
        if batch.jobs:
            batch.jobs.forget()
            self.seconds.take(dispatcher)
        yield TrialsFinished(finished, batch, written=True)

    def _refuse_other_choices(self, chosen: dict[int, dict], known: list[Trial]) -> None:
        """A batch that was partly written is chosen again. Raise `UserError` if the choices differ."""
        for trial in known:
            params = chosen.get(trial.number)
            if params != trial.params:
                raise UserError(
                    f"trial {trial.number} was {trial.params} and would now be {params}: this sweep was "
                    f"begun with another version of nnlab or Optuna; start a new one, perhaps with "
                    f"refine=FOLDER"
                )

    def _stop_if_all_fail(self) -> None:
        """Raise `AllTrialsFailed` if the first trials have all failed in training.

        Not for a grid, whose first cells are neighbours.
        """
        first = [t for t in self.trials if t.rows][:ALL_FAILED_TRIALS]
        if self.search.sampler.enumerates or len(first) < ALL_FAILED_TRIALS:
            return
        if all(t.state == FAILED for t in first):
            reasons = [t.reason for t in first]
            commonest = max(sorted(set(reasons)), key=reasons.count)
            raise AllTrialsFailed(
                f"the first {ALL_FAILED_TRIALS} trials all failed, most of them so: {commonest}"
            )

    def _choose_batch_size(self) -> int:
        """Trials in a batch: few if the sampler learns from earlier trials, or if one takes long to train."""
        sampler, e = self.search.sampler, self.first_candidate.experiment
        if self.search.batch != "auto":
            return self.search.batch
        if sampler.batch:
            return sampler.batch
        folds = self.cache.folds(e)
        rows = len(folds) * e.seeds
        parameters = e.graph(self.cache.datasets[e.data].spec).parameter_count
        work = rows * parameters * len(folds[0].train) * e.epochs
        affordable = MAX_BATCH_WORK[self.placement.device.type] // work
        return int(max(SMALLEST_BATCH, min(LARGEST_BATCH // rows, affordable)))


class AllTrialsFailed(Exception):
    """Every trial so far has failed, so more trials would be useless."""
