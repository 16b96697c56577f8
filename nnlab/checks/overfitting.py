"""Judges from the curves of several learning rates whether a job overfits a small subset and, if not, why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnlab.checks.verdict import Finding

RATE_FACTORS = (1.0, 1e-4, 1e-2, 0.1, 10.0)  # times the job's learning rate, a row each; the job's first
TENFOLD_ROW = RATE_FACTORS.index(10.0)
ABSOLUTE_RATES = (1e-3, 1e-5)  # for a job whose rate is so extreme that none of those works
NEAR_ZERO = 0.05  # of the chance loss: "about 0"
HALF_OF_CHANCE = 0.5  # of the chance loss: below it the subset is half learnt
FALLEN_RATIO = 0.999  # of the first epoch's loss: below it the loss has fallen
BOUNCE_RATIO, BOUNCING_SHARE = 1.1, 0.2  # a rise by a tenth, in a fifth of the epochs


@dataclass(frozen=True)
class OverfittingCurves:
    """The curves on the subset at RATE_FACTORS (and ABSOLUTE_RATES); row 0 has the job's rate."""

    loss: np.ndarray  # (rows, epochs), NaN after a row has diverged
    error: np.ndarray
    lr: np.ndarray  # (rows,)
    chance: float
    examples: int
    is_classification: bool

    @property
    def limit(self) -> float:
        return NEAR_ZERO * self.chance

    @property
    def half_chance(self) -> float:
        return HALF_OF_CHANCE * self.chance

    @property
    def final_losses(self) -> np.ndarray:
        """The last loss of every row, infinite if it diverged."""
        return np.nan_to_num(self.loss[:, -1], nan=np.inf)

    @property
    def memorized(self) -> np.ndarray:
        """(rows,) bool: which rows have memorized all examples in some epoch."""
        return self._memorized_by_epoch.any(1)

    @property
    def _memorized_by_epoch(self) -> np.ndarray:
        """(rows, epochs) bool: whether all examples are right, with a small loss."""
        small = self.loss <= self.limit
        return small & (self.error == 0) if self.is_classification else small

    @property
    def passed_test(self) -> bool:
        return bool(self.memorized[0] and self.final_losses[0] <= self.chance)

    @property
    def falls(self) -> np.ndarray:
        return self.final_losses < FALLEN_RATIO * self.loss[:, 0]

    @property
    def better_lower_rates(self) -> list[int]:
        """The rows of lower rates that end far better than the job's, the nearest rate first."""
        lower = sorted(np.flatnonzero(self.lr < self.lr[0]), key=lambda row: -self.lr[row])
        return [
            row for row in lower if self.memorized[row] or self.final_losses[row] < 0.5 * self.final_losses[0]
        ]

    @property
    def better_higher_rate(self) -> int | None:
        """The row of a higher rate that ends better than the job's and all lower ones: ten times it, or
        another."""
        higher_rates = self.lr > self.lr[0]
        limit = FALLEN_RATIO * self.final_losses[~higher_rates].min(initial=np.inf)
        row = TENFOLD_ROW
        if not self.final_losses[row] < limit:
            row = int(np.where(higher_rates, self.final_losses, np.inf).argmin())
        return row if higher_rates[row] and self.final_losses[row] < limit else None

    @property
    def bounces(self) -> bool:
        """Whether the loss at the job's rate rises by a tenth or more in a fifth of the later epochs."""
        later_losses = self.loss[0, self.loss.shape[1] // 2 :]
        rises = later_losses[1:] > BOUNCE_RATIO * later_losses[:-1]
        return len(later_losses) > 1 and bool(rises.mean() > BOUNCING_SHARE)

    def describe_rate(self, row: int) -> str:
        return f"at {self.lr[row]:.2g} it ends at {self.final_losses[row]:.2g}"

    def sentence(self, epoch: int, limit: str) -> str:
        """Loss and accuracy at the job's rate at the end of an epoch, with the limit of the loss."""
        epoch %= self.loss.shape[1]
        examples = f"{self.examples} example{'s' * (self.examples != 1)}"
        loss, accuracy = np.nan_to_num(self.loss[0, epoch], nan=np.inf), 1 - self.error[0, epoch]
        sentence = f"{examples}: loss {loss:.2g} (limit {limit})"
        if self.is_classification and np.isfinite(accuracy):
            sentence += f", {accuracy:.0%} right"
        return f"{sentence} after {epoch + 1} epochs"

    def passing_finding(self) -> Finding:
        """All examples are memorized: in the last epoch, or in an earlier one if the loss bounces."""
        epoch = int(np.flatnonzero(self._memorized_by_epoch[0])[-1])
        sentence = self.sentence(epoch, f"{self.limit:.2g}")
        if epoch + 1 < self.loss.shape[1]:
            sentence += f"; in the end {self.final_losses[0]:.2g}"
        return Finding("pass", float(self.loss[0, epoch]), self.limit, sentence)

    def falling_finding(self, row: int) -> Finding:
        """It is half learnt, and a higher rate learns it all: the job's rate will with more steps."""
        limit = f"{self.half_chance:.2g}, half of chance"
        sentence = f"{self.sentence(-1, limit)} and falling; {self.describe_rate(row)}"
        return Finding("pass", float(self.final_losses[0]), self.half_chance, sentence)

    def failing_finding(self, status: str, cause: str, explanation: str, advice: str) -> Finding:
        """It is not learnt: the loss is too large, or it is small but some answers are wrong."""
        sentence = self.sentence(-1, f"{self.limit:.2g}") + explanation
        if self.final_losses[0] > self.limit:
            return Finding(status, float(self.final_losses[0]), self.limit, sentence, advice, cause)
        wrong = round(self.error[0, -1] * self.examples)
        return Finding(status, wrong, 0, f"{sentence}; {wrong} wrong (limit 0)", advice, cause)


def judge(curves: OverfittingCurves, cause: Finding | None) -> Finding:
    """The finding; `cause` is what was wrong before the first step, if anything was."""
    if curves.passed_test:
        return curves.passing_finding()
    # A fault before the first step explains more than any curve.
    if cause:
        return curves.failing_finding("fail", cause.cause, f": {cause.found}", cause.advice)
    finite = np.isfinite(curves.final_losses)
    if finite.any() and not curves.falls.any() and not curves.memorized.any():
        explanation = f": even at a rate of {curves.lr[finite].min():.1g} the loss does not fall"
        advice = "the gradient is wrong or zero: nnlab check only=[gradients,start]"
        return curves.failing_finding("fail", "gradient", explanation, advice)
    if not finite[0] or curves.better_lower_rates:
        return _too_high(curves)
    if curves.better_higher_rate is not None:
        return _too_low(curves, curves.better_higher_rate)
    status = "warn" if curves.final_losses[0] < curves.half_chance else "fail"
    explanation = ": it falls, but no rate gets it there"
    advice = "look for contradicting labels; widen the network; or give it more updates: check.steps"
    return curves.failing_finding(status, "capacity", explanation, advice)


def _too_high(curves: OverfittingCurves) -> Finding:
    finite = np.isfinite(curves.final_losses)
    if not finite[0]:
        explanation = ": it diverges"
    elif curves.bounces:
        explanation = ": it bounces"
    else:
        explanation = ": it stays up"
    if not finite.any():
        explanation += f", and at {curves.lr.min():.1g} too"
    explanation = "; ".join(
        [explanation, *(curves.describe_rate(row) for row in curves.better_lower_rates[:1])]
    )
    return curves.failing_finding(
        "fail", "lr_high", explanation, "lower the learning rate: nnlab check only=rates"
    )


def _too_low(curves: OverfittingCurves, higher_row: int) -> Finding:
    half_learnt = bool(curves.final_losses[0] < curves.half_chance)
    tenfold_learns = bool(higher_row == TENFOLD_ROW and curves.memorized[higher_row])
    if tenfold_learns and half_learnt:  # it falls, but slowly: the rates rung says whether fast enough
        return curves.falling_finding(higher_row)
    status = "warn" if half_learnt or tenfold_learns else "fail"
    advice = "raise the learning rate: nnlab check only=rates"
    return curves.failing_finding(status, "lr_low", f": {curves.describe_rate(higher_row)}", advice)
