"""What to check after a training run that went badly: one line, or none."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nnlab.checks.chance_level import Chance
from nnlab.means import mean_of_finite

EPOCHS_AT_LEAST = 3  # after fewer nothing is proposed
FLAT_LOSS_RATIO = 0.99  # of the first epoch's training loss
FAR_BELOW_CHANCE = 0.5  # of chance's error: a flat loss is fine where the error is far below that
AT_CHANCE = 0.98  # of chance's error, or loss


@dataclass(frozen=True)
class Outcome:
    """How a run went, means over the rows that did not diverge (NaN if all did)."""

    rows: int
    diverged: int
    epochs: int
    first: float  # training loss of the first epoch
    last: float  # and of the last
    error: float  # validation error of the best epoch; where nothing is held back, the training error
    chance: float  # the error of the best answer that does not look at the inputs
    doubt: float = 0.0  # by how much luck may beat that
    val_loss: float = math.nan  # of the best epoch
    chance_loss: float = math.nan  # the loss of that answer; NaN where the errors say it all
    measure: str = "error"  # or RMSE
    lower: float | None = None  # a learning rate to try if it diverged

    @property
    def at_chance(self) -> bool:
        """Is the best epoch's error no better than chance's, and its loss neither?

        Where one class is rare, the error may stay that of the frequent one while the probabilities improve.
        """
        error = self.error >= min(AT_CHANCE * self.chance, self.chance - self.doubt)
        return error and not self.val_loss < AT_CHANCE * self.chance_loss

    @property
    def flat(self) -> bool:
        """Did the training loss not fall? Where it is below chance's already, the first epoch did it all."""
        return self.last >= FLAT_LOSS_RATIO * self.first and not self.last < AT_CHANCE * self.chance_loss


class Course:
    """Reads a run's records for its `Outcome`."""

    def __init__(self, rows: int):
        self.first, self.last = np.full((2, rows), np.nan)  # training losses
        self.error, self.loss = np.full((2, rows), np.nan)  # of the best epochs
        self.diverged = np.zeros(rows, bool)
        self.epochs = 0

    def record(self, record) -> None:
        """Take in a `Record`."""
        rows, loss, best = record.rows, record.metrics["train_loss"], record.improved
        self.epochs = max(self.epochs, record.epoch)
        self.first[rows] = np.where(np.isnan(self.first[rows]), loss, self.first[rows])
        self.last[rows] = loss
        kind = "val" if "val_loss" in record.metrics else "train"
        self.error[rows[best]] = record.metrics[f"{kind}_error"][best]
        self.loss[rows[best]] = record.metrics[f"{kind}_loss"][best]
        self.diverged[[row for row, how in record.ended.items() if how == "diverged"]] = True

    def outcome(self, chance: Chance, lower: float | None = None) -> Outcome:
        # The losses of rows that diverged would drown all others; how many there are is said beside.
        kept = ~self.diverged
        return Outcome(
            rows=len(self.first),
            diverged=int(self.diverged.sum()),
            epochs=self.epochs,
            first=mean_of_finite(self.first[kept]),
            last=mean_of_finite(self.last[kept]),
            error=mean_of_finite(self.error[kept]),
            chance=chance.error,
            doubt=chance.doubt,
            val_loss=mean_of_finite(self.loss[kept]),
            chance_loss=chance.loss,
            measure=chance.measure,
            lower=lower,
        )


def lower_rate(optimizer) -> float | None:
    """A rate that rarely diverges: a tenth of this one, or of the default if that is lower; None for an
    optimiser without a learning rate.

    The default of plain gradients is for classes: the gradient of a squared error grows with the error, and a
    tenth of it trains every regression that nnlab ships.
    """
    rate, usual = getattr(optimizer, "lr", None), getattr(type(optimizer), "lr", None)
    rates = [lr for lr in (rate, usual) if isinstance(lr, int | float)]
    return float(f"{min(rates) / 10:.2g}") if rates else None


def proposal(run: Outcome, command: str) -> str | None:
    """The line that proposes a check, from the `nnlab train ...` that was run; None for a healthy run.

    >>> proposal(Outcome(1, 1, 2, math.nan, math.nan, math.nan, 0.9), "nnlab train optimizer.lr=1e9")
    'the row diverged; find out why: nnlab check only=rates optimizer.lr=1e9'
    """
    reason = _why(run)
    if reason is None:
        return None
    why, rung = reason
    check = command.replace("nnlab train", f"nnlab check only={rung}", 1)
    if run.diverged and rung == "rates" and run.lower:
        return f"{why}; try optimizer.lr={run.lower:g}, or find out why: {check}"
    return f"{why}; find out why: {check}"


def _why(run: Outcome) -> tuple[str, str] | None:
    if 2 * run.diverged >= run.rows:
        rows = "the row" if run.rows == 1 else f"{run.diverged} of {run.rows} rows"
        return f"{rows} diverged", "rates"
    if run.epochs < EPOCHS_AT_LEAST:
        return None
    if run.flat and run.error > FAR_BELOW_CHANCE * run.chance:
        return "the training loss did not fall", "[start,subset]"
    if run.at_chance:
        return f"the validation {run.measure} is no better than chance", "data"
    return None


def proposal_of_several(runs: dict[str, Outcome]) -> str | None:
    """The same for several runs by their commands: one line for all, about the worst of them.

    >>> proposal_of_several({"nnlab train optimizer.lr=1e9": Outcome(1, 1, 2, *[math.nan] * 3, 0.9)})
    'the row diverged; find out why: nnlab check only=rates optimizer.lr=1e9'
    """
    bad = {command: run for command, run in runs.items() if _why(run)}
    if not bad:
        return None
    worst = max(bad, key=lambda command: (bad[command].diverged / bad[command].rows, _excess(bad[command])))
    line = proposal(bad[worst], worst)
    return f"{len(bad)} of {len(runs)} runs went badly, the worst: {line}" if len(runs) > 1 else line


def _excess(run: Outcome) -> float:
    """The error in units of chance's."""
    if not run.chance:
        return 0.0
    return float(np.nan_to_num(run.error / run.chance, nan=0.0, posinf=0.0))
