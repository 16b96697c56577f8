"""The start: the loss before the first step against what chance gives, and units that are all alike.

Before training a network knows nothing, so its loss should be near that of an answer that does not look at
the inputs: ln C for C classes, the target's variance. Initial weights that keep the variance give outputs of
variance 1 to 2, and with them a loss of 1.2 to 3 times that. Far more says that the outputs are too large.

Units of a layer that begin with the same weights and get the same gradient stay the same for ever.
"""

from __future__ import annotations

import numpy as np
import torch

from nnlab.checks.subject import Subject, chance
from nnlab.checks.verdict import Finding, Verdict, graded
from nnlab.engine import computing
from nnlab.regularizers import Regularizer

EXAMPLES = 1000
WARN, FAIL = 6.0, 20.0  # times chance: variance-preserving weights give 3 in regression, some seeds up to 5
ALIKE = 1e-6  # relative: rounding of equal sums, not more


def check(subject: Subject) -> Verdict:
    with computing():
        sample = subject.sample(EXAMPLES, regularizer=Regularizer(), batch_size="full")
        trainer = sample.trainer(sample.rows(subject.budget.seeds))
        by_chance = chance(trainer.measure.loss, sample.dataset, sample.examples, sample.fold)
        losses = trainer.evaluator.validate()["val_loss"]
        alike = _alike(sample, trainer)
    size, metric = float(np.median(losses)), by_chance or 1.0
    findings = [_loss(size / metric, size, by_chance, len(losses))]
    if alike:
        findings.insert(0, _symmetric(alike))
    return Verdict.of("start", findings, {"losses": losses, "chance": by_chance, "alike": alike})


def _loss(ratio: float, loss: float, by_chance: float, rows: int) -> Finding:
    status = graded(ratio, WARN, FAIL)
    found = f"loss {loss:.3g} before the first step is {ratio:.3g} times chance's {by_chance:.3g}"
    advice = "the outputs are too large: normalise the inputs, or reduce the variance of the initial weights"
    wrong = status != "pass"
    found += f" (limit {WARN:g}; {rows} seeds)"
    return Finding(status, ratio, WARN, found, advice * wrong, "large_outputs" * wrong)


def _symmetric(layers: list[str]) -> Finding:
    found = (
        f"all units of {', '.join(layers)} are alike and get the same gradient, so they stay alike (limit 0)"
    )
    advice = "break the symmetry: draw the weights at random, e.g. init=auto"
    return Finding("fail", len(layers), 0, found, advice, "symmetry")


def _alike(sample, trainer) -> list[str]:
    """The layers whose units have equal weights and equal gradients in every row."""
    network, grad = trainer.network, trainer.grad
    slots, _, _ = sample.experiment.graph(sample.dataset).layout()
    batch = next(iter(trainer.batches.epoch(1)))
    z = network.fprop(batch.x[0])
    network.bprop(trainer.measure.loss.bprop(z, batch.t[0], batch.weight[0], out=torch.empty_like(z)))
    theta = trainer.population.state.theta
    return [
        name.rpartition(".")[0]
        for name, slot in slots.items()
        if slot.parameter.kind == "weight"
        and slot.parameter.shape[0] > 1
        and _equal_rows(slot.view(theta))
        and _equal_rows(slot.view(grad))
    ]


def _equal_rows(W: torch.Tensor) -> bool:
    """W (K, fan_out, ...): are all units of a row the same, in every row?"""
    spread = (W - W[:, :1]).abs().amax()
    return bool(spread <= ALIKE * W.abs().amax())
