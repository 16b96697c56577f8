"""Learning rates: a range test of 64 rates and 3 seeds, a row each of one stack, for some hundred steps.

What its losses say is in `range_test`. A rate that passes, but is not far below the best, is tried once more
with lower ones at the job's full length: `full_length`.

Where little is learnt and a regulariser is set, some of the rates are tried without it: it may be the cause.
"""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from nnlab.checks import full_length
from nnlab.checks.range_test import EDGE_MARGIN, RangeTest, judge
from nnlab.checks.subject import Budget, Sample, Subject, chance, curves
from nnlab.checks.verdict import Finding, Verdict
from nnlab.regularizers import Regularizer
from nnlab.runtime.threads import computing
from nnlab.schedules import Constant
from nnlab.stopping import Stopping

LOWEST_RATE, HIGHEST_RATE = 1e-6, 1e2
EPOCH_COUNT = 10  # into which the steps are divided: a rate that diverges leaves at the end of one
BATCH_SIZE = 64  # of a job of full batches, and the least that the budget leaves
STEPS_AT_LEAST, RATES_AT_LEAST = 50, 16  # that the budget leaves, as long as there is something else to halve
HELD_FALL = 0.25  # of chance, or of the start: if the best falls by less, a regulariser is suspected,
FREED_RATIO = 2.0  # and is the cause if without it the fall is so many times as deep
EVERY_NTH_RATE = 4  # is tried without the regulariser, or for more steps:
MORE_STEPS = 10  # times as many


def check(subject: Subject) -> Verdict:
    """Where the job's learning rate lies among those that work."""
    count, seeds, steps = scale(subject)
    batch = batch_for(subject, count * seeds * steps)
    rate = float(subject.experiment.optimizer.lr)
    lr = candidates(subject.experiment.optimizer.lr, count)
    # The job's schedule and stopping would hide what the rate itself does.
    with computing():
        sample = subject.training_sample(
            batch * max(1, steps // EPOCH_COUNT), batch_size=batch, schedule=Constant(), stopping=Stopping(),
            metric="last",
        )  # fmt: skip
        loss = sample.experiment.loss_for(sample.dataset.spec)
        by_chance = chance(loss, sample.dataset, sample.examples, sample.fold)
    test, steps = measured(sample, lr, seeds, steps, by_chance)
    steps_of_job = subject.row.steps * subject.experiment.epochs
    if not test.learns and steps_of_job > steps:  # of small batches so few steps may show nothing
        seeds = 1
        more = min(steps_of_job, MORE_STEPS * steps)
        test, steps = measured(sample, lr[::EVERY_NTH_RATE], seeds, more, by_chance)
    finding = _held_back(sample, test, steps, by_chance) or judge(test, rate, steps_of_job / steps)
    longer, suggestion = None, test.suggestion
    if finding.status == "pass" and rate > test.lr[test.best] / EDGE_MARGIN:
        longer = full_length.look(subject)
        if longer and longer.far:
            finding = full_length.warning(longer, finding.found)
            suggestion = float(longer.lr[longer.chosen])
    details = {
        "chance": by_chance, "lr": test.lr,
        "end": test.end, "low": test.low, "high": test.high, "diverged": test.diverged,
        "start": test.start, "works": test.works, "edge": test.edge, "suggestion": suggestion,
        "own": rate, "seeds": seeds, "steps": steps, "longer": longer and vars(longer),
    }  # fmt: skip
    return Verdict.of("rates", [finding], details)


def scale(subject: Subject) -> tuple[int, int, int]:
    """How many rates, seeds and steps the budget allows: seeds go first, then steps, then rates."""
    budget: Budget = subject.budget
    rates, seeds, steps = budget.rates, budget.rate_seeds, budget.rate_steps
    size = subject.graph.parameter_count * batch_of(subject)

    def too_much() -> bool:
        return size * rates * seeds * steps > budget.work

    while too_much() and (seeds > 1 or steps > STEPS_AT_LEAST or rates > RATES_AT_LEAST):
        if seeds > 1:
            seeds -= 1
        elif steps > STEPS_AT_LEAST and steps >= 3 * rates:
            steps //= 2
        elif rates > RATES_AT_LEAST:
            rates //= 2
        else:
            steps //= 2
    return rates, seeds, steps


def batch_of(subject: Subject) -> int:
    """The batch size of the job, or a usual one where it trains on full batches."""
    if subject.experiment.batch_size == "full":
        return min(subject.row.batch, BATCH_SIZE)
    return subject.row.batch


def batch_for(subject: Subject, updates: int) -> int:
    """The batch size that the budget allows for so many updates. The last to give: the edge moves with it."""
    allowed = int(subject.budget.work / (subject.graph.parameter_count * updates))
    return min(batch_of(subject), max(BATCH_SIZE, allowed))


def candidates(rate: float, count: int) -> np.ndarray:
    """`count` rates, sorted, that of the job among them: the others in equal factors around what is usual."""
    low, high = min(LOWEST_RATE, rate / 10), max(HIGHEST_RATE, rate * 10)
    return np.sort(np.append(np.geomspace(low, high, count - 1), rate))


def measured(
    sample: Sample, lr: np.ndarray, seeds: int, steps: int, by_chance: float
) -> tuple[RangeTest, int]:
    """The losses at the start and after about so many steps, and how many those were."""
    steps_per_epoch = sample.rows()[0].steps
    epochs = max(1, round(steps / steps_per_epoch))
    optimizer = sample.experiment.optimizer
    variants = [{"optimizer": replace(optimizer, lr=float(rate)), "epochs": epochs} for rate in lr]
    rows = sample.rows(seeds, variants)
    with computing():
        start = sample.training(rows[:seeds]).evaluator.validate()["val_loss"]
    losses = curves(list(sample.records(rows)), len(rows), "val_loss")
    end = losses[:, -1].reshape(len(lr), seeds)
    return RangeTest(lr, end, start, by_chance), epochs * steps_per_epoch


def _held_back(sample: Sample, test: RangeTest, steps: int, by_chance: float) -> Finding | None:
    """The finding that the regulariser keeps the job from learning, if it does."""
    regularizer, usual = sample.experiment.regularizer, Regularizer()
    names = [f.name for f in fields(usual)]
    changed = {n: getattr(regularizer, n) for n in names if getattr(regularizer, n) != getattr(usual, n)}
    if not changed or test.fall >= HELD_FALL * test.base:
        return None
    free = replace(sample, experiment=replace(sample.experiment, regularizer=usual))
    without, _ = measured(free, test.lr[::EVERY_NTH_RATE], 1, steps, by_chance)
    if not without.learns or without.fall < FREED_RATIO * test.fall:
        return None
    fall = test.fall / test.base
    sentence = (
        f"at the best rate the loss falls {max(fall, 0):.1%} below chance's (at least {HELD_FALL:.0%}), "
        f"without the regulariser {without.fall / without.base:.0%}"
    )
    settings = ", ".join(f"{name}={value:g}" for name, value in changed.items())
    status = "warn" if test.learns else "fail"
    return Finding(
        status, fall, HELD_FALL, sentence, f"weaken the regulariser: {settings}", "regularizer", at_least=True
    )
