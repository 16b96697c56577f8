"""The training loop of one stack, an epoch at a time. No files, no printing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import numpy as np
import torch

from nnlab.data.batches import Batches, Chunk
from nnlab.data.examples import Examples
from nnlab.data.gpu_batches import GpuBatches
from nnlab.errors import MachineFault
from nnlab.experiment import Row, stack_graph
from nnlab.runtime.cuda_graphs import is_cuda
from nnlab.runtime.devices import free_memory
from nnlab.runtime.ranks import Ranks
from nnlab.runtime.tensor_bytes import tensor_bytes
from nnlab.runtime.threads import computing
from nnlab.schedules import Progress
from nnlab.training import snapshot
from nnlab.training.ended_rows import results
from nnlab.training.evaluation import Evaluator
from nnlab.training.population import Population, State
from nnlab.training.results import Ending, Record, Result
from nnlab.training.sharing import agree, refuse_sharing
from nnlab.training.snapshot import SUMS_NAME, Snapshot
from nnlab.training.step import Step

TABLES_SHARE = 0.5  # share of a GPU's free memory for the normalised tables of all folds
VALIDATION_METRICS = ("val_loss", "val_error")  # meaningless in a refit, which trains on that set


def never() -> bool:
    return False


class Training:
    """Rows of one structure, trained in lockstep until none is left.

        training = Training(rows, examples, threads)
        while len(training):
            record, results = training.epoch()

    A row ends by itself, after its last epoch, by its stopping rule or schedule, or because it diverged: its
    result then comes with the record. Or the caller ends it, by `end_rows`.

    Nothing is drawn or allocated before the first epoch, and all memory is freed after the last.

    An epoch may pause between two steps, and the state be taken there: the next call of `epoch` continues it.

    On a GPU every shape of a stack costs the capture of a CUDA graph, and perhaps a compilation. So there a
    row that has ended is still computed until half of the stack has ended: then the stack is compacted.

    `ranks` train the same rows together: each has its share of every batch (nnlab/runtime/shares.py), and all
    make the same updates of the summed gradient. They must pause, and end rows, in the same steps. If one is
    lost, `epoch` raises `MachineFault`, and this training is where the last epoch, or `restore`, has left it.
    """

    def __init__(
        self, rows: list[Row], examples: Examples, threads: int, fused: bool = False,
        ranks: Ranks | None = None,
    ):  # fmt: skip
        self.rows = list(rows)  # still in training
        self.examples, self.threads, self.fused, self.ranks = examples, threads, fused, ranks
        self.graph = stack_graph(rows, examples.spec)
        if ranks:
            refuse_sharing(rows[0], self.graph, ranks)
        self.epochs = 0  # completed
        self.steps = 0  # completed, of the epoch under way
        self.population: Population | None = None
        self.batches = self.evaluator = self.step = None  # allocated for the rows of the population
        self._previous: State | None = None  # the state after the previous epoch, to go back to
        self._start_time = 0.0  # by time.perf_counter, in seconds
        # (2, K): loss and error of the steps so far, while paused; (3, K) with a penalty of activations
        self._sums: np.ndarray | None = None
        self._step_seconds = 0.0  # of the steps of the epoch under way
        self.tensor_bytes = 0  # see `Record`; counted after the first epoch
        self._kept: Snapshot | None = None  # where ranks can go on from, if one is lost

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def row_numbers(self) -> list[int]:
        """The numbers, in the fit, of the rows still in training."""
        return [row.number for row in self.rows]

    @property
    def begun(self) -> bool:
        return self.population is not None or self.epochs > 0

    def begin(self) -> Training:
        """Draw the initial weights, if that has not been done, and allocate; `epoch` calls it."""
        with computing():
            if not self.begun:
                self._start_time = time.perf_counter()
                self.population, self._previous = self._initialize(self.rows)
            if self.rows and self.step is None:
                self._allocate()
                if not self._kept:
                    self._keep_state()
        return self

    def epoch(self, should_pause: Callable[[], bool] = never) -> tuple[Record, list[Result]] | None:
        """Train every row for an epoch; its record, and the results of the rows that ended with it.

        None if it paused before its last step: the next call continues it.
        """
        if not self.rows:
            raise ValueError("no row is left to train")
        self.begin()
        try:
            return self._epoch(should_pause)
        except MachineFault:
            if self._kept:
                self.restore(self._kept)
            raise

    def _epoch(self, should_pause: Callable[[], bool]) -> tuple[Record, list[Result]] | None:
        with computing():
            population, epoch, live = self.population, self.epochs + 1, self._live_indices()
            population.replay_schedule(epoch)
            metrics = self.train_epoch(epoch, should_pause)
            if metrics is None:
                return None
            self.epochs = epoch
            metrics |= self.evaluator.validate()
            if self.ranks:
                metrics = agree(self.ranks, metrics, population.state)
            self.fused = self.step.compiled
            interval = self.rows[0].experiment.histograms
            histograms = self.evaluator.histograms() if interval and epoch % interval == 0 else {}
            watched = population.watched_metrics(metrics)
            go_back, events = self._observe_schedule(epoch, watched)
            improved = population.keep_best(epoch, metrics, go_back)
            self._go_back(go_back)
            stop = population.experiment.stopping.observe(population.stopping, watched)
            endings = find_endings(population, live, epoch, population.nonfinite(metrics) & ~go_back, stop)
            refit, nan = self.rows[0].refit > 0, np.full(len(population), np.nan)
            recorded = metrics | dict.fromkeys(VALIDATION_METRICS, nan) if refit else metrics | events
            recorded = {name: values[live] for name, values in recorded.items()}
            histograms = {name: h.select(live) for name, h in histograms.items()}
            statuses = {row: ending.status for row, ending in endings.items()}
            seconds, rows = time.perf_counter() - self._start_time, np.array(self.row_numbers)
            record = Record(
                epoch, rows, recorded, improved[live], statuses, seconds, refit, histograms,
                self._step_seconds, self.tensor_bytes,
            )  # fmt: skip
            self._step_seconds = 0.0
            ended = self._end(endings)
            self._keep_state()
            return record, ended

    def _live_indices(self) -> np.ndarray:
        """The indices in the stack of the rows still in training, in order."""
        return np.flatnonzero(np.isin([row.number for row in self.population.rows], self.row_numbers))

    def end_rows(self, rows: Iterable[int], status: str) -> list[Result]:
        """End rows, by their numbers, before the next epoch (pruned, interrupted). Returns their results;
        numbers of rows that are not in training are ignored."""
        if not self.begun:
            self.begin()
        with computing():
            return self._end({row: Ending(status) for row in rows if row in self.row_numbers})

    def state(self) -> Snapshot:
        """All that another `Training` of the same rows needs to continue from here, bit for bit."""
        if not self.begun:
            self.begin()
        arrays = snapshot.state_arrays(self.population, self._previous) if self.rows else {}
        steps = self.steps if self.rows else 0
        if steps:
            arrays[SUMS_NAME] = self._sums
        seconds = time.perf_counter() - self._start_time
        stack = [row.number for row in self.population.rows] if self.rows else []
        values = {"epochs": self.epochs, "steps": steps, "seconds": seconds}
        values |= {"rows": stack, "left": self.row_numbers, "shapes": self._shapes()}
        return Snapshot(arrays, values)

    def restore(self, state: Snapshot) -> Training:
        """Continue from the `state` of another training, whose rows must be among the rows of this one.

        Raises `ValueError` for a state of other rows, or of another network or optimiser.
        """
        own_rows, values = {row.number: row for row in self.rows}, state.values
        if missing := set(values["rows"]) - own_rows.keys():
            raise ValueError(f"a state of rows {sorted(missing)}, which are not in this training")
        if values["rows"] and values.get("shapes") != self._shapes():
            raise ValueError("a state of another network: its parameters have other names or shapes")
        rows = [own_rows[number] for number in values["rows"]]
        population = previous = sums = None
        steps, arrays = values.get("steps", 0), dict(state.arrays)
        with computing():
            if steps:
                sums = _checked_sums(arrays.pop(SUMS_NAME, None), len(rows))
            if rows:
                population, previous = self._initialize(rows)
                snapshot.restore(population, previous, arrays)
        in_training = values.get("left", values["rows"])
        self.rows = [row for row in rows if row.number in in_training]
        self.population, self._previous = population, previous
        self.batches = self.evaluator = self.step = self._kept = None
        self.epochs, self.steps, self._sums = values["epochs"], steps, sums
        self._start_time = time.perf_counter() - values["seconds"]
        return self

    def _shapes(self) -> dict[str, list[int]]:
        """Of every parameter and buffer: those of another network may have as many elements."""
        layout = self.graph.layout()
        return {
            name: list(leaf_slice.leaf.shape)
            for name, leaf_slice in (layout.parameters | layout.buffers).items()
        }

    def train_epoch(
        self, epoch: int, should_pause: Callable[[], bool] = never
    ) -> dict[str, np.ndarray] | None:
        """One pass over every row's training examples, or the rest of it; the metrics of training, (K,) each.
        None if it paused before the last step."""
        regularizer, evaluator = self.population.experiment.regularizer, self.evaluator
        start = time.perf_counter()
        self._begin_sums()
        for chunk in self.batches.epoch(epoch, self.steps):
            lr = self.learning_rate(epoch, chunk)
            z = self.step.run(chunk, epoch, lr)
            evaluator.add(z, chunk)
            self.steps = chunk.first + len(chunk.x)
            if self.steps < self.batches.steps and should_pause():
                self._sums = self._sums_of_steps().cpu().numpy().copy()
                self._step_seconds += time.perf_counter() - start
                return None
        self.steps = 0
        sums, grad_norm = self._sums_of_steps(), self.step.grad_norm.double()
        means = sums[:2] / self.batches.train_counts
        further = regularizer.metrics(self.step.weights, self.step.layers)
        if self.step.activity:
            further["penalty"] = further["penalty"] + sums[2] / self.batches.train_counts
        further |= self.step.further_curves.metrics(grad_norm)
        # One copy to the host, and so one sync.
        metrics = torch.stack([*means, grad_norm, *further.values()]).cpu().numpy()
        self._step_seconds += time.perf_counter() - start
        if not self.tensor_bytes:
            held = self.population, self._previous, self.step.held()
            self.tensor_bytes = tensor_bytes(held, apart=(Row,))
        loss, error, grad_norm, *further_values = metrics
        return {
            "train_loss": loss,
            "train_error": evaluator.metric_sums.error(error),
            "lr": lr[:, -1].numpy(),
            "grad_norm": grad_norm,
            **self.step.columns.recorded,
            **dict(zip(further, further_values, strict=True)),
        }

    def _begin_sums(self) -> None:
        """Set the sums over an epoch's steps to zero, or to what they were when it paused."""
        sums, activity = self._sums, self.step.activity
        self._sums = None
        if self.ranks and not self.ranks.is_first:
            sums = None  # which one rank has, for all of them
        self.evaluator.begin(None if sums is None else sums[:2])
        if activity:
            activity.begin(None if sums is None else sums[2])

    def _sums_of_steps(self) -> torch.Tensor:
        """(2 or 3, K): loss and error, and the penalty of activations, over all examples of the epoch's steps
        so far."""
        further = [self.step.activity.sum[None]] if self.step.activity else []
        (sums,) = self.batches.share.totals(torch.cat([self.evaluator.sums, *further]))
        self.batches.share.wait_for(sums)
        return sums

    def _keep_state(self) -> None:
        """Keep the state for the case that a rank is lost."""
        if self.ranks:
            self._kept = self.state()

    def learning_rate(self, epoch: int, chunk: Chunk) -> torch.Tensor:
        """(K, S) float64: the learning rate of every step of the chunk."""
        e, steps = self.population.experiment, np.arange(chunk.first, chunk.first + len(chunk.x))
        factor = e.schedule.rate(self._progress(epoch, steps), self.population.schedule)
        return e.optimizer.lr * torch.from_numpy(factor * np.ones(len(steps)))

    def _progress(self, epoch: int, steps: np.ndarray) -> Progress:
        # A row that has ended stays at its last epoch.
        epochs = np.maximum(self.population.experiment.epochs, epoch)[:, None]
        return Progress(epoch, steps, self.batches.steps, epochs)

    def _observe_schedule(self, epoch: int, watched) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Let the schedule observe an epoch: (K,) bool, the rows to take back; and, of one that watches
        validation, where it lowered the rate of the epochs to come and went back, as metrics (K,) of 0
        and 1."""
        e, population = self.population.experiment, self.population
        if not e.schedule.listens or self.rows[0].refit:
            return population.update_schedule(epoch, watched), {}
        # The same step by the states before and after, so that a warm-up is no event.
        last_step = self._progress(epoch, np.array([self.batches.steps - 1]))
        before = e.schedule.rate(last_step, population.schedule)[:, 0]
        go_back, after = population.update_schedule(epoch, watched), before
        if epoch < e.epochs.max():  # no schedule is asked for a rate after the last epoch
            after = e.schedule.rate(last_step, population.schedule)[:, 0]
        back = {"went_back": go_back.astype(float)} if e.schedule.goes_back else {}
        return go_back, {"lr_lowered": (after < before).astype(float)} | back

    def _initialize(self, rows: list[Row]) -> tuple[Population, State | None]:
        """The population before its first step; and a copy of its state, if the schedule may go back."""
        population = Population.create(rows, self.graph, self.examples.template)
        goes_back = population.experiment.schedule.goes_back
        return population, population.state.select(np.arange(len(rows))) if goes_back else None

    def _allocate(self) -> None:
        """Allocate the buffers whose size depends on the number of rows."""
        population, examples = self.population, self.examples
        self.batches = make_batches(examples, population.rows, self.threads, self.ranks)
        self.evaluator = Evaluator(
            self.graph, population, population.state, examples, self.threads, self.ranks
        )
        loss = self.evaluator.metric_sums.loss
        self.step = Step(self.graph, population, loss, self.batches, self.threads, self.fused)

    def _go_back(self, go_back: np.ndarray) -> None:
        """Restore the state of the previous epoch where `go_back` (K,) is true; save the others' state."""
        if self._previous is not None:
            self.population.state.copy_rows(torch.from_numpy(go_back), self._previous)
            self._previous.copy_rows(torch.from_numpy(~go_back), self.population.state)

    def _end(self, endings: dict[int, Ending]) -> list[Result]:
        """Take rows out of training, by their numbers; their results."""
        if not endings:
            return []
        numbers = np.array([row.number for row in self.population.rows])
        ending = np.isin(numbers, list(endings))
        ended = self.population if ending.all() else self.population.select(np.flatnonzero(ending))
        ended_results = results(ended, self.graph, self.examples, self.threads, self.epochs, endings)
        self.rows = [row for row in self.rows if row.number not in endings]
        if not is_cuda(self.examples.template) or len(self.rows) <= len(numbers) / 2:
            self._compact()
        return ended_results

    def _compact(self) -> None:
        """Remove the rows that have ended from the stack."""
        live = self._live_indices()
        self._sums = self._sums[:, live] if self._sums is not None else None
        self.batches = self.evaluator = self.step = None
        self.population = self.population.select(live) if len(live) else None
        self._previous = self._previous.select(live) if len(live) and self._previous else None


def _checked_sums(sums: np.ndarray | None, rows: int) -> np.ndarray:
    """The sums of a state within an epoch. Raises `ValueError` if they do not fit so many rows."""
    if sums is None or sums.shape not in ((2, rows), (3, rows)) or sums.dtype != np.float64:
        raise ValueError(f"a state within an epoch, without the {SUMS_NAME} of {rows} rows")
    return sums


def make_batches(examples: Examples, rows: list[Row], threads: int, ranks: Ranks | None = None) -> Batches:
    """The rows' batches, or this rank's share of them; on a GPU gathered from normalised tables, if these
    fit in its memory."""
    if not is_cuda(examples.template):
        return Batches(examples, rows, ranks)
    tables = examples.table_bytes(len({row.fold.key for row in rows}))
    fits = tables < TABLES_SHARE * free_memory(examples.template.device)
    if ranks:  # whose cards may differ, and whose chunks must be as long
        fits = not ranks.any(not fits)
    return GpuBatches(examples, rows, threads, ranks) if fits else Batches(examples, rows, ranks)


def find_endings(population: Population, live, epoch: int, diverged, stop) -> dict[int, Ending]:
    """The endings of those rows at indices `live` that end with this epoch, by row number. A row
    without one finite epoch has diverged, however it ends."""
    e, no_row = population.experiment, np.zeros(len(population), bool)
    refit = np.array([row.refit for row in population.rows])
    last, over = epoch >= np.where(refit, refit, e.epochs), e.schedule.over(population.schedule)
    stop = no_row if stop is None else stop
    over = no_row if over is None or refit.any() else over
    endings = {}
    for k in live:
        row = population.rows[k]
        if diverged[k] or ((last[k] or stop[k] or over[k]) and not population.best_epoch[k]):
            endings[row.number] = Ending("diverged")
        elif last[k]:
            endings[row.number] = Ending("finished")
        elif stop[k]:
            endings[row.number] = Ending("stopped", f"stopping={e.stopping.name}")
        elif over[k]:
            endings[row.number] = Ending(
                "stopped", f"schedule={e.schedule.name}, whose rate became too small"
            )
    return endings
