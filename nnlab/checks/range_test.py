"""What a learning rate range test shows: the rates that work, the edge above them, a suggestion.

How far a rate gets is its share of the fall that the best one achieves,

    s(lr) = (c - end(lr)) / (c - least end),

of the loss on the training examples without dropout; c is the chance level, or the loss at the start if it
is lower: to come down from a bad start to chance is not learning. Medians are taken over the seeds and then
over three neighbouring rates: a single noisy curve would fool the test. Beyond the first rate that learns,
the first one that diverges or ends clearly above chance, with any seed, is the edge. Below it, the rates
around the best with s above 1/2 work.
"""

from __future__ import annotations

import numpy as np

from nnlab.checks.verdict import Finding

WORKING_SHARE = 0.5  # of the best rate's fall
LITTLE_SHARE = 0.1  # of it: a rate that is too small fails
EDGE_MARGIN = 3.0  # the edge moves in training, so a rate this near to it should at least do
WELL_SHARE = 0.9  # of the best rate's fall
EDGE_LOSS_RATIO = 1.05  # to chance's loss: a rate that ends above is over the edge
LEARNING_FALL = 0.05  # of chance, or of the start: no rate learns anything if the best falls by less


class RangeTest:
    """The losses by learning rate: `end` (rates, seeds) after the steps, `start` (seeds,) before them."""

    def __init__(self, lr: np.ndarray, end: np.ndarray, start: np.ndarray, by_chance: float):
        self.lr = lr
        self.start = float(np.median(start))
        self.base = min(self.start, by_chance)
        losses = np.where(np.isfinite(end), end, np.inf)
        self.diverged = np.isinf(losses).mean(1)
        self.low, self.high = losses.min(1), losses.max(1)
        self.end = _smooth(np.median(losses, axis=1))

        learnt = np.cumsum((losses < self.base).all(1)) > 0  # at this rate or a lower one, by all seeds
        over = (losses > EDGE_LOSS_RATIO * by_chance).any(1) & learnt
        below_edge = len(lr)  # how many rates are
        self.edge = np.inf
        if over.any():
            below_edge = int(over.argmax())
            self.edge = float(lr[below_edge])

        self.best = int(self.end[: max(below_edge, 1)].argmin())
        self.fall = self.base - float(self.end[self.best])
        self.share = np.zeros(len(lr))
        if self.fall > 0:
            self.share = (self.base - self.end) / self.fall
        self.learns = self.fall > LEARNING_FALL * self.base
        self.works = self.suggestion = None
        if self.learns:
            self.works = self._around_best(below_edge)
            self.suggestion = float(min(lr[self.best], self.edge / EDGE_MARGIN))

    def _around_best(self, below_edge: int) -> tuple[float, float]:
        """The lowest and the highest of the rates around the best that work."""
        first = last = self.best
        while first > 0 and self.share[first - 1] >= WORKING_SHARE:
            first -= 1
        while last < below_edge - 1 and self.share[last + 1] >= WORKING_SHARE:
            last += 1
        return float(self.lr[first]), float(self.lr[last])

    def share_at(self, rate: float) -> float:
        """The share of the best fall at the nearest of the rates."""
        return float(self.share[np.abs(np.log(self.lr / rate)).argmin()])


def _smooth(values: np.ndarray) -> np.ndarray:
    """The median of each and its two neighbours."""
    padded = np.concatenate([values[:1], values, values[-1:]])
    return np.median([padded[:-2], padded[1:-1], padded[2:]], axis=0)


def judge(test: RangeTest, rate: float, longer: float) -> Finding:
    """Where the job's rate lies; its training has `longer` times the steps of the test."""
    if not test.learns:
        return _nothing_learnt(test)
    low, high = test.works
    sentence = f"{rate:.2g}; {low:.1g} to {high:.1g} work"
    if np.isfinite(test.edge):
        sentence += f", over the edge from {test.edge:.2g}"
    why = f"the lowest loss, {test.end[test.best]:.3g}"
    if test.suggestion < test.lr[test.best]:
        why = f"a third of the edge, {test.edge:.2g}"
    advice = f"optimizer.lr={test.suggestion:.2g} ({why})"

    share = test.share_at(rate)
    if rate >= test.edge or (rate > high and share < WORKING_SHARE):
        return Finding("fail", rate, min(high, test.edge), f"{sentence}: too large", advice, "lr_high")
    if rate > test.edge / EDGE_MARGIN and share < WELL_SHARE:
        return Finding("warn", rate, test.edge / EDGE_MARGIN, f"{sentence}: near the edge", advice, "lr_high")
    # In n times the steps a rate gets about as far as n times the rate gets here.
    share_in_time = test.share_at(min(rate * longer, test.lr[test.best]))
    if rate < low and share_in_time < WORKING_SHARE:
        status = "fail" if share_in_time < LITTLE_SHARE else "warn"
        return Finding(status, rate, low, f"{sentence}: too small", advice, "lr_low", at_least=True)
    suggested = f"suggestion {test.suggestion:.2g}: {why}"
    if rate < low:
        suggested += f"; this job takes {longer:.3g} times the steps of the test"
    limit = high if rate <= high else test.edge
    return Finding("pass", rate, limit, f"{sentence} ({suggested})")


def _nothing_learnt(test: RangeTest) -> Finding:
    fall = test.fall / max(test.base, 1e-30)
    sentence = (
        f"no rate from {test.lr[0]:.0e} to {test.lr[-1]:.0e} gets more than {max(fall, 0):.1%} below the "
        f"{test.base:.3g} of chance (at least {LEARNING_FALL:.0%})"
    )
    advice = "it is not the rate: nnlab check only=[start,gradients,saturation,data]"
    return Finding("fail", fall, LEARNING_FALL, sentence, advice, "nothing_learnt", at_least=True)
