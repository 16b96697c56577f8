"""A run's curves as matrices (rows, epochs), collected from its records; and what the rows say together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nnlab.means import means_over_rows

CURVE_KINDS = ("train", "val")
LOW_QUANTILE, HIGH_QUANTILE = 0.1, 0.9  # of a band: 10% of the rows are below it, 10% above


class Bands(NamedTuple):
    """What the rows say together in each epoch: (epochs,) each, NaN in an epoch without numbers."""

    mean: np.ndarray
    low: np.ndarray  # 10% of the rows are below
    high: np.ndarray  # 10% are above
    rows: np.ndarray  # how many rows these are


class Curves:
    """The curves of a run's rows, collected from its records; epochs in which a row did not train are NaN."""

    def __init__(self, rows: int):
        self.rows, self.epochs = rows, 0
        self.best_epoch = np.zeros(rows, int)  # 0 for a row that never had one
        self._metrics: list[tuple] = []  # epoch, rows, metrics

    def record(self, record) -> None:
        """Take in a `Record`."""
        self.best_epoch[record.rows[record.improved]] = record.epoch
        self.add(record.epoch, record.rows, record.metrics)

    def add(self, epoch: int, rows: np.ndarray, metrics: dict[str, np.ndarray]) -> None:
        """Take in the metrics of these rows in an epoch."""
        self.epochs = max(self.epochs, epoch)
        self._metrics.append((epoch, rows, metrics))

    @property
    def kinds(self) -> list[str]:
        """What there are curves of: training, and validation unless nothing is held back."""
        return [
            kind for kind in CURVE_KINDS if any(f"{kind}_loss" in metrics for *_, metrics in self._metrics)
        ]

    def values(self, name: str) -> np.ndarray:
        """A metric as (rows, epochs)."""
        values = np.full((self.rows, self.epochs), np.nan)
        for epoch, rows, metrics in self._metrics:
            values[rows, epoch - 1] = metrics.get(name, np.nan)
        return values

    @property
    def rates(self) -> np.ndarray:
        """(rows, epochs): the learning rates, NaN where they are not known."""
        return self.values("lr")


def bands(values: np.ndarray) -> Bands:
    """Mean, 10% and 90% quantile of `values` (rows, epochs) over the rows with a finite number there."""
    values = np.where(np.isfinite(values), values, np.nan)
    rows = np.isfinite(values).sum(0)
    low, high = np.full((2, values.shape[1]), np.nan)
    some = rows > 0  # of an epoch without any, numpy would warn
    if some.any():
        low[some], high[some] = np.nanquantile(values[:, some], [LOW_QUANTILE, HIGH_QUANTILE], axis=0)
    return Bands(means_over_rows(values), low, high, rows)
