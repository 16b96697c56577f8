"""The start rung: the loss before the first step compared with chance, and units that are identical.

Before training a network knows nothing, so its loss should be near that of an answer that does not look at
the inputs: ln C for C classes, the target's variance. Initial weights that keep the variance of what goes
through them give outputs of variance 1 to 2, and so a loss somewhat above chance: for ten classes 3, compared
with ln 10 = 2.3; in regression 3, compared with 1. The limit is a multiple of the loss of random outputs
N(0, 2): far more than that says that the outputs are too large.

Units of a layer that start with the same weights and get the same gradient stay the same for ever.
"""

from __future__ import annotations

import numpy as np
import torch

from nnlab.checks.noise import draw_once
from nnlab.checks.subject import Subject, mean_chance_loss
from nnlab.checks.verdict import Finding, Verdict, grade
from nnlab.regularizers import Regularizer
from nnlab.runtime.threads import computing
from nnlab.streams import stream

MIN_EXAMPLES, MAX_EXAMPLES = 100, 1000
WORK_SHARE = 0.2  # of the budget's work
OUTPUT_VARIANCE = 2.0  # of the outputs with variance-preserving weights
LOSS_RATIO_WARN, LOSS_RATIO_FAIL = 2.5, 10.0  # times the loss of such random outputs
EQUAL_TOLERANCE = 1e-6  # relative: the rounding of equal sums


def check(subject: Subject) -> Verdict:
    """The loss before the first step, and whether units are symmetric."""
    with computing():
        seeds = subject.affordable_seeds(MAX_EXAMPLES)
        affordable = int(WORK_SHARE * subject.budget.work / (subject.graph.work * seeds))
        count = max(MIN_EXAMPLES, min(MAX_EXAMPLES, affordable))
        sample = subject.sample(count, regularizer=Regularizer(), batch_size="full")
        training = sample.start_training(sample.rows(seeds))
        chance_loss = mean_chance_loss(training.step.loss, sample)
        _, t = sample.examples.gather(sample.fold, sample.fold.train)
        random_loss = random_output_loss(training.step.loss, t)
        losses = training.evaluator.validate()["val_loss"]
        symmetric_layers = _symmetric_layers(sample, training)
    # The median, since single seeds reach 1.5 times as much.
    findings = [_loss_finding(float(np.median(losses)), chance_loss, random_loss, len(losses))]
    if symmetric_layers:
        findings.insert(0, _symmetry_finding(symmetric_layers))
    details = {
        "losses": losses,
        "chance": chance_loss,
        "random_outputs": random_loss,
        "alike": symmetric_layers,
    }
    return Verdict.from_findings("start", findings, details)


def random_output_loss(loss, t: torch.Tensor) -> float:
    """The mean loss of random outputs N(0, 2) for the targets t (m, N)."""
    shape = loss.outputs(len(t)), t.shape[1]
    z = np.sqrt(OUTPUT_VARIANCE) * stream(0, "check", "outputs").standard_normal(shape)
    return float(loss.fprop(torch.from_numpy(z).to(t), t).double().mean())


def _loss_finding(loss: float, chance_loss: float, random_loss: float, rows: int) -> Finding:
    limit = LOSS_RATIO_WARN * random_loss
    status = grade(loss, limit, LOSS_RATIO_FAIL * random_loss)
    sentence = f"loss {loss:.3g} before the first step, {chance_loss:.3g} by chance"
    sentence += f" (limit {limit:.3g}; {rows} seeds)"
    if status == "pass":
        return Finding(status, loss, limit, sentence)
    advice = "the outputs are too large: normalise the inputs, or reduce the variance of the initial weights"
    return Finding(status, loss, limit, sentence, advice, "large_outputs")


def _symmetry_finding(layers: list[str]) -> Finding:
    names = ", ".join(layers)
    sentence = f"all units of {names} are alike and get the same gradient, so they stay alike (limit 0)"
    advice = "break the symmetry: draw the weights at random, e.g. init=auto"
    return Finding("fail", len(layers), 0, sentence, advice, "symmetry")


def _symmetric_layers(sample, training) -> list[str]:
    """The layers whose units have equal weights and equal gradients in every row."""
    network, grad = training.step.network, training.step.grad
    leaf_slices = sample.experiment.graph(sample.dataset.spec).layout().parameters
    batch = next(iter(training.batches.epoch(1)))
    draw_once(network)
    z = network.fprop(batch.x[0])
    weight = batch.weight[0]
    network.bprop(training.step.loss.bprop(z, batch.t[0], weight, out=torch.empty_like(z)), weight)
    theta = training.population.state.theta
    layers = []
    for name, leaf_slice in leaf_slices.items():
        several_units = leaf_slice.leaf.kind == "weight" and leaf_slice.leaf.shape[0] > 1
        if several_units and _equal_units(leaf_slice.view(theta)) and _equal_units(leaf_slice.view(grad)):
            layers.append(name.rpartition(".")[0])
    return layers


def _equal_units(W: torch.Tensor) -> bool:
    """Whether all units of W (K, fan_out, ...) are the same, in every row."""
    spread = (W - W[:, :1]).abs().amax()
    return bool(spread <= EQUAL_TOLERANCE * W.abs().amax())
