"""Does the job overfit a small subset, and if not, why: what the curves of several learning rates say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnlab.checks.verdict import Finding

RATE_FACTORS = (1.0, 1e-4, 1e-2, 0.1, 10.0)  # of the job's learning rate, a row each; the job's first
TENFOLD_ROW = RATE_FACTORS.index(10.0)
ABSOLUTE_RATES = (1e-3, 1e-5)  # where the job's rate is so extreme that none of those is of any use
NEAR_ZERO = 0.05  # of chance's loss: "about 0"
HALF_OF_CHANCE = 0.5  # of chance's loss: from here on it is half learnt
FALLEN_RATIO = 0.999  # of the first epoch's loss: at some small rate it must have fallen at all
BOUNCE_RATIO, BOUNCING_SHARE = 1.1, 0.2  # a rise of a tenth, in a fifth of the epochs


@dataclass(frozen=True)
class Learning:
    """The curves of RATE_FACTORS (and ABSOLUTE_RATES) on the small subset; the first is the job's."""

    loss: np.ndarray  # (rows, epochs), NaN after a row has diverged
    error: np.ndarray
    lr: np.ndarray  # (rows,)
    chance: float
    examples: int
    classes: bool

    @property
    def limit(self) -> float:
        return NEAR_ZERO * self.chance

    @property
    def half(self) -> float:
        return HALF_OF_CHANCE * self.chance

    @property
    def ends(self) -> np.ndarray:
        """The last loss of every row, infinite if it diverged."""
        return np.nan_to_num(self.loss[:, -1], nan=np.inf)

    @property
    def learnt(self) -> np.ndarray:
        """Which rows have learnt all examples by heart in some epoch."""
        return self._by_heart.any(1)

    @property
    def _by_heart(self) -> np.ndarray:
        """(rows, epochs)"""
        small = self.loss <= self.limit
        return small & (self.error == 0) if self.classes else small

    @property
    def done(self) -> bool:
        return bool(self.learnt[0] and self.ends[0] <= self.chance)

    @property
    def falls(self) -> np.ndarray:
        return self.ends < FALLEN_RATIO * self.loss[:, 0]

    @property
    def better_lower_rates(self) -> list[int]:
        """Lower rates that end far better than that of the job, the nearest first."""
        lower = sorted(np.flatnonzero(self.lr < self.lr[0]), key=lambda k: -self.lr[k])
        return [k for k in lower if self.learnt[k] or self.ends[k] < 0.5 * self.ends[0]]

    @property
    def better_higher_rate(self) -> int | None:
        """A higher rate that ends better than the job's and all lower ones: ten times it, or another."""
        higher = self.lr > self.lr[0]
        limit = FALLEN_RATIO * self.ends[~higher].min(initial=np.inf)
        k = TENFOLD_ROW
        if not self.ends[k] < limit:
            k = int(np.where(higher, self.ends, np.inf).argmin())
        return k if higher[k] and self.ends[k] < limit else None

    @property
    def bounces(self) -> bool:
        """Does the loss at the job's rate rise by a tenth or more in a fifth of the later epochs?"""
        later = self.loss[0, self.loss.shape[1] // 2 :]
        rises = later[1:] > BOUNCE_RATIO * later[:-1]
        return len(later) > 1 and bool(rises.mean() > BOUNCING_SHARE)

    def at(self, k: int) -> str:
        return f"at {self.lr[k]:.2g} it ends at {self.ends[k]:.2g}"

    def sentence(self, epoch: int, limit: str) -> str:
        """The row of the job's rate at the end of an epoch, with the limit of the loss."""
        epoch %= self.loss.shape[1]
        examples = f"{self.examples} example{'s' * (self.examples != 1)}"
        loss, right = np.nan_to_num(self.loss[0, epoch], nan=np.inf), 1 - self.error[0, epoch]
        sentence = f"{examples}: loss {loss:.2g} (limit {limit})"
        if self.classes and np.isfinite(right):
            sentence += f", {right:.0%} right"
        return f"{sentence} after {epoch + 1} epochs"

    def passed(self) -> Finding:
        """All is learnt by heart: in the last epoch, or in an earlier one where the loss bounces."""
        epoch = int(np.flatnonzero(self._by_heart[0])[-1])
        sentence = self.sentence(epoch, f"{self.limit:.2g}")
        if epoch + 1 < self.loss.shape[1]:
            sentence += f"; in the end {self.ends[0]:.2g}"
        return Finding("pass", float(self.loss[0, epoch]), self.limit, sentence)

    def falling(self, k: int) -> Finding:
        """It is half learnt, and a higher rate learns it: in time so will that of the job."""
        limit = f"{self.half:.2g}, half of chance"
        sentence = f"{self.sentence(-1, limit)} and falling; {self.at(k)}"
        return Finding("pass", float(self.ends[0]), self.half, sentence)

    def failed(self, status: str, cause: str, why: str, advice: str) -> Finding:
        """It is not learnt: the loss is too large, or it is small and some answers are wrong."""
        sentence = self.sentence(-1, f"{self.limit:.2g}") + why
        if self.ends[0] > self.limit:
            return Finding(status, float(self.ends[0]), self.limit, sentence, advice, cause)
        wrong = round(self.error[0, -1] * self.examples)
        return Finding(status, wrong, 0, f"{sentence}; {wrong} wrong (limit 0)", advice, cause)


def judge(learning: Learning, cause: Finding | None) -> Finding:
    """The finding; `cause` is what was wrong before the first step, if anything was."""
    if learning.done:
        return learning.passed()
    # What was wrong before the first step explains more than any curve.
    if cause:
        return learning.failed("fail", cause.cause, f": {cause.found}", cause.advice)
    finite = np.isfinite(learning.ends)
    if finite.any() and not learning.falls.any() and not learning.learnt.any():
        why = f": even at a rate of {learning.lr[finite].min():.1g} the loss does not fall"
        advice = "the gradient is wrong or zero: nnlab check only=[gradients,start]"
        return learning.failed("fail", "gradient", why, advice)
    if not finite[0] or learning.better_lower_rates:
        return _too_high(learning)
    if learning.better_higher_rate is not None:
        return _too_low(learning, learning.better_higher_rate)
    status = "warn" if learning.ends[0] < learning.half else "fail"
    why = ": it falls, but no rate gets it there"
    advice = "look for contradicting labels; widen the network; or give it more updates: check.steps"
    return learning.failed(status, "capacity", why, advice)


def _too_high(learning: Learning) -> Finding:
    finite = np.isfinite(learning.ends)
    if not finite[0]:
        why = ": it diverges"
    elif learning.bounces:
        why = ": it bounces"
    else:
        why = ": it stays up"
    if not finite.any():
        why += f", and at {learning.lr.min():.1g} too"
    why = "; ".join([why, *(learning.at(k) for k in learning.better_lower_rates[:1])])
    return learning.failed("fail", "lr_high", why, "lower the learning rate: nnlab check only=rates")


def _too_low(learning: Learning, higher: int) -> Finding:
    half_learnt = bool(learning.ends[0] < learning.half)
    tenfold_learns = bool(higher == TENFOLD_ROW and learning.learnt[higher])
    if tenfold_learns and half_learnt:  # it falls, later: the rates say whether in time
        return learning.falling(higher)
    status = "warn" if half_learnt or tenfold_learns else "fail"
    advice = "raise the learning rate: nnlab check only=rates"
    return learning.failed(status, "lr_low", f": {learning.at(higher)}", advice)
