"""The course of a run's learning rate: where it was lowered, where a row went back, where it is too small."""

from __future__ import annotations

import numpy as np

# The rate is too small from the epoch on since which, to the end, it has been below this share of the row's
# largest, and the loss has changed by less than this share: if these are enough epochs, and of all enough.
SMALL_RATE, SMALL_CHANGE = 0.01, 1e-3
LEAST_EPOCHS, LEAST_SHARE = 5, 0.1
MAX_EPOCHS_KEPT = 1000  # of each event, in summary.json


class RateCourse:
    """Collects the learning rates of a run's `rows` from its records.

    first, last, largest  (rows,) rates
    lowered, went_back    for each row, the epochs after which the schedule did so
    idle_since            (rows,) the epoch since which the rate has been too small to change anything, so far
    """

    def __init__(self, rows: int):
        self.first, self.last = np.full((2, rows), np.nan)
        self.largest = np.zeros(rows)
        self.lowered: list[list[int]] = [[] for _ in range(rows)]
        self.went_back: list[list[int]] = [[] for _ in range(rows)]
        self.halves: list[bool] = []  # whether a rate that was lowered is half of the one before
        self.epochs, self.idle_since = np.zeros((2, rows), int)
        self._was_lowered = np.zeros(rows, bool)
        self._low, self._high = np.full(rows, np.inf), np.full(rows, -np.inf)  # of the loss, while idle

    def record(self, record) -> None:
        """Take in a `Record` of the first training."""
        rows, metrics, none = record.rows, record.metrics, np.zeros(len(record.rows))
        lr = metrics.get("lr", np.full(len(rows), np.nan))
        self._compare_with_last(rows, lr)
        self.first[rows] = np.where(self.epochs[rows] == 0, lr, self.first[rows])
        self.last[rows], self.epochs[rows] = lr, record.epoch
        self.largest[rows] = np.fmax(self.largest[rows], lr)
        self._was_lowered[rows] = lowered = metrics.get("lr_lowered", none) > 0
        for events, happened in (
            (self.lowered, lowered),
            (self.went_back, metrics.get("went_back", none) > 0),
        ):
            for row in rows[happened].tolist():
                events[row].append(record.epoch)
        self._watch_loss(record.epoch, rows, lr, metrics.get("val_loss", metrics["train_loss"]))

    def _compare_with_last(self, rows, lr) -> None:
        """Note whether the rates that were lowered after the last epoch are half of what they were."""
        last = self.last[rows]
        changed = self._was_lowered[rows] & (last > 0)  # a rate may have become 0
        self.halves += np.isclose(lr[changed], 0.5 * last[changed], rtol=1e-6, atol=0).tolist()

    def _watch_loss(self, epoch: int, rows, lr, loss) -> None:
        low, high = np.minimum(self._low[rows], loss), np.maximum(self._high[rows], loss)
        with np.errstate(invalid="ignore"):  # of a loss that is infinite
            idle = (lr < SMALL_RATE * self.largest[rows]) & (high - low <= SMALL_CHANGE * np.abs(loss))
        self.idle_since[rows] = np.where(idle, self.idle_since[rows], epoch)
        self._low[rows], self._high[rows] = np.where(idle, low, loss), np.where(idle, high, loss)

    def summary(self, remedy: str) -> dict:
        """The entry `learning_rate` of summary.json, empty where the rate never changed: first, last and
        largest rates; how often it was lowered and the row went back; `too_small`, where it changed nothing
        any more. All as min, median and max over the rows; of a single row also the epochs."""
        trained = np.flatnonzero(self.epochs)
        smallest = np.fmin(self.first, self.last)[trained]
        if not len(trained) or not np.any((smallest < self.largest[trained]) | self._any_lowered(trained)):
            return {}
        summary = {
            name: _min_median_max(getattr(self, name)[trained]) for name in ("first", "last", "largest")
        }
        for name in ("lowered", "went_back"):
            events = getattr(self, name)
            if any(events):
                summary[name] = _min_median_max([len(events[row]) for row in trained])
                if len(events) == 1:
                    summary[f"{name}_after"] = events[0][:MAX_EPOCHS_KEPT]
        if any(self.lowered):
            summary["halved"] = bool(self.halves) and all(self.halves)
        epochs = (self.epochs - self.idle_since)[trained]
        idle = epochs >= np.maximum(LEAST_EPOCHS, LEAST_SHARE * self.epochs[trained])
        if idle.any():
            summary["too_small"] = {
                "rows": int(idle.sum()),
                "since": _min_median_max(self.idle_since[trained][idle]),
                "epochs": _min_median_max(epochs[idle]),
                "rate": _min_median_max(self.last[trained][idle]),
                "remedy": remedy,
            }
        return summary

    def _any_lowered(self, rows) -> np.ndarray:
        return np.array([bool(self.lowered[row]) for row in rows])


def _min_median_max(values) -> dict[str, float]:
    values = np.asarray(values)
    return {"min": values.min().item(), "median": float(np.median(values)), "max": values.max().item()}
