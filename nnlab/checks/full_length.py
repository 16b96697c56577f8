"""The job at its full length: does a lower rate do far better in the end?

A few hundred steps do not show everything. With dropout, momentum or small batches the loss may fall fast
and then oscillate for the rest of the training, while at a lower rate it settles. So the job is trained at
its rate and some lower ones, for as many of its epochs as the budget allows, and the best epochs compared on
the validation examples. The lower rate is chosen on some seeds and judged on others: of several that are
alike, one always looks best on the seeds that it was chosen by.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nnlab.checks.subject import Sample, Subject
from nnlab.checks.verdict import Finding
from nnlab.runtime.threads import computing

RATE_FACTORS = (1.0, 0.4, 0.16, 0.06)  # of the job's rate; each about a step of those that people try
SEEDS_WANTED, SEEDS_AT_LEAST = 6, 4  # half choose the rate, half judge it
SHARE_OF_WORK = 0.5  # of the budget's work
STEPS_AT_MOST, STEPS_AT_LEAST = 2000, 200  # an epoch of small batches costs time beside its work
FAR_BETTER = 1.5  # times the error, and times the loss, of the lower rate
STANDARD_ERRORS = 2.0  # of the difference of two shares of wrong answers


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
        """How many seeds choose; the others judge."""
        return self.error.shape[1] // 2

    @property
    def chosen(self) -> int:
        """The lower rate that is best on the seeds that choose."""
        return 1 + int(self.error[1:, : self.half].mean(1).argmin())

    @property
    def judged(self) -> tuple[float, float]:
        """The error at the job's rate and at the chosen one, on the seeds kept aside."""
        of_job, of_chosen = self.error[[0, self.chosen], self.half :].mean(1)
        return float(of_job), float(of_chosen)

    @property
    def far(self) -> bool:
        """Is the lower rate better on every seed kept aside, and by much, in error and in loss?"""
        aside = slice(self.half, None)
        of_job, of_chosen = self.error[0, aside], self.error[self.chosen, aside]
        doubt = 0.0  # of the difference, where errors are shares of so few examples
        if self.classes:
            p = np.clip(np.array(self.judged), 0, 1)
            doubt = STANDARD_ERRORS * float(np.sqrt((p * (1 - p)).sum() / self.examples))
        limit = max(FAR_BETTER * of_chosen.mean(), of_chosen.mean() + doubt)
        loss_of_job, loss_of_chosen = self.loss[0, aside].mean(), self.loss[self.chosen, aside].mean()
        by_much = of_job.mean() > limit and loss_of_job > FAR_BETTER * loss_of_chosen
        return bool((of_job > of_chosen).all() and by_much)


def look(subject: Subject) -> Longer | None:
    """Train the job at its rate and lower ones; None where the budget is too small to say anything."""
    size, batch = subject.graph.parameter_count, subject.row.batch
    wanted = min(STEPS_AT_MOST, subject.row.steps * subject.experiment.epochs)

    def affordable(seeds: int) -> int:
        return int(SHARE_OF_WORK * subject.budget.work / (size * batch * len(RATE_FACTORS) * seeds))

    # Fewer seeds before fewer steps: what goes wrong late does not show in a short run.
    seeds = SEEDS_WANTED if affordable(SEEDS_WANTED) >= wanted else SEEDS_AT_LEAST
    steps = min(wanted, affordable(seeds))
    if steps < min(STEPS_AT_LEAST, wanted):
        return None
    with computing():
        sample = subject.sample(batch * steps)
    return _trained(sample, float(subject.experiment.optimizer.lr), seeds, steps)


def _trained(sample: Sample, rate: float, seeds: int, steps: int) -> Longer:
    lr = rate * np.array(RATE_FACTORS)
    steps_per_epoch = sample.rows()[0].steps
    epochs = min(sample.experiment.epochs, max(1, round(steps / steps_per_epoch)))
    optimizer = sample.experiment.optimizer
    variants = [{"optimizer": replace(optimizer, lr=float(rate)), "epochs": epochs} for rate in lr]
    rows = sample.rows(seeds, variants)
    loss, error = np.full((2, len(rows)), np.inf)
    for record in sample.records(rows):
        improved = record.improved
        loss[record.rows[improved]] = record.metrics["val_loss"][improved]
        error[record.rows[improved]] = record.metrics["val_error"][improved]
        for row, how in record.ended.items():
            if how == "diverged":  # whatever it had before
                loss[row] = error[row] = np.inf
    return Longer(
        lr, loss.reshape(len(lr), seeds), error.reshape(len(lr), seeds), epochs * steps_per_epoch,
        len(sample.fold.validation), bool(sample.dataset.classes),
    )  # fmt: skip


def warning(longer: Longer, works: str) -> Finding:
    """That a lower rate is far better; `works` is the sentence of the short test."""
    of_job, of_chosen = longer.judged
    lower = longer.lr[longer.chosen]
    words = "{:.1%} wrong" if longer.classes else "an RMSE of {:.3g}"
    aside = longer.error.shape[1] - longer.half
    sentence = (
        f"{works}, but after {longer.steps} steps {words.format(of_job)} at {longer.lr[0]:.2g} and "
        f"{words.format(of_chosen)} at {lower:.2g} ({aside} seeds kept aside): too large for this job"
    )
    advice = f"optimizer.lr={lower:.2g} (far better at the job's own length)"
    return Finding("warn", of_job, FAR_BETTER * of_chosen, sentence, advice, "lr_high")
