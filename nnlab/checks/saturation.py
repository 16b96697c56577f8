"""The saturation rung: activations and gradients in each layer, at the start and after some steps.

A sigmoid or tanh unit is saturated on an example where its derivative is below 5% of the largest one that the
function has between -5 and 5; a relu unit is dead if that holds for all examples, and a channel of a feature
map for all examples and places: its weights are the same everywhere. Through either no gradient passes: both
count as stuck. Where the gradient at the first layer is a small part of that at the last, the
first learns that much slower (vanishing; Hochreiter 1991, Glorot and Bengio 2010); where it is many times as
large, a rate that suits one is too much for the other (exploding).
"""

from __future__ import annotations

from itertools import islice

import numpy as np
import torch

from nnlab.autodiff.box import Site
from nnlab.autodiff.graph import LeafSlice
from nnlab.checks.flow import Flow, median
from nnlab.checks.noise import draw_once, zero_rates
from nnlab.checks.subject import Sample, Subject, training_steps
from nnlab.checks.verdict import STATUSES, Finding, Verdict, grade
from nnlab.runtime.devices import thread_count
from nnlab.runtime.threads import computing
from nnlab.training.training import Training

PROBE_EXAMPLES, PROBE_STEPS = 256, 100
MIN_BATCH_SIZE = 32  # of a network for which the budget is too small
STUCK_WARN, STUCK_FAIL = 0.3, 0.6  # a standard normal input saturates 3% of tanh units, one of std 2 28%
# Training saturates bounded units that have decided, so after it they may be stuck on more than half of the
# examples; only bounded units have these limits.
LATE_WARN, LATE_FAIL = 0.6, 0.7
VANISH_WARN, VANISH_FAIL = 1e-3, 1e-5  # a layer of sigmoids passes on at most 1/4, so five 1e-3
UPDATE_WARN, UPDATE_FAIL = 0.1, 1.0  # of |update| to |weights|: about 1e-3 is usual, 1 replaces the weights


def check(subject: Subject) -> Verdict:
    """Saturated or dead units, vanishing or exploding gradients, and too large updates."""
    with computing():
        batch = min(subject.row.batch, PROBE_EXAMPLES)
        affordable = int(subject.budget.work / (subject.graph.work * PROBE_STEPS))
        batch = min(batch, max(MIN_BATCH_SIZE, affordable))
        sample = subject.sample(PROBE_EXAMPLES, batch_size=batch)
        examples_per_row = PROBE_STEPS * batch
        seeds = subject.affordable_seeds(examples_per_row)
        threads = thread_count(subject.experiment.threads)
        probe = Probe(sample, sample.start_training(sample.rows(seeds), threads), threads)
        before = probe.measure()
        ratios = probe.train(PROBE_STEPS)
        after = probe.measure()
    findings = [
        *stuck_findings({"at the start": before, f"after {PROBE_STEPS} steps": after}),
        *gradient_flow_findings(before),
        *_update_finding(ratios),
    ]
    healthy = all(finding.status == "pass" for finding in findings)
    details = {
        "start": before, "after": after, "steps": PROBE_STEPS, "update_to_weight": ratios,
        "stuck_limits": (
            STUCK_WARN, max(map(_late_limit, after["activations"].values()), default=STUCK_WARN)
        ),
    }  # fmt: skip
    return Verdict.from_findings(
        "saturation", [_passing_finding(before, after, ratios)] if healthy else findings, details
    )


class Probe:
    """Rows in training, and a second binding of the same theta for measurements, without dropout."""

    def __init__(self, sample: Sample, training: Training, threads: int = 1):
        self.graph, self.training = sample.experiment.graph(sample.dataset.spec), training
        self.weights = self.graph.layout().weights
        self.loss = training.step.loss
        state = training.population.state
        theta = state.theta
        x, t = sample.examples.gather(sample.fold, sample.fold.train)
        columns = zero_rates(training.population.experiment)
        site = Site(
            len(theta), x.shape[1], training=True, template=sample.examples.template, columns=columns,
            threads=threads,
        )  # fmt: skip
        self.network = self.graph.bind(theta, torch.zeros_like(theta), site, state.buffers.clone())
        draw_once(self.network)  # for boxes that are random whatever the rates
        self.x, self.t = x[None], t[None].expand(len(theta), -1, -1)

    def measure(self) -> dict[str, dict]:
        """What flows through the rows now: see `Flow.measure`."""
        theta = self.training.population.state.theta
        return Flow.through(self.network, self.loss, theta, self.x, self.t).measure()

    def train(self, steps: int) -> dict[str, float]:
        """Train so many steps; per leaf of weights, the ratio |update| / |weights|, its median over the last
        half of the steps."""
        theta, ratios = self.training.population.state.theta, []
        before = theta.clone()
        for step, _ in enumerate(islice(training_steps(self.training), steps)):
            if step >= steps // 2:
                ratios.append(
                    [_relative_update(leaf_slice, before, theta) for leaf_slice in self.weights.values()]
                )
            before.copy_(theta)
        medians = np.median(np.array(ratios), axis=0)
        return {name: float(value) for name, value in zip(self.weights, medians, strict=True)}


def _relative_update(leaf_slice: LeafSlice, before: torch.Tensor, after: torch.Tensor) -> float:
    old, new = leaf_slice.view(before).flatten(1), leaf_slice.view(after).flatten(1)
    size = torch.linalg.vector_norm(old, dim=1).clamp_min(1e-30)
    return median(torch.linalg.vector_norm(new - old, dim=1) / size)


# ---- findings


def stuck_findings(measurements: dict[str, dict]) -> list[Finding]:
    """The activation with the most stuck units relative to its limit; `measurements`: by time, the start
    first."""
    findings, (start, *_) = [], measurements.values()
    for time, measurement in measurements.items():
        for name, activation in measurement["activations"].items():
            stuck_share, bounded = activation["stuck"], activation["bounded"]
            kind = "saturated" if bounded else "dead"
            late = bounded and measurement is not start
            warn, fail = (LATE_WARN, LATE_FAIL) if late else (STUCK_WARN, STUCK_FAIL)
            sentence = f"{stuck_share:.0%} of {name}'s units are {kind} {time} (limit {warn:.0%})"
            advice = "reduce the variance of the initial weights, or normalise the inputs"
            if start["activations"][name]["stuck"] < STUCK_WARN:  # it was fine at the start
                advice = "lower the learning rate"
            elif not bounded:
                advice += "; or give the weights a small positive mean: init.mean=0.01"
            findings.append(
                Finding(grade(stuck_share, warn, fail), stuck_share, warn, sentence, advice, kind)
            )
    return sorted(findings, key=lambda f: (-STATUSES.index(f.status), -f.number / f.threshold))[:1]


def gradient_flow_findings(before: dict) -> list[Finding]:
    """The gradient at the first layer relative to that at the last: vanishing or exploding?

    No gradient passes through weights that are all 0, or units that are all stuck: other findings report
    these.
    """
    sizes = [layer["gradient"] for layer in before["layers"].values()]
    blocked = any(layer["weights"] == 0 for layer in list(before["layers"].values())[1:])
    blocked |= any(activation["stuck"] == 1 for activation in before["activations"].values())
    if len(sizes) < 2 or not sizes[-1] > 0 or (blocked and sizes[0] == 0):
        return []
    ratio, names = sizes[0] / sizes[-1], list(before["layers"])
    description = f"the gradient at {names[0]} is {ratio:.1e} times that at {names[-1]}"
    if ratio < 1:
        status = grade(-ratio, -VANISH_WARN, -VANISH_FAIL)
        advice = "it vanishes: fewer layers, relu or tanh for sigmoid, larger initial weights (init=auto)"
        sentence = f"{description} (at least {VANISH_WARN:g})"
        return [Finding(status, ratio, VANISH_WARN, sentence, advice, "vanishing", at_least=True)]
    status = grade(ratio, 1 / VANISH_WARN, 1 / VANISH_FAIL)
    advice = "it explodes: smaller initial weights (init=auto), or optimizer.clip_norm=1"
    return [
        Finding(
            status, ratio, 1 / VANISH_WARN, f"{description} (limit {1 / VANISH_WARN:g})", advice, "exploding"
        )
    ]


def _update_finding(ratios: dict[str, float]) -> list[Finding]:
    """The weights whose updates are the largest relative to them: none in a network without weights."""
    if not ratios:
        return []
    name, ratio = max(ratios.items(), key=lambda item: np.nan_to_num(item[1], nan=np.inf))
    description = f"an update changes {name} by {ratio:.2g} of its size (limit {UPDATE_WARN:g})"
    if not np.isfinite(ratio):
        description = f"{name} is no longer finite after {PROBE_STEPS} steps"
    advice = "lower the learning rate: about 1e-3 is usual"
    return [
        Finding(grade(ratio, UPDATE_WARN, UPDATE_FAIL), ratio, UPDATE_WARN, description, advice, "lr_high")
    ]


def _passing_finding(before: dict, after: dict, ratios: dict[str, float]) -> Finding:
    start, late = (list(measurement["activations"].values()) for measurement in (before, after))
    gradients = [layer["gradient"] for layer in before["layers"].values()]
    sentences = []
    stuck_at_start = max((a["stuck"] for a in start), default=0.0)
    if start:
        sentences.append(f"{stuck_at_start:.0%} of units stuck (limit {STUCK_WARN:.0%})")
        limit, stuck_share = max(
            ((_late_limit(a), a["stuck"]) for a in late), key=lambda pair: pair[1] / pair[0]
        )
        sentences.append(f"{stuck_share:.0%} later (limit {limit:.0%})")
    if len(gradients) > 1 and gradients[-1] > 0:
        sentences.append(f"gradient first to last layer {gradients[0] / gradients[-1]:.2g}")
    if ratios:
        sentences.append(f"updates {max(ratios.values()):.1g}")
    return Finding(
        "pass", stuck_at_start, STUCK_WARN, ", ".join(sentences) or "no weights and no activations"
    )


def _late_limit(activation: dict) -> float:
    """The share of its units that may be stuck after some steps."""
    return LATE_WARN if activation["bounded"] else STUCK_WARN
