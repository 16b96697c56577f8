"""A cache of data sets: each is loaded once, and copied to each device once, for all fits that share it."""

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
    """The data that experiments read: all batches of a sweep's trials train on data that are loaded once."""

    def __init__(self):
        self.datasets: dict[Data, Dataset] = {}
        self._fingerprints: dict[Data, str] = {}
        self._folds: dict[tuple[Data, Split], list[Fold]] = {}
        self._on_device: dict[tuple, Examples] = {}  # by data, device, dtype
        self._normalized: dict[tuple, Examples] = {}  # as splits normalise them, by `_split_key`

    def load_data(self, e: Experiment) -> Dataset:
        """The experiment's data, loaded if they are not there yet; raises `UserError`."""
        if e.data not in self.datasets:
            self.datasets[e.data] = e.load()
        return self.datasets[e.data]

    def fingerprints(self) -> list[str]:
        """A hash of the values of each loaded data set."""
        return sorted(dataset.fingerprint() for dataset in self.datasets.values())

    def fingerprint(self, e: Experiment) -> str:
        """A hash of the values of the experiment's data, which takes a pass over them once."""
        if e.data not in self._fingerprints:
            self._fingerprints[e.data] = self.load_data(e).fingerprint()
        return self._fingerprints[e.data]

    def folds(self, e: Experiment) -> list[Fold]:
        """The folds of the experiment's split; raises `UserError`."""
        if (e.data, e.split) not in self._folds:
            self._folds[e.data, e.split] = e.split.folds(self.load_data(e))
        return self._folds[e.data, e.split]

    def rows(self, experiments: list[Experiment]) -> list[Row]:
        """The rows of all experiments, numbered."""
        rows = [row for e in experiments for row in e.rows(self.load_data(e), self.folds(e))]
        return [replace(row, number=n) for n, row in enumerate(rows)]

    def examples(self, row: Row) -> Examples:
        """The data on the row's device, normalised by the folds of its split."""
        e = row.experiment
        key, split_key = (e.data, e.device, e.dtype), _split_key(row)
        if key not in self._on_device:
            template = torch.empty(0, dtype=getattr(torch, e.dtype), device=device(e.device))
            with computing():
                self._on_device[key] = Examples(e.data, self.datasets[e.data], template)
        if split_key not in self._normalized:
            self._normalized[split_key] = self._on_device[key].without_caches()
        return self._normalized[split_key]

    def keep_only(self, rows: list[Row]) -> None:
        """Forget the normalised data of all splits but those of these rows: a sweep may go through many."""
        used = {_split_key(row) for row in rows}
        self._normalized = {key: examples for key, examples in self._normalized.items() if key in used}


def _split_key(row: Row) -> tuple:
    """Rows with equal keys share one normalisation of the data. A refit has a key of its own: its folds have
    the same numbers within the split, but more training examples."""
    e = row.experiment
    return e.data, e.split, e.device, e.dtype, row.refit > 0
