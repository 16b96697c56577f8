"""The start: the loss before the first step against what chance gives, and units that are all alike.

Before training a network knows nothing, so its loss should be near that of an answer that does not look at
the inputs: ln C for C classes, the target's variance. Initial weights that keep the variance of what goes
through them give outputs of variance 1 to 2, and with them a loss somewhat above chance: for ten classes 3
beside ln 10 = 2.3, in regression 3 beside 1. The limit is made of the loss of random outputs N(0, 2): far
more than that says that the outputs are too large.

Units of a layer that begin with the same weights and get the same gradient stay the same for ever.
"""

from __future__ import annotations

import numpy as np
import torch

from nnlab.checks.subject import Subject, chance
from nnlab.checks.verdict import Finding, Verdict, graded
from nnlab.regularizers import Regularizer
from nnlab.runtime.threads import computing
from nnlab.streams import stream

EXAMPLES = 1000
VARIANCE = 2.0  # of outputs that variance-preserving weights give
WARN, FAIL = 2.5, 10.0  # times the loss of such outputs; single seeds reach 1.5 times
ALIKE = 1e-6  # relative: rounding of equal sums, not more


def check(subject: Subject) -> Verdict:
    """The loss before the first step, and whether units are alike."""
    with computing():
        sample = subject.sample(EXAMPLES, regularizer=Regularizer(), batch_size="full")
        training = sample.training(sample.rows(subject.seeds(EXAMPLES)))
        by_chance = chance(training.step.loss, sample.dataset, sample.examples, sample.fold)
        _, t = sample.examples.gather(sample.fold, sample.fold.train)
        usual = random_outputs(training.step.loss, t)
        losses = training.evaluator.validate()["val_loss"]
        alike = _alike(sample, training)
    findings = [_loss(float(np.median(losses)), by_chance, usual, len(losses))]
    if alike:
        findings.insert(0, _symmetric(alike))
    details = {"losses": losses, "chance": by_chance, "random_outputs": usual, "alike": alike}
    return Verdict.of("start", findings, details)


def random_outputs(loss, t: torch.Tensor) -> float:
    """The mean loss of outputs N(0, 2) that know nothing of the targets t (m, N)."""
    shape = loss.outputs(len(t)), t.shape[1]
    z = np.sqrt(VARIANCE) * stream(0, "check", "outputs").standard_normal(shape)
    return float(loss.fprop(torch.from_numpy(z).to(t), t).double().mean())


def _loss(loss: float, by_chance: float, usual: float, rows: int) -> Finding:
    status, limit = graded(loss, WARN * usual, FAIL * usual), WARN * usual
    found = (
        f"loss {loss:.3g} before the first step, {by_chance:.3g} by chance (limit {limit:.3g}; {rows} seeds)"
    )
    if status == "pass":
        return Finding(status, loss, limit, found)
    advice = "the outputs are too large: normalise the inputs, or reduce the variance of the initial weights"
    return Finding(status, loss, limit, found, advice, "large_outputs")


def _symmetric(layers: list[str]) -> Finding:
    found = (
        f"all units of {', '.join(layers)} are alike and get the same gradient, so they stay alike (limit 0)"
    )
    advice = "break the symmetry: draw the weights at random, e.g. init=auto"
    return Finding("fail", len(layers), 0, found, advice, "symmetry")


def _alike(sample, training) -> list[str]:
    """The layers whose units have equal weights and equal gradients in every row."""
    network, grad = training.step.network, training.step.grad
    slots = sample.experiment.graph(sample.dataset.spec).layout().slots
    batch = next(iter(training.batches.epoch(1)))
    z = network.fprop(batch.x[0])
    network.bprop(training.step.loss.bprop(z, batch.t[0], batch.weight[0], out=torch.empty_like(z)))
    theta = training.population.state.theta
    return [
        name.rpartition(".")[0]
        for name, slot in slots.items()
        if slot.leaf.kind == "weight"
        and slot.leaf.shape[0] > 1
        and _equal_rows(slot.view(theta))
        and _equal_rows(slot.view(grad))
    ]


def _equal_rows(W: torch.Tensor) -> bool:
    """W (K, fan_out, ...): are all units of a row the same, in every row?"""
    spread = (W - W[:, :1]).abs().amax()
    return bool(spread <= ALIKE * W.abs().amax())
