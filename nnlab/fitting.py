"""`fit`: experiments in, records out. Rows are grouped into stacks, and stacks are trained side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np
import torch

from nnlab import interruption
from nnlab.engine import computing, train
from nnlab.evaluation import tested
from nnlab.experiment import Experiment, Row
from nnlab.library import Library, device, threads_for
from nnlab.results import Record, Refit, Result
from nnlab.stacks import stacks
from nnlab.workers import NO_RUNGS, Rungs, side_by_side


class Fit:
    """A fit under way: iterate over it for its records; `results` has every row when it has ended.

    `candidates` only show their curves: they are neither tested nor trained again, and leave no weights.
    At the `rungs` rows may be pruned. `most` is how many rows a stack holds.

    >>> fit = Fit([Experiment(epochs=1)])
    >>> [record.epoch for record in fit], len(fit.results)
    ([1], 1)
    """

    def __init__(
        self,
        experiments: list[Experiment],
        library: Library | None = None,
        candidates: bool = False,
        rungs: Rungs = NO_RUNGS,
        most: int | Literal["auto"] = "auto",
    ):
        self.experiments = experiments
        self.library = library or Library()
        for e in experiments:
            e.loss_for(self.library.add(e))
        self.datasets = self.library.datasets
        self.on_cpu = all(device(name).type == "cpu" for name in {e.device for e in experiments})
        self.rungs, self.most = rungs, most
        self.rows = [replace(row, candidate=candidates) for row in self.library.rows(experiments)]
        counts = [e.seeds * len(self.library.folds(e)) for e in experiments]
        self.owner = np.repeat(np.arange(len(counts)), counts)  # row -> the place of its experiment
        self.results: list[Result] = []

    def __iter__(self) -> Iterator[Record]:
        yield from self._run(self.rows, self.results)
        if interruption.asked():
            return
        chosen = {result.row: result for result in self.results}
        again = [
            row.again(chosen[row.number].past)
            for row in self.rows
            if row.experiment.refit and not row.candidate and chosen[row.number].status != "diverged"
        ]
        second: list[Result] = []
        yield from self._run(again, second)
        ended = [result for result in second if result.status != "interrupted"]
        chosen |= {result.row: self._refitted(chosen[result.row], result) for result in ended}
        self.results[:] = [replace(chosen[row], past=()) for row in sorted(chosen)]

    def _refitted(self, first: Result, second: Result) -> Result:
        """The row with the weights of its second training; if that diverged, with the first's, tested now."""
        refit = Refit(first.best_epoch, second.examples["train"], second.status)
        if second.status == "diverged":
            row = self.rows[first.row]
            with computing():
                test = tested(row, first.weights, self.library.examples(row), self.threads)
            return replace(first, test=test, refit=refit)
        own = {"weights": second.weights, "normalizer": second.normalizer, "test": second.test}
        return replace(first, refit=refit, examples=first.examples | {"refit": refit.examples}, **own)

    @property
    def threads(self) -> int:
        return min((threads_for(e) for e in self.experiments), default=1)

    def stacks(self, rows: list[Row] | None = None) -> list[list[Row]]:
        """The rows as they will be trained, a list for each stack."""
        rows, divided = self.rows if rows is None else rows, []
        for name in dict.fromkeys(row.experiment.device for row in rows):
            there, here = device(name), [row for row in rows if row.experiment.device == name]
            free = None if there.type == "cpu" else torch.cuda.mem_get_info(there)[0]
            divided += stacks(here, self.datasets, self.processes, self.most, free)
        return divided

    @property
    def processes(self) -> int:
        """One where there is a GPU in it: a fork could not use that."""
        return self.threads if self.on_cpu else 1

    def _run(self, rows: list[Row], finished: list[Result]) -> Iterator[Record]:
        shares, processes = self.stacks(rows), self.processes
        self.library.keep(rows)
        alone = processes == 1 or len(shares) == 1
        threads = self.threads if alone else 1
        jobs = [  # the data are placed before any fork: workers share them
            partial(train, rows, self.library.examples(rows[0]), threads) for rows in shares
        ]
        yield from side_by_side(jobs, processes, finished, self.rungs)


def fit(*experiments: Experiment) -> Fit:
    """Train experiments; a `Record` each epoch, then `.results`.

    for record in fit(Experiment(epochs=3)): print(record.epoch, record.val_loss)
    """
    return Fit(list(experiments))
