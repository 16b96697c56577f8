"""A run's learning curves as matrices (rows, epochs), and their mean and quantiles over the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nnlab.means import means_over_rows

if TYPE_CHECKING:
    from nnlab.records.stored_run import StoredRun

CURVE_KINDS = ("train", "val")
LOW_QUANTILE, HIGH_QUANTILE = 0.1, 0.9  # the band that plots shade


class Bands(NamedTuple):
    """Statistics over the rows in each epoch, (epochs,) each; NaN in an epoch without numbers."""

    mean: np.ndarray
    low: np.ndarray  # 10% of the rows are below
    high: np.ndarray  # 10% are above
    rows: np.ndarray  # how many rows have a number


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
        """The sets with curves: train, and val unless there is no validation set."""
        return [
            kind for kind in CURVE_KINDS if any(f"{kind}_loss" in metrics for *_, metrics in self._metrics)
        ]

    @property
    def further_metrics(self) -> list[str]:
        """What was measured on the validation set beside loss and error, by its names in records."""
        names = dict.fromkeys(name for *_, metrics in self._metrics for name in metrics)
        return [name for name in names if name.startswith("val_") and name not in ("val_loss", "val_error")]

    def values(self, name: str) -> np.ndarray:
        """A metric as (rows, epochs)."""
        values = np.full((self.rows, self.epochs), np.nan)
        for epoch, rows, metrics in self._metrics:
            values[rows, epoch - 1] = metrics.get(name, np.nan)
        return values

    @property
    def learning_rates(self) -> np.ndarray:
        """(rows, epochs): the learning rates, NaN where they are not known."""
        return self.values("lr")

    def happened(self, name: str) -> np.ndarray:
        """(rows, epochs) bool: where the schedule lowered the rate, `lr_lowered`, or `went_back`, after the
        epoch; nowhere in old folders, which do not say it."""
        return self.values(name) > 0


def stored_curves(run: StoredRun) -> Curves:
    """Those of a run folder."""
    curves, values = Curves(len(run.rows)), {name: run.curves(name) for name in run.metrics}
    for epoch in range(values["train_loss"].shape[1]):
        trained = np.flatnonzero(np.isfinite(values["lr"][:, epoch]))
        curves.add(epoch + 1, trained, {name: v[trained, epoch] for name, v in values.items()})
    curves.best_epoch[:] = [row["best_epoch"] for row in run.rows]
    return curves


def bands(values: np.ndarray) -> Bands:
    """Mean, 10% and 90% quantile of `values` (rows, epochs) over the rows with a finite number there."""
    values = np.where(np.isfinite(values), values, np.nan)
    rows = np.isfinite(values).sum(0)
    low, high = np.full((2, values.shape[1]), np.nan)
    has_rows = rows > 0  # numpy would warn about an epoch without numbers
    if has_rows.any():
        low[has_rows], high[has_rows] = np.nanquantile(
            values[:, has_rows], [LOW_QUANTILE, HIGH_QUANTILE], axis=0
        )
    return Bands(means_over_rows(values), low, high, rows)
