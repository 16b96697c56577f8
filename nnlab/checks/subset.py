"""A small subset: what cannot learn 50 examples by heart, without regularisation, cannot learn at all.

The training loss must go to about 0 and the accuracy to 100%. Beside the job's own learning rate, other rows
of the stack train at smaller and larger ones, and at two that are small for any job: if the job's row fails,
they and its curve tell the lecture's causes apart. Inputs or targets far too large; units saturated from the
first steps; an error that bounces, while a lower rate does better; a loss that stays finite and does not fall
even at a very small rate, which only a wrong gradient does; or a rate that is too small.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from nnlab.autodiff.activations import Identity
from nnlab.checks import data, layers, saturation
from nnlab.checks.subject import Sample, Subject, chance, curves
from nnlab.checks.verdict import Finding, Verdict
from nnlab.data.dataset import Dataset
from nnlab.data.splits import Fold
from nnlab.experiment import Row
from nnlab.regularizers import Regularizer
from nnlab.runtime.threads import computing
from nnlab.schedules import Constant
from nnlab.stopping import Stopping
from nnlab.training.results import Record

BATCH = 10
EPOCH = 200  # examples: the few are gone through again and again, since an epoch has a cost of its own
FACTORS = (1.0, 1e-4, 1e-2, 0.1, 10.0)  # of the job's learning rate, a row each; the job's own first
ABSOLUTE = (1e-3, 1e-5)  # where the job's rate is so extreme that none of those is of any use
CHOICE = 2000  # training examples from which the few are taken
NEIGHBOURS, PEACEFUL = 10, 0.25  # of each class so many are kept, whose neighbours have the same
SURE = 3  # epochs in a row
ZERO = 0.05  # of chance's loss: "about 0"
FALLEN = 0.999  # of the first epoch's loss: at some small rate it must have fallen at all


def check(subject: Subject) -> Verdict:
    """Whether the job learns a few examples by heart, and if not, why."""
    with computing():
        sample = subset(subject)
        loss = sample.experiment.loss_for(sample.dataset.spec)
        by_chance = chance(loss, sample.dataset, sample.examples, sample.fold)
    rows, lr = _rows(sample, subject.budget.steps)
    records = list(until_learnt(sample.records(rows), ZERO * by_chance, bool(sample.dataset.classes)))
    found = (curves(records, len(rows), name) for name in ("val_loss", "val_error"))
    learning = Learning(*found, lr, by_chance, len(sample.dataset.x), bool(sample.dataset.classes))
    details = {
        "examples": learning.examples, "chance": by_chance, "factors": lr / lr[0], "loss": learning.loss,
        "error": learning.error,
    }  # fmt: skip
    cause = None if learning.done else _cause(subject)
    return Verdict.of("subset", [judge(learning, cause)], details)


def _rows(sample: Sample, steps: int) -> tuple[list[Row], np.ndarray]:
    """A row for each of the rates, and the rates."""
    optimizer, epochs = sample.experiment.optimizer, max(SURE, -(-steps // sample.rows()[0].steps))
    lr = optimizer.lr * np.array(FACTORS)
    lr = np.append(lr, [rate for rate in ABSOLUTE if abs(np.log(lr / rate)).min() > np.log(2)])
    variants = [{"optimizer": replace(optimizer, lr=float(rate)), "epochs": epochs} for rate in lr]
    return sample.rows(variants=variants), lr


def subset(subject: Subject) -> Sample:
    """Different examples, as many as the network can learn by heart, and `examples` at most.

    A network can fit about as many as it has parameters for each output; one without activations as many as
    its inputs have independent directions, and one. Half of that is asked for, so that it is reached soon.
    """
    dataset, train = subject.dataset, subject.some(subject.fold.train, CHOICE, "choice")
    _, first = np.unique(dataset.x[train], axis=0, return_index=True)
    own = subject.graph.parameter_count // (2 * dataset.spec.outputs)
    if all(isinstance(subject.graph.nodes[n].box, Identity) for n in layers.activations(subject.graph)):
        some = dataset.x[train].astype(np.float64)
        own = min(own, (int(np.linalg.matrix_rank(some - some.mean(0))) + 1) // 2)
    count = min(subject.budget.examples, max(2, own))
    chosen = subject.some(undisputed(dataset, train[np.sort(first)], count), count, "subset")
    everything, size = np.arange(len(chosen)), subject.experiment.batch_size
    often = np.tile(everything, -(-EPOCH // len(chosen)))
    return subject.having(
        dataset.select(chosen), Fold(often, everything, everything), regularizer=Regularizer(),
        schedule=Constant(), stopping=Stopping(), metric="last",
        batch_size=BATCH if size == "full" else min(size, BATCH),
    )  # fmt: skip


def undisputed(dataset: Dataset, examples: np.ndarray, count: int) -> np.ndarray:
    """Of each class the quarter, or enough for `count`, that has most neighbours of its own class.

    Where classes overlap in a few inputs, neighbours contradict each other, and to learn them by heart takes
    more than a job that is in order has. That would say nothing of the job.
    """
    if not dataset.classes or len(examples) <= max(count, NEIGHBOURS):
        return examples
    x, y = dataset.x[examples].astype(np.float32), dataset.y[examples]
    x = (x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1)
    square = (x**2).sum(1)
    distance = square[:, None] + square - 2 * x @ x.T
    np.fill_diagonal(distance, np.inf)
    nearest = np.argpartition(distance, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    order = np.argsort(-(y[nearest] == y[:, None]).sum(1), kind="stable")
    share = max(PEACEFUL, count / len(examples))
    kept = [own[: math.ceil(share * len(own))] for own in (order[y[order] == c] for c in np.unique(y))]
    return examples[np.sort(np.concatenate(kept))]


def until_learnt(records: Iterator[Record], limit: float, classes: bool) -> Iterator[Record]:
    """Up to the third epoch in a row in which the job's own row, number 0, has learnt it all."""
    times = 0
    for record in records:
        yield record
        for own in np.flatnonzero(record.rows == 0):
            learnt = record.val_loss[own] <= limit and not (classes and record.val_error[own])
            times = times + 1 if learnt else 0
        if times == SURE:
            return


@dataclass(frozen=True)
class Learning:
    """The curves of the rates FACTORS (and ABSOLUTE) on the small subset; the job's own is the first row."""

    loss: np.ndarray  # (rows, epochs), NaN after a row has diverged
    error: np.ndarray
    lr: np.ndarray  # (rows,)
    chance: float
    examples: int
    classes: bool

    @property
    def limit(self) -> float:
        return ZERO * self.chance

    @property
    def ends(self) -> np.ndarray:
        """The last loss of every row, infinite if it diverged."""
        return np.nan_to_num(self.loss[:, -1], nan=np.inf)

    @property
    def learnt(self) -> np.ndarray:
        """Which rows have once had it all by heart."""
        return self._by_heart.any(1)

    @property
    def _by_heart(self) -> np.ndarray:
        """(rows, epochs)"""
        return (self.loss <= self.limit) & ((self.error == 0) if self.classes else True)

    @property
    def done(self) -> bool:
        return bool(self.learnt[0] and self.ends[0] <= self.chance)

    @property
    def falls(self) -> np.ndarray:
        return self.ends < FALLEN * self.loss[:, 0]

    @property
    def better(self) -> list[int]:
        """Lower rates that end far better than the job's own, the nearest first."""
        lower = sorted(np.flatnonzero(self.lr < self.lr[0]), key=lambda k: -self.lr[k])
        return [k for k in lower if self.learnt[k] or self.ends[k] < 0.5 * self.ends[0]]

    @property
    def above(self) -> int | None:
        """A higher rate that ends better than the job's own and all lower ones: ten times it, or another."""
        higher = self.lr > self.lr[0]
        limit = FALLEN * self.ends[~higher].min(initial=np.inf)
        k = 4 if self.ends[4] < limit else int(np.where(higher, self.ends, np.inf).argmin())
        return k if higher[k] and self.ends[k] < limit else None

    @property
    def bounces(self) -> bool:
        """Does the job's own loss rise by a tenth or more in a fifth of the later epochs?"""
        later = self.loss[0, self.loss.shape[1] // 2 :]
        return len(later) > 1 and bool((later[1:] > 1.1 * later[:-1]).mean() > 0.2)

    def at(self, k: int) -> str:
        return f"at {self.lr[k]:.2g} it ends at {self.ends[k]:.2g}"

    def said(self, epoch: int, limit: str) -> str:
        """The job's own row at the end of an epoch, beside what the loss may be."""
        epoch %= self.loss.shape[1]
        examples = f"{self.examples} example{'s' * (self.examples != 1)}"
        loss, right = np.nan_to_num(self.loss[0, epoch], nan=np.inf), 1 - self.error[0, epoch]
        share = f", {right:.0%} right" if self.classes and np.isfinite(right) else ""
        return f"{examples}: loss {loss:.2g} (limit {limit}){share} after {epoch + 1} epochs"

    def passed(self) -> Finding:
        """It is learnt by heart: in the last epoch, or in an earlier one where the rate bounces."""
        epoch = int(np.flatnonzero(self._by_heart[0])[-1])
        later = "" if epoch + 1 == self.loss.shape[1] else f"; in the end {self.ends[0]:.2g}"
        found = self.said(epoch, f"{self.limit:.2g}") + later
        return Finding("pass", float(self.loss[0, epoch]), self.limit, found)

    def falling(self, k: int) -> Finding:
        """It is half learnt, and a higher rate learns it: in time so will this one."""
        half = 0.5 * self.chance
        found = f"{self.said(-1, f'{half:.2g}, half of chance')} and falling; {self.at(k)}"
        return Finding("pass", float(self.ends[0]), half, found)

    def failed(self, status: str, cause: str, why: str, advice: str) -> Finding:
        """It is not learnt: the loss is too large, or it is small and some answers are wrong."""
        found = self.said(-1, f"{self.limit:.2g}") + why
        if self.ends[0] > self.limit:
            return Finding(status, float(self.ends[0]), self.limit, found, advice, cause)
        wrong = round(self.error[0, -1] * self.examples)
        return Finding(status, wrong, 0, f"{found}; {wrong} wrong (limit 0)", advice, cause)


def judge(learning: Learning, cause: Finding | None) -> Finding:
    """The finding; `cause` is what was wrong before the first step, if anything was."""
    own, half, finding = float(learning.ends[0]), 0.5 * learning.chance, learning.failed
    if learning.done:
        return learning.passed()
    if cause:
        return finding("fail", cause.cause, f": {cause.found}", cause.advice)
    finite = np.isfinite(learning.ends)
    if finite.any() and not learning.falls.any() and not learning.learnt.any():
        said = f": even at a rate of {learning.lr[finite].min():.1g} the loss does not fall"
        return finding(
            "fail", "gradient", said, "the gradient is wrong or zero: nnlab check only=[gradients,start]"
        )
    if not np.isfinite(own) or learning.better:
        how = "diverges" if not np.isfinite(own) else "bounces" if learning.bounces else "stays up"
        how += "" if finite.any() else f", and at {learning.lr.min():.1g} too"
        said = "; ".join([f": it {how}", *(learning.at(k) for k in learning.better[:1])])
        return finding("fail", "lr_high", said, "lower the learning rate: nnlab check only=rates")
    if learning.above is not None:
        k = learning.above
        if k == 4 and learning.learnt[k] and own < half:  # it falls, later: the rates say whether in time
            return learning.falling(k)
        near = k == 4 and learning.learnt[k]
        status = "warn" if own < half or near else "fail"
        advice = "raise the learning rate: nnlab check only=rates"
        return finding(status, "lr_low", f": {learning.at(k)}", advice)
    advice = "look for contradicting labels; widen the network; or give it more updates: check.steps"
    said = ": it falls, but no rate gets it there"
    return finding("warn" if own < half else "fail", "capacity", said, advice)


def before(subject: Subject) -> dict[str, dict]:
    """What flows through the network before the first step, on the job's own data."""
    with computing():
        sample = subject.sample(saturation.PROBE_EXAMPLES, regularizer=Regularizer())
        return saturation.Probe(
            sample, sample.training(sample.rows(subject.seeds(saturation.PROBE_EXAMPLES)))
        ).look()


def _cause(subject: Subject) -> Finding | None:
    """What is so bad at the start that it alone explains a failure: the scales, or what saturation finds."""
    scales = [finding for finding in data.scales(subject) if finding.status != "pass"]
    looked = before(subject)
    found = [*scales, *saturation.stuck({"at the start": looked}), *saturation.flow(looked)]
    return next((f for f in found if f in scales or f.status == "fail"), None)
