"""Trains the job at full length: does a lower learning rate do far better in the end?

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

RATE_FACTORS = (1.0, 0.4, 0.16, 0.06)  # times the job's rate; about the steps that people try
PREFERRED_SEEDS, MIN_SEEDS = 6, 4  # half choose the rate, half evaluate it
WORK_SHARE = 0.5  # of the budget's work
MAX_STEPS, MIN_STEPS = 2000, 200  # many small steps cost time besides their work
FAR_BETTER = 1.5  # ratio of the errors, and of the losses, from which on the lower rate is far better
STANDARD_ERRORS = 2.0  # of the difference of two error rates


@dataclass(frozen=True)
class FullLengthTest:
    """Validation loss and error at each rate's best epoch, (rates, seeds) each."""

    lr: np.ndarray  # (rates,), the job's own first
    loss: np.ndarray
    error: np.ndarray  # error rate, or RMSE
    steps: int
    examples: int
    classes: bool

    @property
    def choosing_seeds(self) -> int:
        """How many seeds choose the lower rate; the others evaluate it."""
        return self.error.shape[1] // 2

    @property
    def chosen_rate(self) -> int:
        """The index of the lower rate that is best on the choosing seeds."""
        return 1 + int(self.error[1:, : self.choosing_seeds].mean(1).argmin())

    @property
    def judged_errors(self) -> tuple[float, float]:
        """The errors at the job's rate and at the chosen one, on the judging seeds."""
        job_error, chosen_error = self.error[[0, self.chosen_rate], self.choosing_seeds :].mean(1)
        return float(job_error), float(chosen_error)

    @property
    def clearly_better(self) -> bool:
        """Whether the lower rate is better on every judging seed, and by much, in error and in loss."""
        judging_seeds = slice(self.choosing_seeds, None)
        job_error, chosen_error = self.error[0, judging_seeds], self.error[self.chosen_rate, judging_seeds]
        margin = 0.0  # for the sampling error of error rates
        if self.classes:
            p = np.clip(np.array(self.judged_errors), 0, 1)
            margin = STANDARD_ERRORS * float(np.sqrt((p * (1 - p)).sum() / self.examples))
        limit = max(FAR_BETTER * chosen_error.mean(), chosen_error.mean() + margin)
        job_loss, chosen_loss = (
            self.loss[0, judging_seeds].mean(),
            self.loss[self.chosen_rate, judging_seeds].mean(),
        )
        by_margin = job_error.mean() > limit and job_loss > FAR_BETTER * chosen_loss
        return bool((job_error > chosen_error).all() and by_margin)


def run(subject: Subject) -> FullLengthTest | None:
    """Train the job at its rate and at lower ones; None if the budget is too small for a result."""
    size, batch = subject.graph.work, subject.row.batch
    wanted_steps = min(MAX_STEPS, subject.row.steps * subject.experiment.epochs)

    def affordable(seeds: int) -> int:
        return int(WORK_SHARE * subject.budget.work / (size * batch * len(RATE_FACTORS) * seeds))

    # Rather fewer seeds than fewer steps: what goes wrong late does not show in a short run.
    seeds = PREFERRED_SEEDS if affordable(PREFERRED_SEEDS) >= wanted_steps else MIN_SEEDS
    steps = min(wanted_steps, affordable(seeds))
    if steps < min(MIN_STEPS, wanted_steps):
        return None
    with computing():
        sample = subject.sample(batch * steps)
    return _train(sample, float(subject.experiment.optimizer.lr), seeds, steps)


def _train(sample: Sample, rate: float, seeds: int, steps: int) -> FullLengthTest:
    lr = rate * np.array(RATE_FACTORS)
    steps_per_epoch = sample.rows()[0].steps
    epochs = min(sample.experiment.epochs, max(1, round(steps / steps_per_epoch)))
    optimizer = sample.experiment.optimizer
    variants = [{"optimizer": replace(optimizer, lr=float(rate)), "epochs": epochs} for rate in lr]
    rows = sample.rows(seeds, variants)
    loss, error = np.full((2, len(rows)), np.inf)
    for record in sample.train(rows):
        improved = record.improved
        loss[record.rows[improved]] = record.metrics["val_loss"][improved]
        error[record.rows[improved]] = record.metrics["val_error"][improved]
        for row, how in record.ended.items():
            if how == "diverged":  # whatever its losses were before
                loss[row] = error[row] = np.inf
    return FullLengthTest(
        lr, loss.reshape(len(lr), seeds), error.reshape(len(lr), seeds), epochs * steps_per_epoch,
        len(sample.fold.validation), bool(sample.dataset.classes),
    )  # fmt: skip


def warn(test: FullLengthTest, range_finding: str) -> Finding:
    """The warning that a lower rate is far better; `range_finding` is the finding of the range test."""
    job_error, chosen_error = test.judged_errors
    lower = test.lr[test.chosen_rate]
    error_format = "{:.1%} wrong" if test.classes else "an RMSE of {:.3g}"
    job_part, chosen_part = error_format.format(job_error), error_format.format(chosen_error)
    judging_count = test.error.shape[1] - test.choosing_seeds
    sentence = (
        f"{range_finding}, but after {test.steps} steps {job_part} at {test.lr[0]:.2g} and "
        f"{chosen_part} at {lower:.2g} ({judging_count} seeds kept aside): too large for this job"
    )
    advice = f"optimizer.lr={lower:.2g} (far better at the job's own length)"
    return Finding("warn", job_error, FAR_BETTER * chosen_error, sentence, advice, "lr_high")
