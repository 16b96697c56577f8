"""Tracks the progress of a training run for the console: epochs done, latest metrics, best epochs."""

from __future__ import annotations

from time import monotonic

import numpy as np

from nnlab.means import mean_of_finite

SHOWN_METRICS = ("train_loss", "train_error", "val_loss", "val_error")


class EpochProgress:
    """The progress of a run's rows, updated by its records.

    Rows may belong to several stacks, which train one after another or in turns, each from epoch 1; so the
    time is the wall clock's, not the records'.

    epochs_done     (rows,) epochs trained, or all epochs for a row that has ended
    epochs_reached  (rows,) epochs trained, where rows that have ended advance with the others
    row_epochs      how many epochs all rows have trained, summed
    best            row -> (loss, error, epoch) of its best epoch, by validation or else training
    best_metric     row -> the `metric` of the same epoch, if there is one: its name in records
    ended           row -> how it ended
    """

    def __init__(self, rows: int, epochs: int, metric: str = ""):
        self.rows, self.epochs, self.metric = rows, epochs, metric
        self.shown_metrics = (*SHOWN_METRICS, metric) if metric else SHOWN_METRICS  # see `show`
        self.epoch, self.seconds, self.row_epochs = 0, 0.0, 0
        self.epochs_done = np.zeros(rows, dtype=int)
        self.epochs_reached = np.zeros(rows, dtype=int)
        self.best: dict[int, tuple[float, float, int]] = {}
        self.best_metric: dict[int, float] = {}
        self.ended: dict[int, str] = {}
        self._started = None
        self._last_epoch = np.zeros(rows, dtype=int)  # that each row trained; 0 if none
        self._latest_metrics = np.full((rows, len(self.shown_metrics)), np.nan)  # the metrics of that epoch

    def show(self, names) -> None:
        """Before the first record: keep these metrics too."""
        self.shown_metrics = tuple(dict.fromkeys([*self.shown_metrics, *names]))
        self._latest_metrics = np.full((self.rows, len(self.shown_metrics)), np.nan)

    def record(self, record) -> None:
        """Take in a `Record`. This runs every epoch, so means are only computed when they are shown."""
        if self._started is None:
            self._started = monotonic() - record.seconds
        self.epoch, self.seconds = record.epoch, monotonic() - self._started
        self.row_epochs += len(record.rows)
        self._last_epoch[record.rows] = self.epochs_done[record.rows] = self.epochs_reached[record.rows] = (
            record.epoch
        )
        for i, name in enumerate(self.shown_metrics):
            self._latest_metrics[record.rows, i] = record.metrics.get(name, np.nan)
        kind = "val" if "val_loss" in record.metrics else "train"
        unknown = np.full(len(record.rows), np.nan)
        for i in np.flatnonzero(record.improved).tolist():
            row = int(record.rows[i])
            loss, error = (float(record.metrics[f"{kind}_{what}"][i]) for what in ("loss", "error"))
            self.best[row] = (loss, error, record.epoch)
            if self.metric:
                self.best_metric[row] = float(record.metrics.get(self.metric, unknown)[i])
        self.ended |= record.ended
        if self.ended:
            ended_rows = list(self.ended)
            self.epochs_done[ended_rows] = self.epochs
            self.epochs_reached[ended_rows] = np.maximum(self.epochs_reached[ended_rows], record.epoch)

    def latest_means(self) -> dict[str, float]:
        """Metric -> mean over the finite values of `current_rows`; and their number, as `rows`."""
        current_rows = self.current_rows()
        means = {
            name: mean_of_finite(self._latest_metrics[current_rows, i])
            for i, name in enumerate(self.shown_metrics)
        }
        return means | {"rows": int(current_rows.sum())}

    def current_rows(self) -> np.ndarray:
        """(rows,) bool: the rows that trained in the current epoch, or have not ended before it."""
        training_count = self._last_epoch > 0
        training_count[list(self.ended)] = False
        return training_count | (self._last_epoch == self.epoch)

    def part(self, parts: int) -> int:
        """How many of `parts` equal parts of the epochs are complete."""
        return int(self.epochs_reached.sum()) * parts // (self.rows * self.epochs)

    def fraction_done(self) -> float:
        """The share of all rows' epochs that are done or no longer needed."""
        return float(self.epochs_done.sum() / (self.rows * self.epochs))

    def training_count(self) -> int:
        """How many rows are still training."""
        return self.rows - len(self.ended)

    def seconds_left(self) -> float:
        """Estimated time left at the speed so far, if no other row ends early."""
        remaining = self.rows * self.epochs - self.epochs_done.sum()
        return float(remaining * self.seconds / max(self.row_epochs, 1))
