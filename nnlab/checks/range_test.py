"""Evaluates a learning rate range test: the rates that work, the edge above them, a suggestion.

The progress of a rate is its share of the loss drop that the best one achieves,

    s(lr) = (c - final(lr)) / (c - min final),

of the loss on the training examples without dropout. The reference loss c is the chance level, or the loss
at the start if it is lower: coming down from a bad start to chance is not learning. Medians are taken over
the seeds and then over three neighbouring rates: a single noisy curve would fool the test. Beyond the first
rate that learns, the first one that diverges or ends clearly above chance, with any seed, is the edge. Below
it, the rates around the best with s above 1/2 work.
"""

from __future__ import annotations

import numpy as np

from nnlab.checks.verdict import Finding

WORKING_PROGRESS = 0.5  # of the best rate's loss drop
LITTLE_PROGRESS = 0.1  # of the best rate's loss drop: a rate below the working range fails with less
EDGE_MARGIN = 3.0  # the edge moves in training, so a rate closer than this factor is a risk
GOOD_PROGRESS = 0.9  # of the best rate's loss drop: excuses a rate within EDGE_MARGIN of the edge
EDGE_LOSS_RATIO = 1.05  # of the chance loss: a rate that ends above it is over the edge
MIN_LOSS_DROP = 0.05  # of the reference loss: no rate learns anything if the best one drops by less


class RangeTest:
    """Losses by learning rate: `final_loss` (rates, seeds) after the steps, `start_loss` (seeds,) before.

    smoothed_loss       (rates,) medians of `final_loss` over seeds and neighbouring rates
    diverged_fraction   (rates,) of the seeds
    min_loss, max_loss  (rates,) over the seeds; infinite where a seed diverged
    reference_loss      c above: the median start loss or the chance loss, whichever is lower
    progress            (rates,) s above; `loss_drop` is its denominator
    edge                the lowest rate over the edge, infinite if there is none
    working_range       the lowest and highest rate that work, and
    suggestion          a rate in that range; both None if no rate `learns`
    """

    def __init__(self, lr: np.ndarray, final_loss: np.ndarray, start_loss: np.ndarray, chance_loss: float):
        self.lr = lr
        self.median_start_loss = float(np.median(start_loss))
        self.reference_loss = min(self.median_start_loss, chance_loss)
        self.reference_name = "chance" if self.reference_loss == chance_loss else "the start"
        losses = np.where(np.isfinite(final_loss), final_loss, np.inf)
        self.diverged_fraction = np.isinf(losses).mean(1)
        self.min_loss, self.max_loss = losses.min(1), losses.max(1)
        self.smoothed_loss = _median_of_neighbours(np.median(losses, axis=1))

        all_seeds_learn = (losses < self.reference_loss).all(1)
        learnt = np.logical_or.accumulate(all_seeds_learn)  # at this rate or at a lower one
        over_edge = (losses > EDGE_LOSS_RATIO * chance_loss).any(1) & learnt
        edge_index = len(lr)
        self.edge = np.inf
        if over_edge.any():
            edge_index = int(over_edge.argmax())
            self.edge = float(lr[edge_index])

        self.best_index = int(self.smoothed_loss[: max(edge_index, 1)].argmin())
        best_loss = float(self.smoothed_loss[self.best_index])
        # Where every rate diverges the loss drop is 0, rather than -inf, which JSON has no number for.
        self.loss_drop = self.reference_loss - best_loss if np.isfinite(best_loss) else 0.0
        self.progress = np.zeros(len(lr))
        if self.loss_drop > 0:
            self.progress = (self.reference_loss - self.smoothed_loss) / self.loss_drop
        self.learns = self.loss_drop > MIN_LOSS_DROP * self.reference_loss
        self.working_range = self.suggestion = None
        if self.learns:
            self.working_range = self._working_range(edge_index)
            self.suggestion = self._suggestion()

    def _working_range(self, edge_index: int) -> tuple[float, float]:
        """The lowest and the highest of the contiguous rates around the best that work."""
        first = last = self.best_index
        while first > 0 and self.progress[first - 1] >= WORKING_PROGRESS:
            first -= 1
        while last < edge_index - 1 and self.progress[last + 1] >= WORKING_PROGRESS:
            last += 1
        return float(self.lr[first]), float(self.lr[last])

    def _suggestion(self) -> float:
        """The best rate, or a lower one away from the edge; but none that is itself too small to work."""
        suggestion = min(self.lr[self.best_index], self.edge / EDGE_MARGIN)
        if suggestion < self.working_range[0]:
            learns_well = (self.progress >= GOOD_PROGRESS) & (self.lr >= self.working_range[0])
            suggestion = self.lr[learns_well.argmax()]
        return float(suggestion)

    def progress_at(self, rate: float) -> float:
        """The progress at the nearest of the tested rates."""
        return float(self.progress[np.abs(np.log(self.lr / rate)).argmin()])


def _median_of_neighbours(values: np.ndarray) -> np.ndarray:
    """The median of each value and its two neighbours."""
    padded = np.concatenate([values[:1], values, values[-1:]])
    return np.median([padded[:-2], padded[1:-1], padded[2:]], axis=0)


def judge(test: RangeTest, rate: float, step_ratio: float) -> Finding:
    """The finding for the job's rate; the job trains for `step_ratio` times the steps of the test."""
    if not test.learns:
        return _nothing_learnt(test)
    lowest_rate, highest_rate = test.working_range
    sentence = f"{rate:.2g}; {lowest_rate:.1g} to {highest_rate:.1g} work"
    if np.isfinite(test.edge):
        sentence += f", over the edge from {test.edge:.2g}"
    reason = f"the lowest loss, {test.smoothed_loss[test.best_index]:.3g}"
    margin = f"1/{EDGE_MARGIN:g} of the edge, {test.edge:.2g}"
    if test.suggestion > test.edge / EDGE_MARGIN:
        reason = f"it learns well; {margin}, is too small"
    elif test.suggestion < test.lr[test.best_index]:
        reason = margin
    advice = f"optimizer.lr={test.suggestion:.2g} ({reason})"

    progress = test.progress_at(rate)
    if rate >= test.edge or (rate > highest_rate and progress < WORKING_PROGRESS):
        return Finding(
            "fail", rate, min(highest_rate, test.edge), f"{sentence}: too large", advice, "lr_high"
        )
    if rate > test.edge / EDGE_MARGIN and progress < GOOD_PROGRESS:
        return Finding("warn", rate, test.edge / EDGE_MARGIN, f"{sentence}: near the edge", advice, "lr_high")
    # In n times the steps a rate makes about the progress that n times the rate makes here.
    later_progress = test.progress_at(min(rate * step_ratio, test.lr[test.best_index]))
    if rate < lowest_rate and later_progress < WORKING_PROGRESS:
        status = "fail" if later_progress < LITTLE_PROGRESS else "warn"
        return Finding(status, rate, lowest_rate, f"{sentence}: too small", advice, "lr_low", at_least=True)
    suggested = f"suggestion {test.suggestion:.2g}: {reason}"
    if rate < lowest_rate:
        suggested += f"; this job takes {step_ratio:.3g} times the steps of the test"
    limit = highest_rate if rate <= highest_rate else test.edge
    return Finding("pass", rate, limit, f"{sentence} ({suggested})")


def _nothing_learnt(test: RangeTest) -> Finding:
    loss_drop = test.loss_drop / max(test.reference_loss, 1e-30)
    sentence = (
        f"no rate from {test.lr[0]:.0e} to {test.lr[-1]:.0e} gets more than {max(loss_drop, 0):.1%} below "
        f"the {test.reference_loss:.3g} of {test.reference_name} (at least {MIN_LOSS_DROP:.0%})"
    )
    advice = "it is not the rate: nnlab check only=[start,gradients,saturation,data]"
    return Finding("fail", loss_drop, MIN_LOSS_DROP, sentence, advice, "nothing_learnt", at_least=True)
