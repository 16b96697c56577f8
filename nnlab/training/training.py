"""The one training loop, an epoch at a time. No files, no printing."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np
import torch

from nnlab.data.batches import Batches, Chunk
from nnlab.data.card_batches import CardBatches
from nnlab.data.examples import Examples
from nnlab.experiment import Row
from nnlab.runtime.devices import free_memory
from nnlab.runtime.recording import on_card
from nnlab.runtime.threads import computing
from nnlab.schedules import Progress
from nnlab.training.evaluation import Evaluator, results
from nnlab.training.population import Population, State
from nnlab.training.results import Ending, Record, Result
from nnlab.training.snapshot import Snapshot, arrays, fill
from nnlab.training.step import Step

TABLES_SHARE = 0.5  # of the free memory of a GPU, for tables that each fold normalises
HELD_BACK = ("val_loss", "val_error")  # metrics of the validation set, which say nothing in a refit


class Training:
    """Rows of one structure, trained in lockstep until none is left.

        training = Training(rows, examples, threads)
        while len(training):
            record, results = training.epoch()

    A row ends by itself, with its epochs, its stopping rule, its schedule, or because it diverged: then its
    result comes with the record. Or it is ended by whoever calls `leave`.

    Nothing is drawn or allocated before the first epoch, and all is given back after the last.

    On a GPU every shape of a stack costs a recording, and perhaps a compilation. So there a row that has
    ended goes on being computed, for nothing, until half of the stack has: then the others move together.
    """

    def __init__(self, rows: list[Row], examples: Examples, threads: int, fused: bool = False):
        self.rows = list(rows)  # those that are left
        self.examples, self.threads, self.fused = examples, threads, fused
        self.graph = rows[0].experiment.graph(examples.spec)
        self.epochs = 0  # done
        self.population: Population | None = None
        self.batches = self.evaluator = self.step = None  # bound to this many rows
        self._previous: State | None = None  # the state that the epoch before left, to go back to
        self._since = 0.0  # the moment, by the clock, at which training began

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def numbers(self) -> list[int]:
        """The numbers, in the fit, of the rows that are left."""
        return [row.number for row in self.rows]

    @property
    def begun(self) -> bool:
        return self.population is not None or self.epochs > 0

    def begin(self) -> Training:
        """Draw the initial weights, if that is to be done, and allocate; an epoch does so by itself."""
        with computing():
            if not self.begun:
                self._since = time.perf_counter()
                self.population, self._previous = self._drawn(self.rows)
            if self.rows and self.step is None:
                self._bind()
        return self

    def epoch(self) -> tuple[Record, list[Result]]:
        """Train every row for an epoch; and the results of those that ended with it."""
        if not self.rows:
            raise ValueError("no row is left to train")
        self.begin()
        with computing():
            self.epochs += 1
            population, epoch, live = self.population, self.epochs, self._live()
            population.recall(epoch)
            metrics = self.one_pass(epoch) | self.evaluator.validate()
            self.fused = self.step.compiled
            every = self.rows[0].experiment.histograms
            histograms = self.evaluator.histograms() if every and epoch % every == 0 else {}
            heard = population.heard(metrics)
            back = population.listen(epoch, heard)
            improved = population.keep_best(epoch, metrics, back)
            self._go_back(back)
            stop = population.experiment.stopping.observe(population.stopping, heard)
            ended = endings(population, live, epoch, population.lost(metrics) & ~back, stop)
            refit, nothing = self.rows[0].refit > 0, np.full(len(population), np.nan)
            said = metrics | dict.fromkeys(HELD_BACK, nothing) if refit else metrics
            said = {name: values[live] for name, values in said.items()}
            histograms = {name: h.select(live) for name, h in histograms.items()}
            how = {row: ending.status for row, ending in ended.items()}
            seconds, rows = time.perf_counter() - self._since, np.array(self.numbers)
            record = Record(epoch, rows, said, improved[live], how, seconds, refit, histograms)
            return record, self._leave(ended)

    def _live(self) -> np.ndarray:
        """The places in the stack of the rows that are left, in order."""
        return np.flatnonzero(np.isin([row.number for row in self.population.rows], self.numbers))

    def leave(self, rows: Iterable[int], status: str) -> list[Result]:
        """End rows, by their numbers, before the next epoch: pruned, interrupted. Their results; numbers of
        rows that are not in training are ignored."""
        if not self.begun:
            self.begin()
        with computing():
            return self._leave({row: Ending(status) for row in rows if row in self.numbers})

    def state(self) -> Snapshot:
        """All that another `Training` of the same rows needs to go on from here, bit for bit."""
        if not self.begun:
            self.begin()
        held = arrays(self.population, self._previous) if self.rows else {}
        seconds = time.perf_counter() - self._since
        stack = [row.number for row in self.population.rows] if self.rows else []
        values = {"epochs": self.epochs, "seconds": seconds, "rows": stack, "left": self.numbers}
        return Snapshot(held, values)

    def restore(self, snapshot: Snapshot) -> Training:
        """Be where the training was of which this is the `state`; its rows must be among these.

        Raises `ValueError` for a state of other rows, or of another network or optimiser.
        """
        known, values = {row.number: row for row in self.rows}, snapshot.values
        if missing := set(values["rows"]) - known.keys():
            raise ValueError(f"a state of rows {sorted(missing)}, which are not in this training")
        rows = [known[number] for number in values["rows"]]
        population = previous = None
        with computing():
            if rows:
                population, previous = self._drawn(rows)
                fill(population, previous, snapshot.arrays)
        left = values.get("left", values["rows"])
        self.rows = [row for row in rows if row.number in left]
        self.population, self._previous = population, previous
        self.batches = self.evaluator = self.step = None
        self.epochs, self._since = values["epochs"], time.perf_counter() - values["seconds"]
        return self

    def one_pass(self, epoch: int) -> dict[str, np.ndarray]:
        """One pass over every row's training examples; the metrics of the training side, (K,) each."""
        regularizer, evaluator = self.population.experiment.regularizer, self.evaluator
        evaluator.begin()
        for chunk in self.batches.epoch(epoch):
            lr = self.learning_rate(epoch, chunk)
            z = self.step.run(chunk, epoch, lr)
            evaluator.add(z, chunk)
        of_weights = regularizer.metrics(self.step.weights, self.step.layers)
        # Through one copy, which the host waits for.
        values = [
            *(evaluator.sums / self.batches.train_counts),
            self.step.grad_norm.double(),
            *of_weights.values(),
        ]
        loss, error, grad_norm, *of_weights_here = torch.stack(values).cpu().numpy()
        return {
            "train_loss": loss,
            "train_error": evaluator.measure.error(error),
            "lr": lr[:, -1].numpy(),
            "grad_norm": grad_norm,
            **dict(zip(of_weights, of_weights_here, strict=True)),
        }

    def learning_rate(self, epoch: int, chunk: Chunk) -> torch.Tensor:
        """(K, S) float64: the rate of every step of the chunk."""
        e, steps = self.population.experiment, np.arange(chunk.first, chunk.first + len(chunk.x))
        epochs = np.maximum(e.epochs, epoch)[:, None]  # a row that has ended is at its last one
        progress = Progress(epoch, steps, self.batches.steps, epochs)
        factor = e.schedule.rate(progress, self.population.schedule)
        return e.optimizer.lr * torch.from_numpy(factor * np.ones(len(steps)))

    def _drawn(self, rows: list[Row]) -> tuple[Population, State | None]:
        """Rows before their first step; and the same as the state to go back to, if a schedule does."""
        population = Population.create(rows, self.graph, self.examples.like)
        goes_back = population.experiment.schedule.goes_back
        return population, population.state.select(np.arange(len(rows))) if goes_back else None

    def _bind(self) -> None:
        """Allocate what depends on how many rows there are."""
        population, examples = self.population, self.examples
        self.batches = batches_of(examples, population.rows, self.threads)
        self.evaluator = Evaluator(self.graph, population, population.state, examples, self.threads)
        loss = self.evaluator.measure.loss
        self.step = Step(self.graph, population, loss, self.batches, self.threads, self.fused)

    def _go_back(self, back: np.ndarray) -> None:
        """Take the rows where `back` (K,) is true to the state of the epoch before; keep the others'."""
        if self._previous is not None:
            self.population.state.copy_rows(torch.from_numpy(back), self._previous)
            self._previous.copy_rows(torch.from_numpy(~back), self.population.state)

    def _leave(self, how: dict[int, Ending]) -> list[Result]:
        """Take rows out of the stack; their results."""
        if not how:
            return []
        numbers = np.array([row.number for row in self.population.rows])
        leaving = np.isin(numbers, list(how))
        gone = self.population if leaving.all() else self.population.select(np.flatnonzero(leaving))
        ended = results(gone, self.graph, self.examples, self.threads, self.epochs, how)
        self.rows = [row for row in self.rows if row.number not in how]
        if not on_card(self.examples.like) or len(self.rows) <= len(numbers) / 2:
            self._move_together()
        return ended

    def _move_together(self) -> None:
        """Keep the rows alone that are left."""
        staying = self._live()
        self.batches = self.evaluator = self.step = None
        self.population = self.population.select(staying) if len(staying) else None
        self._previous = self._previous.select(staying) if len(staying) and self._previous else None


def batches_of(examples: Examples, rows: list[Row], threads: int) -> Batches:
    """The rows' batches: on a GPU of tables that are normalised before, unless these are too large for it."""
    if not on_card(examples.like):
        return Batches(examples, rows)
    tables = examples.table_bytes(len({row.fold.key for row in rows}))
    fits = tables < TABLES_SHARE * free_memory(examples.like.device)
    return CardBatches(examples, rows, threads) if fits else Batches(examples, rows)


def endings(population: Population, live, epoch: int, lost, stop) -> dict[int, Ending]:
    """Which of the rows at the places `live` end with this epoch, and how. One that was never sound has
    diverged, however it ends."""
    e, none = population.experiment, np.zeros(len(population), bool)
    refit = np.array([row.refit for row in population.rows])
    last, over = epoch >= np.where(refit, refit, e.epochs), e.schedule.over(population.schedule)
    stop = none if stop is None else stop
    over = none if over is None or refit.any() else over
    ended = {}
    for k in live:
        row = population.rows[k]
        if lost[k] or ((last[k] or stop[k] or over[k]) and not population.best_epoch[k]):
            ended[row.number] = Ending("diverged")
        elif last[k]:
            ended[row.number] = Ending("finished")
        elif stop[k]:
            ended[row.number] = Ending("stopped", f"stopping={e.stopping.name}")
        elif over[k]:
            ended[row.number] = Ending("stopped", f"schedule={e.schedule.name}, whose rate became too small")
    return ended
