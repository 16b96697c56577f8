"""`fit`: experiments in, records out. Rows are grouped into stacks, and stacks are trained side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, replace
from inspect import GEN_SUSPENDED, getgeneratorstate
from typing import Any, Literal

import numpy as np

from nnlab import interruption
from nnlab.arguments import typed
from nnlab.choices import shown
from nnlab.data.dataset import Data
from nnlab.data.in_memory import Arrays
from nnlab.errors import UserError
from nnlab.exclusive import Exclusive
from nnlab.experiment import Experiment, Row
from nnlab.runtime.devices import device, free_memory, thread_count
from nnlab.runtime.threads import computing
from nnlab.training.data_cache import DataCache
from nnlab.training.evaluation import tested
from nnlab.training.history import History
from nnlab.training.placement import Place, compiles, place
from nnlab.training.results import Record, Refit, Result, Results
from nnlab.training.stacks import stacks
from nnlab.training.training import Training
from nnlab.training.workers import NO_RUNGS, Progress, Rungs, side_by_side


class Fit:
    """A fit: its rows train while it is iterated over, or by `run`.

    >>> fit = Fit([Experiment(epochs=2, seeds=3)])
    >>> for record in fit:                          # an epoch of the rows of a stack
    ...     if record.val_loss.max() < 3:
    ...         break                               # it waits; another `for`, or `run`, goes on
    >>> len(fit.run().results)                      # to the end: a result for every row
    3

    What has been recorded is in `history`, and as curves in `curves`. `stop` ends it early.

    `candidates` only show their curves: they are neither tested nor trained again, and leave no weights.
    At the `rungs` rows may be pruned. `most` is how many rows a stack holds. One that is `attended`, by
    somebody at a prompt, keeps its records, and a Ctrl-C ends it with the epoch. Where the device is `auto`,
    it is chosen as for a fit that is made so many `times`; `experiments` have the one that was taken.
    """

    @typed
    def __init__(
        self,
        experiments: list[Experiment],
        cache: DataCache | None = None,
        candidates: bool = False,
        rungs: Rungs = NO_RUNGS,
        most: int | Literal["auto"] = "auto",
        attended: bool = False,
        times: float = 1.0,
    ):
        self.cache = cache or DataCache()
        for e in experiments:
            e.loss_for(self.cache.add(e).spec)
            if attended:
                e.schedule.advise(e.epochs)
        self.datasets = self.cache.datasets
        rows = self.cache.rows(experiments)
        self.places = self._placed(rows, times)
        placed = {id(e): self._in_place(e) for e in experiments}
        self.experiments = experiments = [placed[id(e)] for e in experiments]
        self.on_cpu = all(place.device.type == "cpu" for place in self.places.values())
        self.rungs, self.most = rungs, most
        self.rows = [
            replace(row, experiment=placed[id(row.experiment)], candidate=candidates) for row in rows
        ]
        self.compiles = {
            name: compiles([row for row in self.rows if row.experiment.device == name], self.datasets, times)
            for name in dict.fromkeys(e.device for e in experiments)
        }
        self.trainings: list[Training] = []
        counts = [e.seeds * len(self.cache.folds(e)) for e in experiments]
        self.owner = np.repeat(np.arange(len(counts)), counts)  # row -> the place of its experiment
        self.results = Results()  # of the rows that have ended
        self._attended, self._past = attended, History()
        self._records = Exclusive("fit", self._train())
        self._ending = False

    def _placed(self, rows: list[Row], times: float) -> dict[str, Place]:
        """Where the rows of each device are trained, by its name in their experiments."""
        groups: dict[str, list[Row]] = {}
        for row in rows:
            groups.setdefault(row.experiment.device, []).append(row)
        return {name: place(group, self.datasets, times) for name, group in groups.items()}

    def _in_place(self, e: Experiment) -> Experiment:
        """The experiment on the device that was taken for it."""
        return replace(e, device=str(self.places[e.device].device)) if e.device == "auto" else e

    def __iter__(self) -> Iterator[Record]:
        while (record := self._next()) is not None:
            yield record

    def run(self) -> Fit:
        """Train to the end."""
        for _ in self:
            pass
        return self

    def stop(self) -> Fit:
        """End here: rows in training have the weights of their best epoch, with which they are tested.

        Where stacks train side by side, theirs may be some epochs further than the last record.
        """
        self._end("stopped", "by fit.stop()")
        return self

    @property
    def history(self) -> dict[str, np.ndarray]:
        """All records as columns of equal length, a line for each row and epoch, row after row: experiment,
        row, seed, repeat, fold, epoch, refit, and the metrics of `Record`. For `pandas.DataFrame`."""
        return self._past.table(self.rows, self.owner)

    @typed
    def curves(self, name: str) -> np.ndarray:
        """A metric as (rows, epochs), NaN after a row has ended: `plt.plot(fit.curves("val_loss").T)`."""
        return self._past.curves(name, len(self.rows))

    def __repr__(self):
        rows = f"{len(self.rows)} row{'s' * (len(self.rows) != 1)}"
        how = Counter(result.status for result in self.results)
        ended = ", ".join(f"{count} {status}" for status, count in how.items())
        begun = (
            f"epoch {self._past.epoch}" if self._past.epoch else "not begun: fit.run(), or iterate over it"
        )
        return f"<Fit: {rows}, {ended if len(self.results) == len(self.rows) else begun}>"

    def _next(self) -> Record | None:
        """The next record; None at the end. Raises `KeyboardInterrupt` if somebody interrupts it."""
        if not self._attended:
            return next(self._records, None)
        with interruption.stop_at_epoch_end() as mine:
            record = next(self._records, None)
            if record:
                self._past.add(record)
            if mine and interruption.stop_requested():
                self._end("interrupted")
                raise KeyboardInterrupt
        return record

    def _end(self, status: str, reason: str = "") -> None:
        """Let every row end with the epoch under way, and test it. One that has not begun has no result."""
        with self._records.held() as records:
            if getgeneratorstate(records) != GEN_SUSPENDED:
                records.close()
                return
            self._ending = True
            for record in records:
                self._past.add(record)
        for n, result in enumerate(self.results):
            if result.status == "interrupted":
                result = replace(result, status=status, reason=reason)
            if not result.test and result.status != "diverged":
                result = replace(result, test=self._tested(result), past=())
            self.results[n] = result
        self.results.sort(key=lambda result: result.row)

    def _train(self) -> Iterator[Record]:
        for record, results in self._run(self.rows):
            self.results += results
            if record:
                yield record
        if self._is_ending():
            return
        chosen = {result.row: result for result in self.results}
        again = [
            row.again(chosen[row.number].past)
            for row in self.rows
            if row.experiment.refit and not row.candidate and chosen[row.number].status != "diverged"
        ]
        second: list[Result] = []
        for record, results in self._run(again):
            second += results
            if record:
                yield record
        ended = [result for result in second if result.status != "interrupted"]
        chosen |= {result.row: self._refitted(chosen[result.row], result) for result in ended}
        self.results[:] = [replace(chosen[row], past=()) for row in sorted(chosen)]

    def _is_ending(self) -> bool:
        return self._ending or interruption.stop_requested()

    def _tested(self, result: Result) -> dict:
        """The test report of a row that was not tested as it ended."""
        row = self.rows[result.row]
        with computing():
            return tested(row, result.weights, self.cache.examples(row), self.threads)

    def _refitted(self, first: Result, second: Result) -> Result:
        """The row with the weights of its second training; if that diverged, with the first's, tested now."""
        refit = Refit(first.best_epoch, second.examples["train"], second.status)
        if second.status == "diverged":
            return replace(first, test=self._tested(first), refit=refit)
        own = {"weights": second.weights, "normalizer": second.normalizer, "test": second.test}
        return replace(first, refit=refit, examples=first.examples | {"refit": refit.examples}, **own)

    @property
    def threads(self) -> int:
        return min((thread_count(e.threads) for e in self.experiments), default=1)

    def stacks(self, rows: list[Row] | None = None) -> list[list[Row]]:
        """The rows as they will be trained, a list for each stack."""
        rows, divided = self.rows if rows is None else rows, []
        for name in dict.fromkeys(row.experiment.device for row in rows):
            there, here = device(name), [row for row in rows if row.experiment.device == name]
            free = None if there.type == "cpu" else free_memory(there)
            divided += stacks(here, self.datasets, self.processes, self.most, free)
        return divided

    @property
    def compiled(self) -> bool:
        """Whether the tail of a step was a compiled pass: its rounding is its own."""
        return any(training.fused for training in self.trainings)

    @property
    def processes(self) -> int:
        """One where there is a GPU in it: a fork could not use that."""
        return self.threads if self.on_cpu else 1

    def _run(self, rows: list[Row]) -> Iterator[Progress]:
        divided, processes = self.stacks(rows), self.processes
        self.cache.keep(rows)
        threads = self.threads if processes == 1 or len(divided) == 1 else 1
        # The data are placed before any fork: workers share them.
        trainings = [
            Training(stack, self.cache.examples(stack[0]), threads, self.compiles[stack[0].experiment.device])
            for stack in divided
        ]
        self.trainings += trainings
        yield from side_by_side(trainings, processes, self.rungs, self._is_ending)


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
    return Fit(on_arrays((*experiments, *named(x, y)), x_test, y_test), attended=True)


def named(*arrays) -> tuple:
    """Those arrays that a call has by their names."""
    return tuple(array for array in arrays if array is not None)


def on_arrays(given: tuple, x_test=None, y_test=None) -> list[Experiment]:
    """The experiments that come first in `given`, with the arrays x and y as their data if these follow."""
    many = given and isinstance(given[0], (list, tuple)) and given[0]
    if many and all(isinstance(e, Experiment) for e in many):
        given = (*many, *given[1:])
    count = next((i for i, e in enumerate(given) if not isinstance(e, Experiment)), len(given))
    experiments, arrays = list(given[:count]) or [Experiment()], given[count:]
    if len(arrays) not in (0, 2) or not arrays and (x_test is not None or y_test is not None):
        there = ", ".join(shown(value) for value in arrays) or "no arrays but x_test or y_test"
        raise UserError(f"expected experiments, and after them nothing or two arrays, x and y; got {there}")
    if not arrays:
        return experiments
    kept = [{f.name: getattr(e.data, f.name) for f in fields(Data)} for e in experiments]
    data = {tuple(how.items()): Arrays(*arrays, x_test, y_test, **how) for how in kept}
    return [replace(e, data=data[tuple(how.items())]) for e, how in zip(experiments, kept, strict=True)]
