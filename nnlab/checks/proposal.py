"""What to check after a training run that went badly: one line, or none. Plain numbers, no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

FEWEST = 3  # epochs from which on a run has had its chance
FLAT = 0.99  # of the first epoch's training loss
FAR = 0.5  # of chance's error: a flat loss is fine where the error is well below that
AT_CHANCE = 0.98  # of chance's error


@dataclass(frozen=True)
class Outcome:
    """How a run went, means over the rows that did not diverge (NaN if all did)."""

    rows: int
    diverged: int
    epochs: int
    first: float  # training loss of the first epoch
    last: float  # and of the last
    error: float  # least validation error
    chance: float  # the error of the best answer that does not look at the inputs


class Course:
    """Reads a run's records for its `Outcome`."""

    def __init__(self, rows: int):
        self.first, self.last, self.error = (np.full(rows, np.nan) for _ in range(3))
        self.diverged, self.epochs = np.zeros(rows, bool), 0

    def record(self, record) -> None:
        """Take in a `Record`."""
        rows, loss = record.rows, record.metrics["train_loss"]
        self.epochs = max(self.epochs, record.epoch)
        self.first[rows] = np.where(np.isnan(self.first[rows]), loss, self.first[rows])
        self.last[rows] = loss
        self.error[rows] = np.fmin(self.error[rows], record.metrics["val_error"])
        self.diverged[[row for row, how in record.ended.items() if how == "diverged"]] = True

    def outcome(self, chance: float) -> Outcome:
        first, last, error = (_mean(v[~self.diverged]) for v in (self.first, self.last, self.error))
        return Outcome(len(self.first), int(self.diverged.sum()), self.epochs, first, last, error, chance)


def proposal(run: Outcome, command: str) -> str | None:
    """The line that proposes a check, from the `nnlab train ...` that was run; None for a healthy run.

    >>> proposal(Outcome(1, 1, 2, math.nan, math.nan, math.nan, 0.9), "nnlab train optimizer.lr=1e9")
    'the row diverged; find out why: nnlab check only=rates optimizer.lr=1e9'
    """
    found = _why(run)
    if found is None:
        return None
    why, rung = found
    return f"{why}; find out why: {command.replace('nnlab train', f'nnlab check only={rung}', 1)}"


def _why(run: Outcome) -> tuple[str, str] | None:
    if 2 * run.diverged >= run.rows:
        rows = "the row" if run.rows == 1 else f"{run.diverged} of {run.rows} rows"
        return f"{rows} diverged", "rates"
    if run.epochs < FEWEST:
        return None
    if run.last >= FLAT * run.first and run.error > FAR * run.chance:
        return "the training loss did not fall", "subset"
    if run.error >= AT_CHANCE * run.chance:
        return "the validation error is no better than chance", "data"
    return None


def chance_error(dataset, folds) -> float:
    """The error on the validation sets of answering the most frequent class, or the mean; mean over folds."""
    t, different = dataset.targets(noisy=True), {fold.key: fold for fold in folds}
    return float(np.mean([_chance_error(t, fold, bool(dataset.classes)) for fold in different.values()]))


def _chance_error(t: np.ndarray, fold, classes: bool) -> float:
    train, validation = t[fold.train].mean(0), t[fold.validation]
    if classes:
        return float(1 - validation[:, train.argmax()].mean())
    return float(np.sqrt(((validation - train) ** 2).mean()))


def _mean(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else math.nan
