"""Data sets, loaded once and laid on their devices once, for all fits that share them."""

from __future__ import annotations

from dataclasses import replace

import torch

from nnlab.data.dataset import Data, Dataset
from nnlab.data.examples import Examples
from nnlab.data.splits import Fold, Split
from nnlab.experiment import Experiment, Row
from nnlab.runtime.devices import device
from nnlab.runtime.threads import computing


class DataCache:
    """What experiments read: a sweep trains batch after batch of trials on data that it loads once."""

    def __init__(self):
        self.datasets: dict[Data, Dataset] = {}
        self._folds: dict[tuple[Data, Split], list[Fold]] = {}
        self._placed: dict[tuple, Examples] = {}  # data, device, dtype
        self._split: dict[tuple, Examples] = {}  # the same, as a split normalises them

    def add(self, e: Experiment) -> Dataset:
        """Load the experiment's data, if they are not there yet; raises `UserError`."""
        if e.data not in self.datasets:
            self.datasets[e.data] = e.load()
        return self.datasets[e.data]

    def fingerprints(self) -> list[str]:
        """What tells the loaded data sets from others: a hash of each one's numbers."""
        return sorted(dataset.fingerprint() for dataset in self.datasets.values())

    def folds(self, e: Experiment) -> list[Fold]:
        """The folds of the experiment's split; raises `UserError`."""
        if (e.data, e.split) not in self._folds:
            self._folds[e.data, e.split] = e.split.folds(self.add(e))
        return self._folds[e.data, e.split]

    def rows(self, experiments: list[Experiment]) -> list[Row]:
        """The rows of all experiments, numbered."""
        rows = [row for e in experiments for row in e.rows(self.add(e), self.folds(e))]
        return [replace(row, number=n) for n, row in enumerate(rows)]

    def examples(self, row: Row) -> Examples:
        """The data on the row's device, with the normalisation of its split's folds."""
        e = row.experiment
        key, split = (e.data, e.device, e.dtype), _split(row)
        if key not in self._placed:
            like = torch.empty(0, dtype=getattr(torch, e.dtype), device=device(e.device))
            with computing():
                self._placed[key] = Examples(e.data, self.datasets[e.data], like)
        if split not in self._split:
            self._split[split] = self._placed[key].without_caches()
        return self._split[split]

    def keep(self, rows: list[Row]) -> None:
        """Forget how splits other than these rows' normalise the data: a sweep may go through many."""
        wanted = {_split(row) for row in rows}
        self._split = {split: examples for split, examples in self._split.items() if split in wanted}


def _split(row: Row) -> tuple:
    """What rows share that may share a normalisation: folds are told apart by number within a split, and are
    larger when a row is trained again."""
    e = row.experiment
    return e.data, e.split, e.device, e.dtype, row.refit > 0
