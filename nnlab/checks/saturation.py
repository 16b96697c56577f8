"""Saturation: what flows through the layers, at the start and after some steps.

A sigmoid or tanh unit is saturated on an example where its derivative is below 5% of the largest one that the
function has between -5 and 5; a relu unit is dead if that holds for all examples. Through either no gradient
passes. Where the gradient at the first layer is a small part of that at the last, the first learns that much
slower (vanishing; Hochreiter 1991, Glorot and Bengio 2010); where it is many times as large, a rate that
suits one is too much for the other (exploding).
"""

from __future__ import annotations

from itertools import islice

import numpy as np
import torch

from nnlab.autodiff.box import Site
from nnlab.checks.layers import activations, layers, slopes
from nnlab.checks.subject import Sample, Subject, stepwise
from nnlab.checks.verdict import STATUSES, Finding, Verdict, graded
from nnlab.runtime.threads import computing
from nnlab.training.training import Training

PROBE_EXAMPLES, PROBE_STEPS = 256, 100
FLAT_SLOPE = 0.05  # of the largest derivative
SLOPE_RANGE = 5.0  # -5 and 5: where activations have theirs
STUCK_WARN, STUCK_FAIL = 0.3, 0.6  # a standard normal input saturates 3% of tanh units, one of std 2 28%
# Of bounded units in training: half of those that decide may be at their ends.
LATE_WARN, LATE_FAIL = 0.6, 0.7
VANISH_WARN, VANISH_FAIL = 1e-3, 1e-5  # 1e-3: a layer of sigmoids passes at most 1/4, so five pass that
RATIO_WARN, RATIO_FAIL = 0.1, 1.0  # of |update| to |weights|: about 1e-3 is usual, 1 replaces the weights


def check(subject: Subject) -> Verdict:
    """What flows through the layers, at the start and after some steps."""
    with computing():
        sample = subject.sample(PROBE_EXAMPLES)
        seeds = subject.seeds(PROBE_STEPS * min(subject.row.batch, PROBE_EXAMPLES))
        probe = Probe(sample, sample.training(sample.rows(seeds)))
        before = probe.look()
        ratios = probe.train(PROBE_STEPS)
        after = probe.look()
    findings = [
        *stuck({"at the start": before, f"after {PROBE_STEPS} steps": after}),
        *flow(before),
        *_updates(ratios),
    ]
    healthy = all(finding.status == "pass" for finding in findings)
    details = {"start": before, "after": after, "steps": PROBE_STEPS, "update_to_weight": ratios}
    return Verdict.of("saturation", [_healthy(before, after, ratios)] if healthy else findings, details)


class Probe:
    """Rows in training, and a second copy of their network to look at, without dropout."""

    def __init__(self, sample: Sample, training: Training):
        self.graph, self.training = sample.experiment.graph(sample.dataset.spec), training
        self.parameters = self.graph.layout().parameters
        self.loss = training.step.loss
        state = training.population.state
        theta = state.theta
        x, t = sample.examples.gather(sample.fold, sample.fold.train)
        rates = {name: p * 0 for name, p in training.population.experiment.regularizer.rates().items()}
        site = Site(len(theta), x.shape[1], True, sample.examples.like, rates)
        self.network = self.graph.bind(theta, torch.zeros_like(theta), site, state.buffers.clone())
        self.x, self.t = x[None], t[None].expand(len(theta), -1, -1)

    def look(self) -> dict[str, dict]:
        """Per layer: variances of its outputs and of the gradient there; per activation: the stuck share."""
        z = self.network.fprop(self.x)
        weight = self.x.new_full((1, 1, self.x.shape[2]), 1 / self.x.shape[2])
        values = [None if v is None else v.clone() for v in self.network.values()]
        gradients = self.network.bprop(self.loss.bprop(z, self.t, weight, out=torch.empty_like(z)))
        found = {"layers": {}, "activations": {}}
        for n in layers(self.graph):
            if n not in gradients:  # it leads nowhere
                continue
            found["layers"][self.graph.nodes[n].name] = {
                "variance": _median(values[n].var(-1).flatten(1).mean(1)),
                "gradient": _median(_size(gradients[n]) * self.x.shape[2]),
                "weights": self._size_of_weights(self.graph.nodes[n].name),
            }
        for n in activations(self.graph):
            node, x = self.graph.nodes[n], values[self.graph.nodes[n].inputs[0]]
            if x is None:
                continue
            f = self.network.placed[n].fprop if n in self.network.placed else lambda x: x
            grid = (
                torch.linspace(-SLOPE_RANGE, SLOPE_RANGE, x[0].numel())
                .to(x)
                .view(1, *x.shape[1:])
                .expand_as(x)
            )
            largest = slopes(f, grid).amax().clamp_min(FLAT_SLOPE)
            flat = (slopes(f, x) < FLAT_SLOPE * largest).to(x)
            bounded = node.box.bounded
            share = (flat if bounded else flat.amin(-1)).flatten(1).mean(1)
            found["activations"][node.name] = {"stuck": _median(share), "bounded": bounded}
        return found

    def _size_of_weights(self, layer: str) -> float:
        theta, own = self.training.population.state.theta, f"{layer}."
        weights = [slot for name, slot in self._weights().items() if name.startswith(own)]
        return max((_median(_size(slot.view(theta))) for slot in weights), default=1.0)

    def train(self, steps: int) -> dict[str, float]:
        """So many updates; per weight, how large an update is beside it, the median over the last half."""
        theta, ratios = self.training.population.state.theta, []
        before = theta.clone()
        for step, _ in enumerate(islice(stepwise(self.training), steps)):
            if step >= steps // 2:
                ratios.append([_update(slot, before, theta) for slot in self._weights().values()])
            before.copy_(theta)
        medians = np.median(np.array(ratios), axis=0)
        return {name: float(value) for name, value in zip(self._weights(), medians, strict=True)}

    def _weights(self):
        return self.graph.layout().weights


def _update(slot, before: torch.Tensor, after: torch.Tensor) -> float:
    old, new = slot.view(before).flatten(1), slot.view(after).flatten(1)
    size = torch.linalg.vector_norm(old, dim=1).clamp_min(1e-30)
    return _median(torch.linalg.vector_norm(new - old, dim=1) / size)


def _size(values: torch.Tensor) -> torch.Tensor:
    """Root mean square of each row, in float64: squares of small gradients are 0 in float32."""
    return values.flatten(1).double().square().mean(1).sqrt()


def _median(values: torch.Tensor) -> float:
    return float(values.double().nan_to_num(torch.inf).median())


# ---- what it says


def stuck(looks: dict[str, dict]) -> list[Finding]:
    """The stuck units that are the worst beside their limit; `looks` by when, the start first."""
    found, (first, *_) = [], looks.values()
    for when, looked in looks.items():
        for name, layer in looked["activations"].items():
            share, bounded = layer["stuck"], layer["bounded"]
            kind = "saturated" if bounded else "dead"
            late = bounded and looked is not first
            warn, fail = (LATE_WARN, LATE_FAIL) if late else (STUCK_WARN, STUCK_FAIL)
            said = f"{share:.0%} of {name}'s units are {kind} {when} (limit {warn:.0%})"
            advice = "reduce the variance of the initial weights, or normalise the inputs"
            if first["activations"][name]["stuck"] < STUCK_WARN:  # it began well
                advice = "lower the learning rate"
            elif not bounded:
                advice += "; or give the weights a small positive mean: init.mean=0.01"
            found.append(Finding(graded(share, warn, fail), share, warn, said, advice, kind))
    return sorted(found, key=lambda f: (-STATUSES.index(f.status), -f.number / f.threshold))[:1]


def flow(before: dict) -> list[Finding]:
    """The gradient at the first layer beside that at the last.

    None arrives through weights that are all 0, or units that are all stuck: other findings say that.
    """
    sizes = [layer["gradient"] for layer in before["layers"].values()]
    cut = any(layer["weights"] == 0 for layer in list(before["layers"].values())[1:])
    cut |= any(layer["stuck"] == 1 for layer in before["activations"].values())
    if len(sizes) < 2 or not sizes[-1] > 0 or (cut and sizes[0] == 0):
        return []
    ratio, first, last = sizes[0] / sizes[-1], *(list(before["layers"])[i] for i in (0, -1))
    found = f"the gradient at {first} is {ratio:.1e} times that at {last}"
    if ratio < 1:
        status = graded(-ratio, -VANISH_WARN, -VANISH_FAIL)
        advice = "it vanishes: fewer layers, relu or tanh for sigmoid, larger initial weights (init=auto)"
        said = f"{found} (at least {VANISH_WARN:g})"
        return [Finding(status, ratio, VANISH_WARN, said, advice, "vanishing", at_least=True)]
    status = graded(ratio, 1 / VANISH_WARN, 1 / VANISH_FAIL)
    advice = "it explodes: smaller initial weights (init=auto), or optimizer.clip_norm=1"
    return [
        Finding(status, ratio, 1 / VANISH_WARN, f"{found} (limit {1 / VANISH_WARN:g})", advice, "exploding")
    ]


def _updates(ratios: dict[str, float]) -> list[Finding]:
    name, ratio = max(ratios.items(), key=lambda item: np.nan_to_num(item[1], nan=np.inf))
    found = f"an update changes {name} by {ratio:.2g} of its size (limit {RATIO_WARN:g})"
    if not np.isfinite(ratio):
        found = f"{name} is no longer finite after {PROBE_STEPS} steps"
    advice = "lower the learning rate: about 1e-3 is usual"
    return [Finding(graded(ratio, RATIO_WARN, RATIO_FAIL), ratio, RATIO_WARN, found, advice, "lr_high")]


def _healthy(before: dict, after: dict, ratios: dict[str, float]) -> Finding:
    start, late = (list(look["activations"].values()) for look in (before, after))
    gradients = [layer["gradient"] for layer in before["layers"].values()]
    parts = []
    first = max((a["stuck"] for a in start), default=0.0)
    if start:
        parts.append(f"{first:.0%} of units stuck (limit {STUCK_WARN:.0%})")
        limit, share = max(((_late(a), a["stuck"]) for a in late), key=lambda pair: pair[1] / pair[0])
        parts.append(f"{share:.0%} later (limit {limit:.0%})")
    if len(gradients) > 1 and gradients[-1] > 0:
        parts.append(f"gradient first to last layer {gradients[0] / gradients[-1]:.2g}")
    parts.append(f"updates {max(ratios.values()):.1g}")
    return Finding("pass", first, STUCK_WARN, ", ".join(parts))


def _late(activation: dict) -> float:
    """How many of its units may be stuck after some steps."""
    return LATE_WARN if activation["bounded"] else STUCK_WARN
