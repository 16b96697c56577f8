"""How far rows are in their epochs, and the best of each so far: what a console shows. No text."""

from __future__ import annotations

from time import monotonic

import numpy as np

from nnlab.means import mean_of_finite

SHOWN_METRICS = ("train_loss", "train_error", "val_loss", "val_error")


class EpochProgress:
    """How far the rows are, and the best of each so far.

    Rows may come in several stacks, one after another or in turns, each from epoch 1; so time is
    the wall clock's, and not the records'.

    done        (rows,) epochs; all of them for a row that has ended
    along       (rows,) the same, but rows that have ended go along with the others
    best        row -> loss, error and epoch of its best epoch: of validation, or else of training
    """

    def __init__(self, rows: int, epochs: int):
        self.rows, self.epochs = rows, epochs
        self.epoch, self.seconds, self.trained = 0, 0.0, 0
        self.done = np.zeros(rows, dtype=int)
        self.along = np.zeros(rows, dtype=int)
        self.best: dict[int, tuple[float, float, int]] = {}
        self.ended: dict[int, str] = {}
        self._started = None
        self._at = np.zeros(rows, dtype=int)  # the epoch that each row trained last
        self._latest = np.full((rows, len(SHOWN_METRICS)), np.nan)  # and its metrics

    def record(self, record) -> None:
        """Take in a `Record`. Every epoch does this, so the arithmetic is left to whoever looks."""
        if self._started is None:
            self._started = monotonic() - record.seconds
        self.epoch, self.seconds = record.epoch, monotonic() - self._started
        self.trained += len(record.rows)
        self._at[record.rows] = self.done[record.rows] = self.along[record.rows] = record.epoch
        for i, name in enumerate(SHOWN_METRICS):
            self._latest[record.rows, i] = record.metrics.get(name, np.nan)
        kind = "val" if "val_loss" in record.metrics else "train"
        for i in np.flatnonzero(record.improved).tolist():
            row = int(record.rows[i])
            loss, error = (float(record.metrics[f"{kind}_{what}"][i]) for what in ("loss", "error"))
            self.best[row] = (loss, error, record.epoch)
        self.ended |= record.ended
        if self.ended:
            over = list(self.ended)
            self.done[over] = self.epochs
            self.along[over] = np.maximum(self.along[over], record.epoch)

    def now(self) -> dict[str, float]:
        """Metric -> mean over `present`, finite values only; and how many those are, as `rows`."""
        present = self.present()
        means = {name: mean_of_finite(self._latest[present, i]) for i, name in enumerate(SHOWN_METRICS)}
        return means | {"rows": int(present.sum())}

    def present(self) -> np.ndarray:
        """(rows,) bool: the rows that trained in this epoch, or are on their way to it."""
        training = self._at > 0
        training[list(self.ended)] = False
        return training | (self._at == self.epoch)

    def part(self, parts: int) -> int:
        """How many of so many equal parts of the epochs are over."""
        return int(self.along.sum()) * parts // (self.rows * self.epochs)

    def share(self) -> float:
        """The share of all rows' epochs that is done, or not needed any more."""
        return float(self.done.sum() / (self.rows * self.epochs))

    def training(self) -> int:
        """How many rows have not ended."""
        return self.rows - len(self.ended)

    def seconds_left(self) -> float:
        """At the speed so far, if no other row ends early."""
        left = self.rows * self.epochs - self.done.sum()
        return float(left * self.seconds / max(self.trained, 1))
