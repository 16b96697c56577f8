"""Proposes a check, in one line, after a training run that went badly."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nnlab.checks.chance_level import Chance
from nnlab.means import mean_of_finite

MIN_EPOCHS = 3  # nothing is proposed after fewer
FLAT_LOSS_RATIO = 0.99  # of the first epoch's training loss
FAR_BELOW_CHANCE = 0.5  # of the chance error: a flat loss is fine if the error is below that
AT_CHANCE = 0.98  # of the chance error, or loss
RISEN_LOSS_RATIO = 1.05  # of the first epoch's training loss, in the second
FAR_ABOVE_CHANCE = 2.0  # of the chance loss: steps that were too large have thrown the weights far off


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run, as means over the rows that did not diverge (NaN if all did)."""

    rows: int
    diverged: int
    epochs: int
    first_loss: float  # training loss of the first epoch
    last_loss: float  # training loss of the last epoch
    error: float  # validation error of the best epoch; the training error if nothing is held back
    chance: float  # the error of the best constant prediction
    margin: float = 0.0  # by how much luck may beat that
    val_loss: float = math.nan  # the smallest of all epochs
    chance_loss: float = math.nan  # the loss of the best constant prediction; NaN in regression
    measure: str = "error"  # or RMSE
    lower_rate: float | None = None  # a learning rate to try if this one is too large
    second_loss: float = math.nan  # training loss of the second epoch

    @property
    def at_chance(self) -> bool:
        """Whether neither the error of the best epoch nor the loss of any is better than chance.

        If one class is rare, or has a large weight, the error may stay at chance, or above it, while the
        probabilities improve; and the epoch that another metric chose may have too sure ones.
        """
        error = self.error >= min(AT_CHANCE * self.chance, self.chance - self.margin)
        return error and not self.val_loss < AT_CHANCE * self.chance_loss

    @property
    def flat(self) -> bool:
        """Whether the training loss did not fall. If it is below chance, the first epoch has learnt
        everything."""
        return (
            self.last_loss >= FLAT_LOSS_RATIO * self.first_loss
            and not self.last_loss < AT_CHANCE * self.chance_loss
        )

    @property
    def early_loss(self) -> float:
        """The larger training loss of the first two epochs."""
        return float(np.fmax(self.first_loss, self.second_loss))

    @property
    def thrown_off(self) -> bool:
        """Whether the training loss rose in the first two epochs, or was far above chance there; and has not
        come down below chance since."""
        rose = self.second_loss > RISEN_LOSS_RATIO * self.first_loss
        came_down = self.last_loss < AT_CHANCE * self.chance_loss
        return (rose or self.early_loss > FAR_ABOVE_CHANCE * self.chance_loss) and not came_down


class OutcomeRecorder:
    """Collects the records of a run for its `Outcome`."""

    def __init__(self, rows: int):
        self.first_loss, self.second_loss, self.last_loss = np.full((3, rows), np.nan)  # training losses
        self.error = np.full(rows, np.nan)  # of the best epoch of each row
        self.loss = np.full(rows, np.nan)  # the smallest of all epochs
        self.diverged = np.zeros(rows, bool)
        self.epochs = 0

    def record(self, record) -> None:
        """Add a `Record`."""
        rows, loss, best = record.rows, record.metrics["train_loss"], record.improved
        self.epochs = max(self.epochs, record.epoch)
        self.first_loss[rows] = np.where(np.isnan(self.first_loss[rows]), loss, self.first_loss[rows])
        if record.epoch == 2:
            self.second_loss[rows] = loss
        self.last_loss[rows] = loss
        kind = "val" if "val_loss" in record.metrics else "train"
        self.error[rows[best]] = record.metrics[f"{kind}_error"][best]
        self.loss[rows] = np.fmin(self.loss[rows], record.metrics[f"{kind}_loss"])
        self.diverged[[row for row, how in record.ended.items() if how == "diverged"]] = True

    def outcome(self, chance: Chance, lower_rate: float | None = None) -> Outcome:
        # The losses of rows that diverged would dominate the means; these rows are counted separately.
        finite = ~self.diverged
        return Outcome(
            rows=len(self.first_loss),
            diverged=int(self.diverged.sum()),
            epochs=self.epochs,
            first_loss=mean_of_finite(self.first_loss[finite]),
            last_loss=mean_of_finite(self.last_loss[finite]),
            error=mean_of_finite(self.error[finite]),
            chance=chance.error,
            margin=chance.margin,
            val_loss=mean_of_finite(self.loss[finite]),
            chance_loss=chance.loss,
            measure=chance.measure,
            lower_rate=lower_rate,
            second_loss=mean_of_finite(self.second_loss[finite]),
        )


def suggest_lower_rate(optimizer) -> float | None:
    """A rate that rarely diverges: a tenth of this one, or of the default if that is lower; None for an
    optimiser without a learning rate.

    The default of SGD is for classification: the gradient of a squared error grows with the error, and a
    tenth of that rate trains every regression that nnlab ships.
    """
    rate, default_rate = getattr(optimizer, "lr", None), getattr(type(optimizer), "lr", None)
    rates = [lr for lr in (rate, default_rate) if isinstance(lr, int | float)]
    return float(f"{min(rates) / 10:.2g}") if rates else None


def propose_check(run: Outcome, command: str) -> str | None:
    """The line that proposes a check, from the `nnlab train ...` that was run; None for a healthy run.

    >>> propose_check(Outcome(1, 1, 2, math.nan, math.nan, math.nan, 0.9), "nnlab train optimizer.lr=1e9")
    'the row diverged; find out why: nnlab check only=rates optimizer.lr=1e9'
    """
    problem = _problem(run)
    if problem is None:
        return None
    symptom, rung = problem
    check = command.replace("nnlab train", f"nnlab check only={rung}", 1)
    if rung == "rates" and run.lower_rate:
        return f"{symptom}; try optimizer.lr={run.lower_rate:g}, or find out why: {check}"
    return f"{symptom}; find out why: {check}"


def _problem(run: Outcome) -> tuple[str, str] | None:
    """What is wrong with a run, and the rung that may explain it; None for a healthy run."""
    if 2 * run.diverged >= run.rows:
        rows = "the row" if run.rows == 1 else f"{run.diverged} of {run.rows} rows"
        return f"{rows} diverged", "rates"
    if run.epochs < MIN_EPOCHS:
        return None
    early = f"was {run.early_loss:.3g} at first"
    if run.flat and run.error > FAR_BELOW_CHANCE * run.chance:
        symptom = "the training loss did not fall"
        return (f"{symptom}, and {early}", "rates") if run.thrown_off else (symptom, "[start,subset]")
    if run.at_chance:
        symptom = f"the validation {run.measure} is no better than chance"
        return (f"{symptom}, and the training loss {early}", "rates") if run.thrown_off else (symptom, "data")
    return None


def propose_check_for_runs(runs: dict[str, Outcome]) -> str | None:
    """The same for several runs, command -> outcome: one line for all, about the worst of them.

    >>> propose_check_for_runs({"nnlab train optimizer.lr=1e9": Outcome(1, 1, 2, *[math.nan] * 3, 0.9)})
    'the row diverged; find out why: nnlab check only=rates optimizer.lr=1e9'
    """
    failed_runs = {command: run for command, run in runs.items() if _problem(run)}
    if not failed_runs:
        return None
    worst = max(
        failed_runs,
        key=lambda command: (
            failed_runs[command].diverged / failed_runs[command].rows,
            _excess(failed_runs[command]),
        ),
    )
    line = propose_check(failed_runs[worst], worst)
    return f"{len(failed_runs)} of {len(runs)} runs went badly, the worst: {line}" if len(runs) > 1 else line


def _excess(run: Outcome) -> float:
    """The error as a multiple of the chance error."""
    if not run.chance:
        return 0.0
    return float(np.nan_to_num(run.error / run.chance, nan=0.0, posinf=0.0))
