"""A small subset: a job that cannot overfit 50 examples, without regularisation, cannot learn at all.

The training loss must go to about 0 and the accuracy to 100%. Other rows of the stack train at smaller and
larger learning rates, and at two that are small for any job: if the job's row fails, they and its curve tell
the lecture's causes apart. Inputs or targets that are far too large; units that are saturated from the first
steps; an error that bounces, while a lower rate does better; a loss that stays finite and does not fall even
at a very small rate, which only a wrong gradient does; or a rate that is too small.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from nnlab.autodiff.activations import Identity
from nnlab.checks import data, layers, saturation
from nnlab.checks.overfitting import ABSOLUTE_RATES, NEAR_ZERO, RATE_FACTORS, Learning, judge
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

BATCH_SIZE = 10
EPOCH_EXAMPLES = 200  # the few are repeated up to so many, since an epoch has a cost of its own
EXAMPLES_TO_CHOOSE_FROM = 2000
NEIGHBOUR_COUNT = 10  # of an example, whose classes are compared with its own
UNDISPUTED_SHARE = 0.25  # of each class: so many are kept, whose neighbours have the same
EPOCHS_IN_A_ROW = 3  # in which everything must be learnt


def check(subject: Subject) -> Verdict:
    """Whether the job overfits a few examples, and if not, why."""
    with computing():
        sample = subset(subject)
        loss = sample.experiment.loss_for(sample.dataset.spec)
        by_chance = chance(loss, sample.dataset, sample.examples, sample.fold)
    rows, lr = _rows(sample, subject.budget.steps)
    classes = bool(sample.dataset.classes)
    records = list(until_learnt(sample.records(rows), NEAR_ZERO * by_chance, classes))
    losses, errors = (curves(records, len(rows), name) for name in ("val_loss", "val_error"))
    learning = Learning(losses, errors, lr, by_chance, len(sample.dataset.x), classes)
    cause = None if learning.done else _cause(subject)
    details = {
        "examples": learning.examples, "chance": by_chance, "factors": lr / lr[0], "loss": losses,
        "error": errors,
    }  # fmt: skip
    return Verdict.of("subset", [judge(learning, cause)], details)


def _rows(sample: Sample, steps: int) -> tuple[list[Row], np.ndarray]:
    """A row for each of the rates, and the rates."""
    optimizer = sample.experiment.optimizer
    epochs = max(EPOCHS_IN_A_ROW, -(-steps // sample.rows()[0].steps))
    lr = optimizer.lr * np.array(RATE_FACTORS)
    # Those that differ from all others by more than a factor of 2.
    lr = np.append(lr, [rate for rate in ABSOLUTE_RATES if abs(np.log(lr / rate)).min() > np.log(2)])
    variants = [{"optimizer": replace(optimizer, lr=float(rate)), "epochs": epochs} for rate in lr]
    return sample.rows(variants=variants), lr


def subset(subject: Subject) -> Sample:
    """Different examples, as many as the network can learn by heart, and `examples` at most.

    A network can fit about as many as it has parameters for each output; one without activations one more
    than its inputs have independent directions. Half of that is asked for, so that it is reached soon.
    """
    dataset = subject.dataset
    train = subject.some(subject.fold.train, EXAMPLES_TO_CHOOSE_FROM, "choice")
    # Copies of one example with different labels could not be learnt by any job.
    _, first = np.unique(dataset.x[train], axis=0, return_index=True)
    capacity = subject.graph.parameter_count // (2 * dataset.spec.outputs)
    if _is_linear(subject):
        x = dataset.x[train].astype(np.float64)
        capacity = min(capacity, (int(np.linalg.matrix_rank(x - x.mean(0))) + 1) // 2)
    count = min(subject.budget.examples, max(2, capacity))
    chosen = subject.some(undisputed(dataset, train[np.sort(first)], count), count, "subset")
    everything = np.arange(len(chosen))
    repeated = np.tile(everything, -(-EPOCH_EXAMPLES // len(chosen)))
    batch_size = subject.experiment.batch_size
    batch_size = BATCH_SIZE if batch_size == "full" else min(batch_size, BATCH_SIZE)
    return subject.having(
        dataset.select(chosen), Fold(repeated, everything, everything), regularizer=Regularizer(),
        schedule=Constant(), stopping=Stopping(), metric="last", batch_size=batch_size,
    )  # fmt: skip


def _is_linear(subject: Subject) -> bool:
    nodes = [subject.graph.nodes[n] for n in layers.activations(subject.graph)]
    return all(isinstance(node.box, Identity) for node in nodes)


def undisputed(dataset: Dataset, examples: np.ndarray, count: int) -> np.ndarray:
    """Of each class the quarter, or enough for `count`, that has most neighbours of its own class.

    Where classes overlap in a few inputs, neighbours contradict each other, and overfitting them takes more
    capacity than a sound job has. That would say nothing of the job.
    """
    if not dataset.classes or len(examples) <= max(count, NEIGHBOUR_COUNT):
        return examples
    x, y = dataset.x[examples].astype(np.float32), dataset.y[examples]
    x = (x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1)
    square = (x**2).sum(1)
    distance = square[:, None] + square - 2 * x @ x.T
    np.fill_diagonal(distance, np.inf)  # no example is its own neighbour
    nearest = np.argpartition(distance, NEIGHBOUR_COUNT, axis=1)[:, :NEIGHBOUR_COUNT]
    order = np.argsort(-(y[nearest] == y[:, None]).sum(1), kind="stable")
    share = max(UNDISPUTED_SHARE, count / len(examples))
    by_class = [order[y[order] == c] for c in np.unique(y)]
    kept = [of_class[: math.ceil(share * len(of_class))] for of_class in by_class]
    return examples[np.sort(np.concatenate(kept))]


def until_learnt(records: Iterator[Record], limit: float, classes: bool) -> Iterator[Record]:
    """Up to the third epoch in a row in which the row of the job's rate, number 0, has learnt it all."""
    in_a_row = 0
    for record in records:
        yield record
        for place in np.flatnonzero(record.rows == 0):
            learnt = record.val_loss[place] <= limit and not (classes and record.val_error[place])
            in_a_row = in_a_row + 1 if learnt else 0
        if in_a_row == EPOCHS_IN_A_ROW:
            return


def before(subject: Subject) -> dict[str, dict]:
    """What flows through the network before the first step, on the job's own data."""
    with computing():
        sample = subject.sample(saturation.PROBE_EXAMPLES, regularizer=Regularizer())
        rows = sample.rows(subject.seeds(saturation.PROBE_EXAMPLES))
        return saturation.Probe(sample, sample.training(rows)).look()


def _cause(subject: Subject) -> Finding | None:
    """What is so bad at the start that it alone explains a failure: the scales, or what saturation finds."""
    scales = [finding for finding in data.scales(subject) if finding.status != "pass"]
    if scales:
        return scales[0]
    at_start = before(subject)
    findings = [*saturation.stuck({"at the start": at_start}), *saturation.flow(at_start)]
    return next((finding for finding in findings if finding.status == "fail"), None)
