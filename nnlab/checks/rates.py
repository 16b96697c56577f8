"""The rates rung: a learning rate range test, 64 rates and 3 seeds as rows of one stack, some hundred steps.

The losses are evaluated in `range_test`. A rate that passes, but is not far below the best, is compared with
lower ones at the job's full length: `full_length`. If little is learnt and a regulariser is set, some of the
rates are tried without it: it may be the cause.
"""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from nnlab.checks import full_length
from nnlab.checks.range_test import EDGE_MARGIN, RangeTest, judge
from nnlab.checks.subject import Budget, Sample, Subject, mean_chance_loss, metric_curves
from nnlab.checks.verdict import Finding, Verdict
from nnlab.regularizers import Regularizer
from nnlab.runtime.threads import computing
from nnlab.schedules import Constant
from nnlab.stopping import Stopping

LOWEST_RATE, HIGHEST_RATE = 1e-6, 1e2
EPOCHS = 10  # that the steps are divided into: a row that diverges leaves at the end of one
BATCH_SIZE = 64  # for a job with full batches
MIN_BATCH_SIZE = 16  # for a small budget
MIN_STEPS, MIN_RATES = 50, 16  # below which a small budget does not cut, as long as the other can be halved
SUSPICIOUS_DROP = 0.25  # of RangeTest.reference_loss: if it drops by less, a regulariser is suspected,
FREED_DROP_RATIO = 2.0  # and is the cause if without it the drop is this many times as large
RATE_STRIDE = 4  # every 4th rate is tried without the regulariser, or for more steps
MORE_STEPS = 10  # times as many steps


def check(subject: Subject) -> Verdict:
    """Whether the job's learning rate is among those that work."""
    count, seeds, steps = budgeted_counts(subject)
    batch = affordable_batch_size(subject, count * seeds * steps)
    rate = float(subject.experiment.optimizer.lr)
    lr = candidate_rates(subject.experiment.optimizer.lr, count)
    # The job's schedule and stopping would hide what the rate itself does.
    with computing():
        sample = subject.training_sample(
            batch * max(1, steps // EPOCHS), batch_size=batch, schedule=Constant(), stopping=Stopping(),
            metric="last",
        )  # fmt: skip
        loss = sample.experiment.loss_for(sample.dataset.spec)
        chance_loss = mean_chance_loss(loss, sample)
    test, steps = run_range_test(sample, lr, seeds, steps, chance_loss)
    job_steps = subject.row.steps * subject.experiment.epochs
    if not test.learns and job_steps > steps:  # with small batches so few steps may show nothing
        seeds = 1
        more = min(job_steps, MORE_STEPS * steps)
        test, steps = run_range_test(sample, lr[::RATE_STRIDE], seeds, more, chance_loss)
    finding = _regularizer_finding(sample, test, steps, chance_loss) or judge(test, rate, job_steps / steps)
    full_length_test, suggestion = None, test.suggestion
    if finding.status == "pass" and rate > test.lr[test.best_index] / EDGE_MARGIN:
        full_length_test = full_length.run(subject)
        if full_length_test and full_length_test.clearly_better:
            finding = full_length.warn(full_length_test, finding.found)
            suggestion = float(full_length_test.lr[full_length_test.chosen_rate])
    details = {
        "chance": chance_loss, "lr": test.lr,
        "end": test.smoothed_loss, "low": test.min_loss, "high": test.max_loss,
        "diverged": test.diverged_fraction, "start": test.median_start_loss,
        "works": test.working_range, "edge": test.edge, "suggestion": suggestion,
        "own": rate, "seeds": seeds, "steps": steps, "longer": full_length_test and vars(full_length_test),
    }  # fmt: skip
    return Verdict.from_findings("rates", [finding], details)


def budgeted_counts(subject: Subject) -> tuple[int, int, int]:
    """The numbers of rates, seeds and steps that the budget allows: first seeds are cut, then steps, then
    rates."""
    budget: Budget = subject.budget
    rates, seeds, steps = budget.rates, budget.rate_seeds, budget.rate_steps
    size = subject.graph.work * job_batch_size(subject)

    def exceeds_budget() -> bool:
        return size * rates * seeds * steps > budget.work

    while exceeds_budget() and (seeds > 1 or steps > MIN_STEPS or rates > MIN_RATES):
        if seeds > 1:
            seeds -= 1
        elif steps > MIN_STEPS and steps >= 3 * rates:
            steps //= 2
        elif rates > MIN_RATES:
            rates //= 2
        else:
            steps //= 2
    return rates, seeds, steps


def job_batch_size(subject: Subject) -> int:
    """The batch size of the job; BATCH_SIZE if it trains on larger full batches."""
    if subject.experiment.batch_size == "full":
        return min(subject.row.batch, BATCH_SIZE)
    return subject.row.batch


def affordable_batch_size(subject: Subject, updates: int) -> int:
    """The batch size that the budget allows for so many updates. It is cut last: the edge depends on it."""
    affordable = int(subject.budget.work / (subject.graph.work * updates))
    return min(job_batch_size(subject), max(MIN_BATCH_SIZE, affordable))


def candidate_rates(rate: float, count: int) -> np.ndarray:
    """`count` rates, sorted: the job's, and the others evenly spaced in their logarithm over the usual
    range."""
    lowest, highest = min(LOWEST_RATE, rate / 10), max(HIGHEST_RATE, rate * 10)
    return np.sort(np.append(np.geomspace(lowest, highest, count - 1), rate))


def run_range_test(
    sample: Sample, lr: np.ndarray, seeds: int, steps: int, chance_loss: float
) -> tuple[RangeTest, int]:
    """Train at each rate for about `steps` steps; the losses, and the actual number of steps."""
    steps_per_epoch = sample.rows()[0].steps
    epochs = max(1, round(steps / steps_per_epoch))
    optimizer = sample.experiment.optimizer
    variants = [{"optimizer": replace(optimizer, lr=float(rate)), "epochs": epochs} for rate in lr]
    rows = sample.rows(seeds, variants)
    with computing():
        start_loss = sample.start_training(rows[:seeds]).evaluator.validate()["val_loss"]
    losses = metric_curves(list(sample.train(rows)), len(rows), "val_loss")
    final_loss = losses[:, -1].reshape(len(lr), seeds)
    return RangeTest(lr, final_loss, start_loss, chance_loss), epochs * steps_per_epoch


def _regularizer_finding(sample: Sample, test: RangeTest, steps: int, chance_loss: float) -> Finding | None:
    """The finding that the regulariser prevents learning, if it does."""
    regularizer, default_regularizer = sample.experiment.regularizer, Regularizer()
    changed_settings = {}
    for f in fields(default_regularizer):
        value = getattr(regularizer, f.name)
        if value != getattr(default_regularizer, f.name):
            changed_settings[f.name] = value
    if not changed_settings or test.loss_drop >= SUSPICIOUS_DROP * test.reference_loss:
        return None
    unregularized = replace(sample, experiment=replace(sample.experiment, regularizer=default_regularizer))
    without, _ = run_range_test(unregularized, test.lr[::RATE_STRIDE], 1, steps, chance_loss)
    if not without.learns or without.loss_drop < FREED_DROP_RATIO * test.loss_drop:
        return None
    loss_drop = test.loss_drop / test.reference_loss
    sentence = (
        f"at the best rate the loss falls {max(loss_drop, 0):.1%} below {test.reference_name} (at least "
        f"{SUSPICIOUS_DROP:.0%}), without the regulariser {without.loss_drop / without.reference_loss:.0%}"
    )
    settings = ", ".join(f"{name}={value:g}" for name, value in changed_settings.items())
    status = "warn" if test.learns else "fail"
    return Finding(
        status,
        loss_drop,
        SUSPICIOUS_DROP,
        sentence,
        f"weaken the regulariser: {settings}",
        "regularizer",
        at_least=True,
    )
