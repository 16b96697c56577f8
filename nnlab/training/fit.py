"""`fit` and `Fit`: train experiments. Their rows are grouped into stacks, which are trained in parallel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from inspect import GEN_SUSPENDED, getgeneratorstate
from itertools import islice
from typing import Any, Literal

import numpy as np

from nnlab import interruption
from nnlab.arguments import typed
from nnlab.data.loss_weights import refuse_zero_weights
from nnlab.errors import MachineFault, UserError, advise
from nnlab.exclusive import Exclusive
from nnlab.experiment import Experiment, Row
from nnlab.runtime.devices import device, free_memory, thread_count
from nnlab.runtime.ranks import Ranks
from nnlab.runtime.threads import computing
from nnlab.training.agreement import Agreement
from nnlab.training.checkpointing import StackStates
from nnlab.training.data_cache import DataCache
from nnlab.training.ended_rows import test_row
from nnlab.training.evaluation import TestOutcome
from nnlab.training.experiments_on_arrays import experiments_on_arrays, given_arrays
from nnlab.training.fit_state import FitState, StackState
from nnlab.training.further_curves import refuse_theta
from nnlab.training.history import History
from nnlab.training.placement import choose_placements, worth_compiling
from nnlab.training.predictions import KeepPredictions, keeping_answers
from nnlab.training.rank_leader import Leader, Peer
from nnlab.training.results import Record, Refit, Result, Results
from nnlab.training.sharing import refuse_sharing
from nnlab.training.stack_group import TrainingOutput
from nnlab.training.stacks import divide_into_stacks, graph_of
from nnlab.training.training import Training, never
from nnlab.training.unbalanced import unbalanced_advice
from nnlab.training.wanted_metrics import refuse_metrics, refuse_undefined
from nnlab.training.workers import NO_RUNGS, Rungs, train_in_parallel


class Fit:
    """A fit: its rows train while it is iterated over, or by `run`.

    >>> fit = Fit([Experiment(epochs=2, seeds=3)])
    >>> for record in fit:                          # an epoch of the rows of a stack
    ...     if record.val_loss.max() < 3:
    ...         break                               # it waits; another `for`, or `run`, goes on
    >>> len(fit.run().results)                      # to the end: a result for every row
    3

    What has been recorded is in `history`, and as curves in `curves`. `stop` ends it early.

    `candidates`, the trials of a sweep, only show their curves: they are neither tested nor refitted, and
    their weights are not kept. At the `rungs` rows may be pruned. A stack holds `max_stack_rows` at most. An
    `interactive` fit, at somebody's prompt, keeps its records, and Ctrl-C ends it with the epoch. A device
    that is `auto` is chosen for the work of `repeats` such fits; `experiments` have the chosen one.
    `predictions` says whether results have those of the test set (auto: where they are small); a list, for
    each experiment.
    """

    @typed
    def __init__(
        self,
        experiments: list[Experiment],
        cache: DataCache | None = None,
        candidates: bool = False,
        rungs: Rungs = NO_RUNGS,
        max_stack_rows: int | Literal["auto"] = "auto",
        interactive: bool = False,
        repeats: float = 1.0,
        predictions: KeepPredictions | list[KeepPredictions] = "auto",
    ):
        self.cache = cache or DataCache()
        experiments = [e.for_data(self.cache.load_data(e).spec) for e in experiments]
        self.datasets = self.cache.datasets
        rows = self._draw_rows(experiments)
        if interactive:
            for e in experiments:
                e.advise(self.datasets[e.data].spec)
        self.placements = choose_placements(rows, self.datasets, repeats)
        on_device = {id(e): self._with_device(e) for e in experiments}
        self.experiments = [on_device[id(e)] for e in experiments]
        self.on_cpu = all(placement.device.type == "cpu" for placement in self.placements.values())
        self.rungs, self.max_stack_rows = rungs, max_stack_rows
        counts = [e.seeds * len(self.cache.folds(e)) for e in experiments]
        self.experiment_of_row = np.repeat(np.arange(len(counts)), counts)  # (rows,) indices of experiments
        self.rows = [
            replace(row, experiment=on_device[id(row.experiment)], candidate=candidates) for row in rows
        ]
        self.keep = predictions if isinstance(predictions, list) else [predictions] * len(experiments)
        if len(self.keep) != len(experiments):
            raise UserError(
                f"predictions has {len(self.keep)} values for {len(experiments)} experiments: expected one "
                f"for all, or one for each"
            )
        if not candidates:
            self.rows = self._keeping_answers(counts)
        self.compiles = {  # device name -> whether the tail of a step is compiled there
            name: worth_compiling(
                [row for row in self.rows if row.experiment.device == name], self.datasets, repeats
            )
            for name in dict.fromkeys(e.device for e in self.experiments)
        }
        self.trainings: list[Training] = []
        self.results = Results()  # of the rows that have ended
        self._interactive, self._history = interactive, History()
        self._refits: list[Result] = []  # of the rows that have been trained again
        self._checkpoint_due: Callable[[], bool] | None = None
        self._resumed_state: FitState | None = None
        self._leader: Leader | None = None
        self._sharing: Ranks | None = None  # which train the same rows
        self._events = Exclusive("fit", self._train())
        self._stopping = self._advised = False

    def _draw_rows(self, experiments: list[Experiment]) -> list[Row]:
        """The rows of all experiments, on the folds of their data. Raises `UserError` for an experiment that
        these data cannot have."""
        for e in experiments:
            spec = self.cache.load_data(e).spec
            e.loss_for(spec)
            refuse_metrics(e, spec)
            refuse_theta(e, spec)
            e.refuse_strengths(spec)
        rows = self.cache.rows(experiments)
        for e in experiments:
            refuse_undefined(e, self.datasets[e.data], self.cache.folds(e))
        refuse_zero_weights(rows, self.datasets)
        for row in {(row.experiment.model, row.experiment.data, row.batch): row for row in rows}.values():
            row.experiment.graph(self.datasets[row.experiment.data].spec).refuse_batch(row.batch)
        return rows

    def _keeping_answers(self, counts: list[int]) -> list[Row]:
        """The rows, of which each experiment has so many, with what their results keep of their answers."""
        rest = iter(self.rows)
        rows = (list(islice(rest, count)) for count in counts)
        specs = (self.datasets[e.data].spec for e in self.experiments)
        return [row for each in zip(rows, self.keep, specs, strict=True) for row in keeping_answers(*each)]

    def _with_device(self, e: Experiment) -> Experiment:
        """The experiment with the device that was chosen for it."""
        return replace(e, device=str(self.placements[e.device].device)) if e.device == "auto" else e

    def __iter__(self) -> Iterator[Record]:
        while (record := self._next()) is not None:
            yield record

    def events(self, checkpoint_due: Callable[[], bool]) -> Iterator[Record | FitState]:
        """The records and, soon after `checkpoint_due` says so, the state to resume from: that to which the
        records before it have led. An interrupted fit ends with the step under way, and its state."""
        self._checkpoint_due = checkpoint_due
        yield from self._events

    def resume(self, state: FitState) -> Fit:
        """Continue, when it is run, from the state of a fit of the same experiments. Raises `UserError` for
        one of others."""
        state.refuse_other_rows(self.rows, self.datasets)
        self._resumed_state = state
        return self

    def lead(self, leader: Leader | None) -> Fit:
        """Train a share of the stacks here, and let the other ranks train the rest. Raises `UserError` if one
        of them cannot."""
        if leader:
            self._leader = leader
            if len(self.rows) < leader.size:
                self._sharing = leader.ranks
                for row, *_ in self.stacks():
                    refuse_sharing(row, graph_of(row, self.datasets), leader.ranks)
            leader.offer(self)
        return self

    @property
    def shares_batches(self) -> bool:
        """Whether several ranks train the same rows, each with a share of every batch."""
        return self._sharing is not None

    def train_share(
        self,
        share: FitState,
        should_stop: Callable[[], bool],
        checkpoint_due: Callable[[], bool],
        sharing: Ranks | None = None,
    ) -> Iterator[TrainingOutput | StackStates]:
        """Train these stacks alone, from their states on, for another rank, or together with it, `sharing`
        the batches; what comes of it is not kept."""
        self._sharing = sharing
        rows = (
            self._refit_rows({result.row: result for result in share.results}) if share.refit else self.rows
        )
        trainings = self._make_trainings(rows, share.stacks)
        yield from train_in_parallel(trainings, self.processes, NO_RUNGS, should_stop, checkpoint_due)

    def run(self) -> Fit:
        """Train to the end."""
        for _ in self:
            pass
        return self

    def stop(self) -> Fit:
        """End here: rows in training have the weights of their best epoch, with which they are tested.

        Where stacks train in parallel, theirs may be some epochs further than the last record.
        """
        self._end("stopped", "by fit.stop()")
        return self

    @property
    def history(self) -> dict[str, np.ndarray]:
        """All records as columns of equal length, a line for each row and epoch, row after row: experiment,
        row, seed, repeat, fold, epoch, refit, and the metrics of `Record`. For `pandas.DataFrame`."""
        return self._history.table(self.rows, self.experiment_of_row)

    @typed
    def curves(self, name: str) -> np.ndarray:
        """A metric as (rows, epochs), NaN after a row has ended: `plt.plot(fit.curves("val_loss").T)`."""
        return self._history.curves(name, len(self.rows))

    def __repr__(self):
        rows = f"{len(self.rows)} row{'s' * (len(self.rows) != 1)}"
        counts = Counter(result.status for result in self.results)
        ended = ", ".join(f"{count} {status}" for status, count in counts.items())
        begun = (
            f"epoch {self._history.epoch}"
            if self._history.epoch
            else "not begun: fit.run(), or iterate over it"
        )
        return f"<Fit: {rows}, {ended if len(self.results) == len(self.rows) else begun}>"

    def _next(self) -> Record | None:
        """The next record; None at the end. Raises `KeyboardInterrupt` if somebody interrupts it."""
        if not self._interactive:
            return self._next_record(self._events)
        with interruption.stop_at_epoch_end() as handles_interrupt:
            record = self._next_record(self._events)
            if record:
                self._history.add(record)
            else:
                self._advise_of_majority()
            if handles_interrupt and interruption.stop_requested():
                self._end("interrupted")
                raise KeyboardInterrupt
        return record

    def _advise_of_majority(self) -> None:
        if self._advised:
            return
        self._advised = True
        for number, e in enumerate(self.experiments):
            tests = [r.test for r in self.results if self.experiment_of_row[r.row] == number]
            if sentence := unbalanced_advice(tests, e):
                advise(sentence)
                return

    def _next_record(self, events: Iterator) -> Record | None:
        return next((event for event in events if isinstance(event, Record)), None)

    def _end(self, status: str, reason: str = "") -> None:
        """End every row with the epoch under way, and test it. A row that has not begun has no result."""
        with self._events.held() as events:
            if getgeneratorstate(events) != GEN_SUSPENDED:
                events.close()
                return
            self._stopping = True
            while record := self._next_record(events):
                self._history.add(record)
        for n, result in enumerate(self.results):
            if result.status == "interrupted":
                result = replace(result, status=status, reason=reason)
            if not result.test and result.status != "diverged":
                result = replace(result, **vars(self._test(result)), past=())
            self.results[n] = result
        self.results.sort(key=lambda result: result.row)

    def _train(self) -> Iterator[Record | FitState]:
        state = self._resumed_state
        if state:
            self.results += state.results
            self._refits += state.refits
        if not (state and state.refit):
            yield from self._run(self.rows, self.results, state)
        if self._should_stop():
            return
        by_row = {result.row: result for result in self.results}
        yield from self._run(self._refit_rows(by_row), self._refits, state if state and state.refit else None)
        completed = [result for result in self._refits if result.status != "interrupted"]
        by_row |= {result.row: self._with_refit(by_row[result.row], result) for result in completed}
        self.results[:] = [replace(by_row[row], past=()) for row in sorted(by_row)]

    def _refit_rows(self, by_row: dict[int, Result]) -> list[Row]:
        """The rows that are trained again, of those that have a result."""
        return [
            replace(row.refit_row(by_row[row.number].past), calibration=by_row[row.number].calibration)
            for row in self.rows
            if row.number in by_row and row.experiment.refit and not row.candidate
            if by_row[row.number].status != "diverged"
        ]

    def _should_stop(self) -> bool:
        return self._stopping or interruption.stop_requested()

    def _test(self, result: Result) -> TestOutcome:
        """A row that was not tested as it ended, on its test set."""
        row = self.rows[result.row]
        with computing():
            return test_row(row, result, self.cache.examples(row), self.threads)

    def _with_refit(self, first: Result, second: Result) -> Result:
        """The result with the refit's weights; if it diverged, with the first training's, tested now."""
        refit = Refit(first.best_epoch, second.examples["train"], second.status)
        if second.status == "diverged":
            return replace(first, **vars(self._test(first)), refit=refit)
        refitted = {name: getattr(second, name) for name in ("weights", "normalizer", "test", "predictions")}
        return replace(first, refit=refit, examples=first.examples | {"refit": refit.examples}, **refitted)

    @property
    def threads(self) -> int:
        return min((thread_count(e.threads) for e in self.experiments), default=1)

    def stacks(self, rows: list[Row] | None = None) -> list[list[Row]]:
        """The rows as they will be trained, a list for each stack."""
        rows, all_stacks = self.rows if rows is None else rows, []
        ranks = self._leader.size if self._leader and not self._sharing else 1
        for name in dict.fromkeys(row.experiment.device for row in rows):
            where, group = device(name), [row for row in rows if row.experiment.device == name]
            free_bytes = None if where.type == "cpu" else free_memory(where)
            all_stacks += divide_into_stacks(
                group, self.datasets, self.trained_at_once, self.max_stack_rows, free_bytes,
                least=ranks * len(group) / len(rows),
            )  # fmt: skip
        return all_stacks

    @property
    def compiled(self) -> bool:
        """Whether the tail of a step was compiled, which changes how it rounds."""
        return any(training.fused for training in self.trainings)

    @property
    def processes(self) -> int:
        """How many worker processes train: one if any row is on a GPU, which a fork could not use."""
        return self.threads if self.on_cpu and not self._sharing else 1

    @property
    def trained_at_once(self) -> int:
        """How many stacks train at the same time, on all ranks."""
        return self.processes * (self._leader.size if self._leader and not self._sharing else 1)

    def _run(
        self, rows: list[Row], results: list[Result], state: FitState | None
    ) -> Iterator[Record | FitState]:
        """Train these rows, from the `state` on if there is one, and add their results to `results`."""
        states = [*state.stacks] if state else []  # as they were: another machine may divide rows otherwise
        for stack in [] if state else self.stacks(rows):
            states.append(StackState(tuple(row.number for row in stack), None))
        is_refit, peers = results is self._refits, []
        if self._leader:
            states, peers = self._leader.begin(self, is_refit, states, self.results)
        own = states[: len(states) - sum(peer.stacks for peer in peers)]
        trainings = self._make_trainings(rows, own)
        self.trainings += trainings
        for output in self._train_stacks(trainings, peers):
            if isinstance(output, StackStates):
                stacks = tuple(map(StackState, (stack.rows for stack in states), output.snapshots))
                yield FitState(is_refit, stacks, tuple(self.results), tuple(self._refits))
                continue
            record, ended = output
            results += ended
            if record:
                yield record

    def _train_stacks(self, trainings: list[Training], peers: list[Peer]) -> Iterator:
        """The outputs of stacks that are trained here, and by other ranks."""
        should_stop, checkpoint_due = self._should_stop, self._checkpoint_due
        if self._sharing:
            together = Agreement(self._sharing, should_stop, checkpoint_due or never)
            should_stop, checkpoint_due = together.should_stop, together.takes_states
        try:
            yield from train_in_parallel(
                trainings, self.processes, self.rungs, should_stop, checkpoint_due, peers
            )
        except MachineFault as fault:
            raise (self._sharing and self._leader.reported()) or fault from None

    def _make_trainings(self, rows: list[Row], states: Sequence[StackState]) -> list[Training]:
        """The training of each stack of some of these rows, from its state on. Raises `UserError` for that of
        another."""
        by_number = {row.number: row for row in rows}
        stacks = [[by_number[number] for number in state.rows] for state in states]
        self.cache.keep_only([row for stack in stacks for row in stack])
        threads = self.threads if self.processes == 1 or len(stacks) == 1 else 1
        # The data are prepared before any fork, so that workers share them.
        trainings = [
            Training(
                stack,
                self.cache.examples(stack[0]),
                threads,
                self.compiles[stack[0].experiment.device],
                self._sharing,
            )
            for stack in stacks
        ]
        for training, state in zip(trainings, states, strict=True):
            if state.snapshot:
                try:
                    training.restore(state.snapshot)
                except ValueError as e:
                    raise UserError(f"it is {e}") from e
        return trainings


@typed
def fit(*experiments: Any, x=None, y=None, x_test=None, y_test=None) -> Fit:
    """Train experiments, on their own data or on arrays that follow them: see `Arrays`, `Fit`.

    >>> fit(Experiment(epochs=3)).run().results[0].epochs
    3
    >>> x, y = [[0.0], [0.1], [0.9], [1.0]] * 10, ["low", "low", "high", "high"] * 10
    >>> fit(Experiment(epochs=3), x, y)
    <Fit: 1 row, not begun: fit.run(), or iterate over it>

    Arrays take the place of the experiments' data, of which normalization, limit, label_noise and seed
    stay. Nothing is trained before the fit is run, or iterated over.
    """
    return Fit(experiments_on_arrays((*experiments, *given_arrays(x, y)), x_test, y_test), interactive=True)
