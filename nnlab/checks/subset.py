"""The subset rung: a job that cannot overfit 50 examples, without regularisation, cannot learn at all.

The training loss must go to about 0 and the accuracy to 100%. Other rows of the stack train at smaller and
larger learning rates, some of them small for any job; those of a large network only if the job's row fails.
If it does, all these curves tell apart the causes that the lecture lists:

- inputs or targets are far too large, or units saturate from the first steps;
- the rate is too large: the loss bounces or diverges, and a lower rate does better;
- the gradient is wrong: the loss is finite, but does not fall even at a very small rate;
- the rate is too small: a higher one does better.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from nnlab.autodiff import layers
from nnlab.autodiff.activations import Identity
from nnlab.checks import data, saturation
from nnlab.checks.overfitting import ABSOLUTE_RATES, NEAR_ZERO, RATE_FACTORS, OverfittingCurves, judge
from nnlab.checks.subject import Sample, Subject, mean_chance_loss, metric_curves
from nnlab.checks.verdict import Finding, Verdict
from nnlab.data.splits import Fold
from nnlab.experiment import Row
from nnlab.regularizers import Regularizer
from nnlab.runtime.threads import computing
from nnlab.schedules import Constant
from nnlab.stopping import Stopping
from nnlab.training.results import Record

MAX_BATCH_SIZE = 10
EPOCH_EXAMPLES = 200  # the subset is repeated to this length, since every epoch has some overhead
EXAMPLES_TO_CHOOSE_FROM = 2000
NEIGHBOUR_COUNT = 10  # nearest neighbours of an example, whose classes are compared with its own
UNDISPUTED_SHARE = 0.25  # of each class: the examples whose neighbours agree most
CONSECUTIVE_EPOCHS = 3  # after which training ends, if the subset was memorized in each of them


def check(subject: Subject) -> Verdict:
    """Whether the job overfits a few examples and, if not, why not."""
    with computing():
        sample = subset(subject)
        loss = sample.experiment.loss_for(sample.dataset.spec)
        chance_loss = mean_chance_loss(loss, sample)
    rows, lr = _rows(sample, subject.budget.steps)
    curves = None
    if _exceeds_budget(subject, rows):  # the other rates are needed only if the job's fails
        curves = _train(sample, rows[:1], lr[:1], chance_loss)
    if curves is None or not curves.passed_test:
        curves = _train(sample, rows, lr, chance_loss)
    cause = None if curves.passed_test else _find_cause(subject)
    details = {
        "examples": curves.examples, "chance": chance_loss, "factors": curves.lr / curves.lr[0],
        "loss": curves.loss, "error": curves.error,
    }  # fmt: skip
    return Verdict.from_findings("subset", [judge(curves, cause)], details)


def _exceeds_budget(subject: Subject, rows: list[Row]) -> bool:
    updates = rows[0].experiment.epochs * rows[0].steps
    return len(rows) * updates * rows[0].batch * subject.graph.work > subject.budget.work


def _train(sample: Sample, rows: list[Row], lr: np.ndarray, chance_loss: float) -> OverfittingCurves:
    """The curves of these rows, up to where the first has memorized the subset."""
    is_classification = bool(sample.dataset.classes)
    records = list(until_memorized(sample.train(rows), NEAR_ZERO * chance_loss, is_classification))
    losses, errors = (metric_curves(records, len(rows), name) for name in ("val_loss", "val_error"))
    return OverfittingCurves(losses, errors, lr, chance_loss, len(sample.dataset.x), is_classification)


def _rows(sample: Sample, steps: int) -> tuple[list[Row], np.ndarray]:
    """A row for each learning rate, and the rates."""
    optimizer = sample.experiment.optimizer
    steps_per_epoch = sample.rows()[0].steps
    epochs = max(CONSECUTIVE_EPOCHS, -(-steps // steps_per_epoch))
    lr = optimizer.lr * np.array(RATE_FACTORS)
    # Only rates that differ from all others by more than a factor of 2.
    lr = np.append(lr, [rate for rate in ABSOLUTE_RATES if abs(np.log(lr / rate)).min() > np.log(2)])
    variants = [{"optimizer": replace(optimizer, lr=float(rate)), "epochs": epochs} for rate in lr]
    return sample.rows(variants=variants), lr


def subset(subject: Subject) -> Sample:
    """Distinct examples: half as many as the network can memorize, but at most `budget.examples`.

    A network can memorize about as many as it has parameters for each output; a linear one, one more than the
    rank of its inputs. With half of that few steps suffice. The subset is also the validation set, so
    val_loss and val_error are measured on it after every epoch, without dropout.
    """
    dataset = subject.dataset
    train = subject.subsample(subject.fold.train, EXAMPLES_TO_CHOOSE_FROM, "choice")
    # Copies of one example with different labels cannot be learnt by any job.
    inputs = subject.inputs(train)
    first = np.sort(np.unique(inputs, axis=0, return_index=True)[1])
    capacity = subject.graph.parameter_count // (2 * dataset.spec.outputs)
    if _is_linear(subject):
        rank = int(np.linalg.matrix_rank(inputs - inputs.mean(0)))
        capacity = min(capacity, (rank + 1) // 2)
    count = min(subject.budget.examples, max(2, capacity))
    if dataset.classes:
        first = first[undisputed(inputs[first], dataset.y[train[first]], count)]
    chosen = subject.subsample(train[first], count, "subset")
    everything = np.arange(len(chosen))
    repeated = np.tile(everything, -(-EPOCH_EXAMPLES // len(chosen)))
    batch_size = subject.experiment.batch_size
    batch_size = MAX_BATCH_SIZE if batch_size == "full" else min(batch_size, MAX_BATCH_SIZE)
    return subject.with_data(
        dataset.select(chosen), Fold(train=repeated, validation=everything, test=everything),
        regularizer=Regularizer(), schedule=Constant(), stopping=Stopping(),
        metric="last", batch_size=batch_size,
    )  # fmt: skip


def _is_linear(subject: Subject) -> bool:
    nodes = [subject.graph.nodes[n] for n in layers.activations(subject.graph)]
    return all(isinstance(node.box, Identity) for node in nodes)


def undisputed(x: np.ndarray, y: np.ndarray, count: int) -> np.ndarray:
    """The sorted indices of examples x (N, d) of classes y (N,): of each class those with the most neighbours
    of the same class, a quarter, or enough for `count`.

    Where classes overlap in a few inputs, neighbours contradict each other, and overfitting them takes more
    capacity than a sound job has. Such a failure would say nothing about the job.
    """
    if len(x) <= max(count, NEIGHBOUR_COUNT):
        return np.arange(len(x))
    x = x.astype(np.float32)
    x = (x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1)
    square = (x**2).sum(1)
    distance = square[:, None] + square - 2 * x @ x.T
    np.fill_diagonal(distance, np.inf)  # no example is its own neighbour
    nearest = np.argpartition(distance, NEIGHBOUR_COUNT, axis=1)[:, :NEIGHBOUR_COUNT]
    order = np.argsort(-(y[nearest] == y[:, None]).sum(1), kind="stable")
    share = max(UNDISPUTED_SHARE, count / len(x))
    order_by_class = [order[y[order] == c] for c in np.unique(y)]
    undisputed_by_class = [indices[: math.ceil(share * len(indices))] for indices in order_by_class]
    return np.sort(np.concatenate(undisputed_by_class))


def until_memorized(records: Iterator[Record], limit: float, is_classification: bool) -> Iterator[Record]:
    """The records up to the third consecutive epoch after which row 0, with the job's rate, has memorized the
    subset: its loss is at most `limit`, and every class is right."""
    consecutive = 0
    for record in records:
        yield record
        for position in np.flatnonzero(record.rows == 0):
            memorized = record.val_loss[position] <= limit and not (
                is_classification and record.val_error[position]
            )
            consecutive = consecutive + 1 if memorized else 0
        if consecutive == CONSECUTIVE_EPOCHS:
            return


def probe_at_start(subject: Subject) -> dict[str, dict]:
    """The activations and gradients of the network before the first step, on the job's data."""
    with computing():
        sample = subject.sample(saturation.PROBE_EXAMPLES, regularizer=Regularizer())
        rows = sample.rows(subject.affordable_seeds(examples_per_row=saturation.PROBE_EXAMPLES))
        return saturation.Probe(sample, sample.start_training(rows)).measure()


def _find_cause(subject: Subject) -> Finding | None:
    """A fault at the start that alone explains a failure to learn, if there is one: bad scales, or units or
    gradients that fail the checks of saturation."""
    scales = [finding for finding in data.scales(subject) if finding.status != "pass"]
    if scales:
        return scales[0]
    measurements = probe_at_start(subject)
    findings = [
        *saturation.stuck_findings({"at the start": measurements}),
        *saturation.gradient_flow_findings(measurements),
    ]
    return next((finding for finding in findings if finding.status == "fail"), None)
