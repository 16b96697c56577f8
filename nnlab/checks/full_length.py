"""The job at its own length: does a lower rate do far better in the end?

A few hundred steps do not show everything. With dropout, momentum or small batches a rate may come down fast
and then swing about for the rest of the training, while a lower one settles. So the job, as it stands, is
trained at its rate and some lower ones, for as many of its epochs as the budget allows, and what its best
epochs have on the validation examples is compared. The lower rate is chosen on some seeds and judged on
others: of several that are alike, one always looks best on the seeds that it was chosen by.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nnlab.checks.subject import Sample, Subject
from nnlab.checks.verdict import Finding
from nnlab.runtime.threads import computing

FACTORS = (1.0, 0.4, 0.16, 0.06)  # of the job's rate; each about a step of those that people try
SEEDS, FEWEST = 6, 4  # half choose the rate, half judge it
SHARE = 0.5  # of the budget's work
MOST, LEAST = 2000, 200  # steps: an epoch of small batches costs time beside its work
FAR = 1.5  # times the error, and times the loss, of the lower rate
SURE = 2.0  # standard errors of the difference of two shares


@dataclass(frozen=True)
class Longer:
    """What the rates' best epochs have on the validation examples: (rates, seeds) each."""

    lr: np.ndarray  # (rates,), the job's own first
    loss: np.ndarray
    error: np.ndarray  # share of wrong classes, or RMSE
    steps: int
    examples: int
    classes: bool

    @property
    def half(self) -> int:
        """So many seeds choose, the others judge."""
        return self.error.shape[1] // 2

    @property
    def chosen(self) -> int:
        """The lower rate that is best on the seeds that choose."""
        return 1 + int(self.error[1:, : self.half].mean(1).argmin())

    @property
    def judged(self) -> tuple[float, float]:
        """The error at the job's rate and at the chosen one, on the seeds kept aside."""
        own, there = self.error[[0, self.chosen], self.half :].mean(1)
        return float(own), float(there)

    @property
    def far(self) -> bool:
        """Is the lower rate better on every seed kept aside, and by much, in error and in loss?"""
        aside = slice(self.half, None)
        own, there = (self.error[k, aside] for k in (0, self.chosen))
        losses = [self.loss[k, aside].mean() for k in (0, self.chosen)]
        doubt = 0.0
        if self.classes:
            p = np.clip(np.array(self.judged), 0, 1)
            doubt = SURE * float(np.sqrt((p * (1 - p)).sum() / self.examples))
        by_much = own.mean() > max(FAR * there.mean(), there.mean() + doubt) and losses[0] > FAR * losses[1]
        return bool((own > there).all() and by_much)


def look(subject: Subject) -> Longer | None:
    """Train the job at its rate and lower ones; None where the budget is too small to say anything."""
    size, batch = subject.graph.parameter_count, subject.row.batch
    wanted = min(MOST, subject.row.steps * subject.experiment.epochs)

    def affordable(seeds: int) -> int:
        return int(SHARE * subject.budget.work / (size * batch * len(FACTORS) * seeds))

    seeds = SEEDS if affordable(SEEDS) >= wanted else FEWEST
    steps = min(wanted, affordable(seeds))
    if steps < min(LEAST, wanted):
        return None
    with computing():
        sample = subject.sample(batch * steps)
    return _trained(sample, float(subject.experiment.optimizer.lr), seeds, steps)


def _trained(sample: Sample, own: float, seeds: int, steps: int) -> Longer:
    each, lr = sample.rows()[0].steps, own * np.array(FACTORS)
    epochs = min(sample.experiment.epochs, max(1, round(steps / each)))
    optimizer = sample.experiment.optimizer
    variants = [{"optimizer": replace(optimizer, lr=float(rate)), "epochs": epochs} for rate in lr]
    rows = sample.rows(seeds, variants)
    found = {name: np.full(len(rows), np.inf) for name in ("val_loss", "val_error")}
    for record in sample.records(rows):
        better = record.improved
        for name, values in found.items():
            values[record.rows[better]] = record.metrics[name][better]
        for row in (row for row, how in record.ended.items() if how == "diverged"):
            found["val_loss"][row] = found["val_error"][row] = np.inf
    loss, error = (values.reshape(len(lr), seeds) for values in found.values())
    return Longer(lr, loss, error, epochs * each, len(sample.fold.validation), bool(sample.dataset.classes))


def warning(longer: Longer, works: str) -> Finding:
    """That a lower rate is far better; `works` is what the short test said."""
    (own, there), lower = longer.judged, longer.lr[longer.chosen]
    words = "{:.1%} wrong" if longer.classes else "an RMSE of {:.3g}"
    aside = longer.error.shape[1] - longer.half
    found = (
        f"{works}, but after {longer.steps} steps {words.format(own)} at {longer.lr[0]:.2g} and "
        f"{words.format(there)} at {lower:.2g} ({aside} seeds kept aside): too large for this job"
    )
    advice = f"optimizer.lr={lower:.2g} (far better at the job's own length)"
    return Finding("warn", own, FAR * there, found, advice, "lr_high")
