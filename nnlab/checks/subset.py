"""A small subset: what cannot learn 50 examples by heart, without regularisation, cannot learn at all.

The training loss must go to about 0 and the accuracy to 100%. Beside the job's own learning rate, other rows
of the stack train at smaller and larger ones: if the job's row fails, they and its curve tell the lecture's
causes apart. Units saturated from the first steps; an error that bounces, while a lower rate does better; a
loss that does not fall even at a very small rate, which only a wrong gradient does; or a rate that is too
small.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnlab.autodiff.activations import Identity
from nnlab.checks import passes, saturation
from nnlab.checks.subject import Sample, Subject, chance, curves
from nnlab.checks.verdict import Finding, Verdict
from nnlab.data.splits import Fold
from nnlab.engine import computing
from nnlab.regularizers import Regularizer
from nnlab.schedules import Constant
from nnlab.stopping import Stopping

BATCH, EPOCH = (
    10,
    200,
)  # an epoch goes through the examples until there are so many: epochs have a cost of their own
FACTORS = (1.0, 1e-4, 1e-2, 0.1, 10.0)  # of the job's learning rate, a row each; the job's own first
ZERO = 0.05  # of chance's loss: "about 0"
FALLEN = 0.999  # of the first epoch's loss: at some small rate it must have fallen at all


def check(subject: Subject) -> Verdict:
    with computing():
        sample = subset(subject)
        by_chance = chance(
            sample.experiment.loss_for(sample.dataset), sample.dataset, sample.examples, sample.fold
        )
    optimizer, steps = sample.experiment.optimizer, sample.rows()[0].steps
    epochs = max(2, -(-subject.budget.steps // steps))
    variants = [
        {"optimizer": replace(optimizer, lr=optimizer.lr * factor), "epochs": epochs} for factor in FACTORS
    ]
    rows = sample.rows(variants=variants)
    records = sample.records(rows)
    loss, error = (curves(records, len(rows), name) for name in ("val_loss", "val_error"))
    findings = [judge(subject, sample, loss, error, by_chance)]
    details = {
        "examples": len(sample.dataset.x), "chance": by_chance, "factors": FACTORS, "steps": steps,
        "loss": loss, "error": error,
    }  # fmt: skip
    return Verdict.of("subset", findings, details)


def subset(subject: Subject) -> Sample:
    """Different examples, as many as the network can learn by heart, and `examples` at most.

    A network can fit about as many as it has parameters for each output; one without activations as many as
    its inputs have independent directions, and one. Half of that is asked for, so that it is reached soon.
    """
    dataset, train = subject.dataset, subject.fold.train
    _, first = np.unique(dataset.x[train], axis=0, return_index=True)
    own = sum(p.size for p in subject.graph.parameters.values()) // (2 * dataset.sizes[1])
    if all(isinstance(subject.graph.nodes[n].box, Identity) for n in passes.activations(subject.graph)):
        some = dataset.x[subject.some(train, 1000, "rank")].astype(np.float64)
        own = min(own, (int(np.linalg.matrix_rank(some - some.mean(0))) + 1) // 2)
    count = min(subject.budget.examples, max(2, own))
    chosen = subject.some(train[np.sort(first)], count, "subset")
    everything, size = np.arange(len(chosen)), subject.experiment.batch_size
    often = np.tile(everything, -(-EPOCH // len(chosen)))
    return subject.having(
        dataset.select(chosen), Fold(often, everything, everything), regularizer=Regularizer(),
        schedule=Constant(), stopping=Stopping(), metric="last",
        batch_size=BATCH if size == "full" else min(size, BATCH),
    )  # fmt: skip


def judge(subject: Subject, sample: Sample, loss: np.ndarray, error: np.ndarray, by_chance: float) -> Finding:
    """What the curves (rows, epochs) of the rates FACTORS say; the job's own is the first row."""
    classes, limit = bool(sample.dataset.classes), ZERO * by_chance
    learnt = (np.nan_to_num(loss, nan=np.inf).min(1) < limit) & (~classes | (np.nanmin(error, 1) == 0))
    ends = np.nan_to_num(loss[:, -1], nan=np.inf)
    n, own = len(sample.dataset.x), float(ends[0])
    told = f", {100 * (1 - error[0, -1]):.0f}% right" if classes and np.isfinite(error[0, -1]) else ""
    found = f"{n} examples: loss {own:.2g} (limit {limit:.2g}){told} after {loss.shape[1]} epochs"
    if learnt[0] and (np.isfinite(own) and own < by_chance):
        return Finding("pass", own, limit, found)

    def finding(status: str, cause: str, said: str, advice: str) -> Finding:
        return Finding(status, own, limit, f"{found}: {said}", advice, cause)

    cause = _cause(before(subject))
    if cause:
        return finding("fail", cause.cause, cause.found, cause.advice)
    lr, falls = sample.experiment.optimizer.lr * np.array(FACTORS), ends < FALLEN * loss[:, 0]
    lower = [k for k in (3, 2, 1) if learnt[k] or ends[k] < 0.5 * own]
    if not falls[1:4].any() and not falls[4] and not learnt.any():
        said = f"even at a rate of {lr[1]:.1g} the loss does not fall"
        advice = "the gradient is wrong or zero: nnlab check only=[gradients,start]"
        return finding("fail", "gradient", said, advice)
    if not np.isfinite(own) or lower:
        said = "it diverges" if not np.isfinite(own) else "it bounces" if _bounces(loss[0]) else "it stays up"
        said += f"; at {lr[lower[0]]:.2g} it ends at {ends[lower[0]]:.2g}" if lower else ""
        return finding("fail", "lr_high", said, "lower the learning rate: nnlab check only=rates")
    status = "warn" if own < 0.5 * by_chance else "fail"
    if ends[4] < FALLEN * ends.min(initial=np.inf, where=np.arange(len(ends)) != 4):
        said = f"at {lr[4]:.2g} it ends at {ends[4]:.2g}"
        if (
            learnt[4] and status == "warn"
        ):  # it gets there too, later: whether in time is for the rates to say
            return Finding("pass", own, limit, f"{found} and falling; {said}")
        return finding(status, "lr_low", said, "raise the learning rate: nnlab check only=rates")
    advice = "look for contradicting labels; widen the network; or give it more updates: check.steps"
    return finding(status, "capacity", "it falls, but no rate gets it there", advice)


def _bounces(loss: np.ndarray) -> bool:
    """Does it rise by a tenth or more in a fifth of the later epochs?"""
    later = loss[len(loss) // 2 :]
    rises = later[1:] > 1.1 * later[:-1]
    return bool(rises.mean() > 0.2) if len(rises) else False


def before(subject: Subject) -> dict[str, dict]:
    """What flows through the network before the first step, on the job's own data."""
    with computing():
        sample = subject.sample(saturation.EXAMPLES, regularizer=Regularizer())
        return saturation.Probe(subject, sample, sample.trainer(sample.rows(subject.budget.seeds))).look()


def _cause(looked: dict[str, dict]) -> Finding | None:
    """What the saturation rung finds so bad at the start that it alone explains a failure."""
    found = [*saturation.stuck({"at the start": looked}), *saturation.flow(looked)]
    return next((finding for finding in found if finding.status == "fail"), None)
