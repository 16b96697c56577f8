"""Learning rates: a row for each of 64 rates and 3 seeds, all in one stack, for some hundred steps.

How far a rate gets is the share of the fall that the best one achieves,

    s(lr) = (c - end(lr)) / (c - least end),

of the loss on the training examples without dropout; c is that of chance, or of the start if it is lower: to
come down from a bad start to what chance gives is no learning. Medians are over the seeds and then over three
neighbouring rates: a single noisy curve fools a range test. Beyond the first rate that learns, the first one
that diverges or ends above chance, with any seed, is the edge. Below it, the rates around the best with s
above 1/2 work. A job of more steps than this test may have a lower rate: in n times the steps it goes about
as far as n times the rate goes here.

A rate that passes, but is not far below the best, is tried once more beside lower ones at the job's own
length: `full_length`.

Where little is learnt and a regulariser is set, some of the rates are tried without it: it may be the cause.
"""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from nnlab.checks import full_length
from nnlab.checks.subject import Budget, Sample, Subject, chance, curves
from nnlab.checks.verdict import Finding, Verdict
from nnlab.regularizers import Regularizer
from nnlab.runtime.threads import computing
from nnlab.schedules import Constant
from nnlab.stopping import Stopping

LOWEST, HIGHEST = 1e-6, 1e2
EPOCHS = 10  # into which the steps are divided: a rate that diverges leaves at the end of one
WORKS, LITTLE = 0.5, 0.1  # of the best rate's fall
MARGIN, WELL = 3.0, 0.9  # so near the edge, a rate should at least do as well: the edge moves in training
OVER = 1.05  # of chance's loss: a rate that ends above is over the edge
NOTHING = 0.05  # of chance, or of the start: no rate learns anything if the best falls by less
HELD = 0.25  # the same: below it a regulariser is suspected, and guilty if without it the fall is
FREED = 2.0  # times as deep
BATCH = 64  # of a job of full batches, and the least that the budget leaves
FEW = 4  # every fourth rate is tried without the regulariser, or for more steps:
MORE = 10  # times as many


def check(subject: Subject) -> Verdict:
    """Where the job's learning rate lies among those that work."""
    rates, seeds, steps = scale(subject)
    batch = batch_for(subject, rates * seeds * steps)
    grid = candidates(subject.experiment.optimizer.lr, rates)
    with computing():
        sample = subject.training_sample(
            batch * max(1, steps // EPOCHS), batch_size=batch, schedule=Constant(), stopping=Stopping(),
            metric="last",
        )  # fmt: skip
        by_chance = chance(
            sample.experiment.loss_for(sample.dataset.spec), sample.dataset, sample.examples, sample.fold
        )
    table, steps = measured(sample, grid, seeds, steps, by_chance)
    own = float(subject.experiment.optimizer.lr)
    job = subject.row.steps * subject.experiment.epochs
    if not table.learns and job > steps:  # of small batches so few steps may show nothing
        seeds = 1
        table, steps = measured(sample, grid[::FEW], seeds, min(job, MORE * steps), by_chance)
    held = _held(sample, table, steps, by_chance)
    finding = held or judge(table, own, job / steps)
    in_the_end, suggestion = None, table.suggestion
    if finding.status == "pass" and own > table.lr[table.best] / MARGIN:
        in_the_end = full_length.look(subject)
        if in_the_end and in_the_end.far:
            finding = full_length.warning(in_the_end, finding.found)
            suggestion = float(in_the_end.lr[in_the_end.chosen])
    details = {
        "chance": by_chance, "lr": table.lr,
        "end": table.end, "low": table.low, "high": table.high, "diverged": table.diverged,
        "start": table.start, "works": table.works, "edge": table.edge, "suggestion": suggestion,
        "own": own, "seeds": seeds, "steps": steps, "longer": in_the_end and vars(in_the_end),
    }  # fmt: skip
    return Verdict.of("rates", [finding], details)


def scale(subject: Subject) -> tuple[int, int, int]:
    """How many rates, seeds and steps the budget allows: seeds go first, then steps, then rates."""
    b: Budget = subject.budget
    rates, seeds, steps = b.rates, b.rate_seeds, b.rate_steps
    size = subject.graph.parameter_count * batch_of(subject)

    def too_much() -> bool:
        return size * rates * seeds * steps > b.work

    while too_much() and (seeds > 1 or steps > 50 or rates > 16):
        if seeds > 1:
            seeds -= 1
        elif steps > 50 and steps >= 3 * rates:
            steps //= 2
        elif rates > 16:
            rates //= 2
        else:
            steps //= 2
    return rates, seeds, steps


def batch_of(subject: Subject) -> int:
    """The job's own batch, and of a job of full batches a usual one."""
    return min(subject.row.batch, BATCH) if subject.experiment.batch_size == "full" else subject.row.batch


def batch_for(subject: Subject, updates: int) -> int:
    """The batch that the budget allows for so many updates. The last to give: the edge moves with it."""
    allowed = int(subject.budget.work / (subject.graph.parameter_count * updates))
    return min(batch_of(subject), max(BATCH, allowed))


def candidates(own: float, count: int) -> np.ndarray:
    """`count` rates, sorted, the job's own among them: the others in equal factors around what is usual."""
    low, high = min(LOWEST, own / 10), max(HIGHEST, own * 10)
    return np.sort(np.append(np.geomspace(low, high, count - 1), own))


def measured(sample: Sample, grid: np.ndarray, seeds: int, steps: int, by_chance: float) -> tuple[Table, int]:
    """The losses at the start and after the steps, and how many those were."""
    each = sample.rows()[0].steps
    epochs = max(1, round(steps / each))
    optimizer = sample.experiment.optimizer
    variants = [{"optimizer": replace(optimizer, lr=float(lr)), "epochs": epochs} for lr in grid]
    rows = sample.rows(seeds, variants)
    with computing():
        start = sample.training(rows[:seeds]).evaluator.validate()["val_loss"]
    ended = curves(list(sample.records(rows)), len(rows), "val_loss")[:, -1].reshape(len(grid), seeds)
    return Table(grid, ended, start, by_chance), epochs * each


def _held(sample: Sample, table: Table, steps: int, by_chance: float) -> Finding | None:
    """The finding that the regulariser keeps the job from learning, if it does."""
    own = sample.experiment.regularizer
    set_ = [f.name for f in fields(own) if getattr(own, f.name) != getattr(Regularizer(), f.name)]
    if not set_ or table.fall >= HELD * table.base:
        return None
    free = replace(sample, experiment=replace(sample.experiment, regularizer=Regularizer()))
    without, _ = measured(free, table.lr[::FEW], 1, steps, by_chance)
    if not without.learns or without.fall < FREED * table.fall:
        return None
    fall, least, named = table.fall / table.base, HELD, [f"{n}={getattr(own, n):g}" for n in set_]
    found = (
        f"at the best rate the loss falls {max(fall, 0):.1%} below chance's (at least {least:.0%}), "
        f"without the regulariser {without.fall / without.base:.0%}"
    )
    advice = f"weaken the regulariser: {', '.join(named)}"
    status = "warn" if table.learns else "fail"
    return Finding(status, fall, least, found, advice, "regularizer", at_least=True)


class Table:
    """The loss by learning rate, and what it says: the rates that work, the edge, the suggestion."""

    def __init__(self, lr: np.ndarray, end: np.ndarray, start: np.ndarray, by_chance: float):
        self.lr, self.start = lr, float(np.median(start))
        self.base = min(self.start, by_chance)
        finite = np.where(np.isfinite(end), end, np.inf)
        self.diverged = np.isinf(finite).mean(1)
        self.low, self.high = finite.min(1), finite.max(1)
        self.end = _smooth(np.median(finite, axis=1))
        learnt = np.cumsum((finite < self.base).all(1)) > 0  # at this rate or a lower one, by all seeds
        over = (finite > OVER * by_chance).any(1) & learnt
        count = int(over.argmax()) if over.any() else len(lr)  # how many rates are below the edge
        self.edge = float(lr[count]) if over.any() else np.inf
        self.best = int(self.end[: max(count, 1)].argmin())
        self.fall = self.base - float(self.end[self.best])
        self.share = (self.base - self.end) / self.fall if self.fall > 0 else np.zeros(len(lr))
        first = last = self.best
        while first > 0 and self.share[first - 1] >= WORKS:
            first -= 1
        while last < count - 1 and self.share[last + 1] >= WORKS:
            last += 1
        self.learns = self.fall > NOTHING * self.base
        self.works = (float(lr[first]), float(lr[last])) if self.learns else None
        self.suggestion = float(min(lr[self.best], self.edge / MARGIN)) if self.learns else None

    def of(self, own: float) -> float:
        """The share of the best fall at the rate nearest to this one."""
        return float(self.share[np.abs(np.log(self.lr / own)).argmin()])


def _smooth(values: np.ndarray) -> np.ndarray:
    """The median of each and its two neighbours."""
    padded = np.concatenate([values[:1], values, values[-1:]])
    return np.median([padded[:-2], padded[1:-1], padded[2:]], axis=0)


def judge(table: Table, own: float, longer: float) -> Finding:
    """Where the job's rate lies; its training is `full_length` times this test."""
    if not table.learns:
        tried = f"no rate from {table.lr[0]:.0e} to {table.lr[-1]:.0e}"
        fall = table.fall / max(table.base, 1e-30)
        tried += f" gets more than {max(fall, 0):.1%} below the {table.base:.3g} of chance"
        found = f"{tried} (at least {NOTHING:.0%})"
        advice = "it is not the rate: nnlab check only=[start,gradients,saturation,data]"
        return Finding("fail", fall, NOTHING, found, advice, "nothing_learnt", at_least=True)
    low, high = table.works
    edge = f", over the edge from {table.edge:.2g}" if np.isfinite(table.edge) else ""
    found = f"{own:.2g}; {low:.1g} to {high:.1g} work{edge}"
    why = f"the lowest loss, {table.end[table.best]:.3g}"
    if table.suggestion < table.lr[table.best]:
        why = f"a third of the edge, {table.edge:.2g}"
    advice = f"optimizer.lr={table.suggestion:.2g} ({why})"
    share = table.of(own)
    if own >= table.edge or (own > high and share < WORKS):
        return Finding("fail", own, min(high, table.edge), f"{found}: too large", advice, "lr_high")
    if own > table.edge / MARGIN and share < WELL:
        return Finding("warn", own, table.edge / MARGIN, f"{found}: near the edge", advice, "lr_high")
    there = table.of(min(own * longer, table.lr[table.best]))
    if own < low and there < WORKS:
        status = "fail" if there < LITTLE else "warn"
        return Finding(status, own, low, f"{found}: too small", advice, "lr_low", at_least=True)
    suggested = f"suggestion {table.suggestion:.2g}: {why}"
    if own < low:
        suggested += f"; this job takes {longer:.3g} times the steps of the test"
    return Finding("pass", own, high if own <= high else table.edge, f"{found} ({suggested})")
