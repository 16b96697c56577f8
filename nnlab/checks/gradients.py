"""Gradients: `bprop` of the job's network against central differences and torch.autograd, in float64.

Twice: the gradient of the whole objective, parameter by parameter; and each box, the loss and the penalty by
itself, with the inputs that it has in the network and a random gradient at its output. The first shows that
something is wrong, the second says where.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from nnlab.checks import references
from nnlab.checks.differences import compare
from nnlab.checks.objective import Objective
from nnlab.checks.passes import backward, forward
from nnlab.checks.subject import Budget, Subject
from nnlab.checks.verdict import Finding, Verdict
from nnlab.engine import computing
from nnlab.streams import stream

DIFFERENCES = (
    1e-5  # relative error of differences; a right gradient is off by some 1e-8, a wrong one by > 1e-3
)
AUTOGRAD = 1e-8  # of autograd, which subtracts nothing: a right gradient is off by some 1e-14
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Compared:
    """One gradient beside its references."""

    where: str  # hidden1.weight, or what of which box: relu1, dx
    error: float  # relative, to differences
    of_autograd: float | None  # the same to autograd, if there is a reference
    kinks: int = 0
    numbers: int = 0  # how many were compared with differences
    of: int = 0  # of how many

    @property
    def wrong(self) -> bool:
        return self.error > DIFFERENCES or (self.of_autograd or 0) > AUTOGRAD

    @property
    def severity(self) -> float:
        """The larger of both errors, in units of its limit."""
        return max(self.error / DIFFERENCES, (self.of_autograd or 0) / AUTOGRAD)


def check(subject: Subject) -> Verdict:
    with computing(), torch.inference_mode(False), torch.no_grad():
        objective = Objective(subject)
        whole = list(whole_objective(objective, subject.budget))
        boxes = list(each_box(objective, subject.budget))
    details = {
        "parameters": {c.where: _plain(c) for c in whole},
        "boxes": {c.where: _plain(c) for c in boxes},
    }
    return Verdict.of("gradients", [_finding(whole, boxes)], details)


def _finding(whole: list[Compared], boxes: list[Compared]) -> Finding:
    wrong = sorted([c for c in boxes if c.wrong], key=lambda c: -c.severity)
    wrong_whole = sorted([c for c in whole if c.wrong], key=lambda c: -c.severity)
    everything = [*whole, *boxes]
    if wrong:
        first, others = wrong[0], [c.where for c in wrong[1:]]
        also = f"; also {', '.join(others[:3])}" if others else ""
        reaches = f", which spoils {_listed([c.where for c in wrong_whole])}" if wrong_whole else ""
        found = f"{first.where} is wrong: {_errors(first)}{also}{reaches}"
        advice = f"bprop of {first.where.partition(':')[0]} disagrees with its own fprop: mend its formula"
        return Finding("fail", first.error, DIFFERENCES, found, advice, "gradient")
    if wrong_whole:
        first = wrong_whole[0]
        found = f"every box is right by itself, but {first.where} is wrong: {_errors(first)}"
        advice = "look at how the graph adds up gradients where several boxes read one"
        return Finding("fail", first.error, DIFFERENCES, found, advice, "gradient")
    worst = max(c.error for c in everything)
    return Finding("pass", worst, DIFFERENCES, _right(worst, whole, everything))


def _right(worst: float, whole: list[Compared], everything: list[Compared]) -> str:
    seen, total = sum(c.numbers for c in whole), sum(c.of for c in whole)
    if seen == total:
        which = f"all {total:,} parameters"
    else:  # none of n is wrong: by the rule of three, less than 3 / n of all are, with 95% confidence
        least = min(c.numbers for c in whole if c.numbers < c.of)
        bound = -np.log(1 - CONFIDENCE) / least
        which = f"{seen:,} of {total:,} parameters (error bound {bound:.1%})"
    kinks = sum(c.kinks for c in everything)
    beside = [c.of_autograd for c in everything if c.of_autograd is not None]
    autograd = f", {max(beside):.0e} of autograd" if beside else ""
    tail = f"; {kinks} at kinks left out" if kinks else ""
    return f"{which} within {worst:.0e} of differences (limit {DIFFERENCES:g}){autograd}{tail}"


def _errors(c: Compared) -> str:
    beside = "" if c.of_autograd is None else f", {c.of_autograd:.2g} from autograd's (limit {AUTOGRAD:g})"
    return f"off by {c.error:.2g} from differences (limit {DIFFERENCES:g}){beside}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _plain(c: Compared) -> dict:
    return {
        "error": c.error, "autograd": c.of_autograd, "kinks": c.kinks, "compared": c.numbers, "of": c.of,
    }  # fmt: skip


# ---- the whole objective


def whole_objective(objective: Objective, budget: Budget) -> Iterator[Compared]:
    """Every parameter's gradient; of large networks a random sample of its numbers."""
    mine, other, f = objective.gradient(), objective.by_autograd(), objective.moved()
    here = float(objective.value(objective.network, objective.theta))
    every = sum(len(g) for g in mine.values()) <= budget.parameters
    for name, g in mine.items():
        which = _some(len(g), None if every else budget.sample, name)
        seen = compare(
            g[which], lambda w, s, n=name, which=which: f(n, which[w], s), here, abs(here) + 1,
            abs(g).max(), DIFFERENCES,
        )  # fmt: skip
        beside = None if other is None else relative(g, other[name])
        yield Compared(name, seen.error, beside, int(seen.kinks.sum()), len(which), len(g))


def relative(mine: np.ndarray, other: np.ndarray) -> float:
    """The largest difference, relative to the largest number of both; infinite for what is no number."""
    scale = max(abs(mine).max(initial=0), abs(other).max(initial=0))
    return float(np.nan_to_num(abs(mine - other).max(initial=0) / scale, nan=np.inf)) if scale > 0 else 0.0


def _some(n: int, count: int | None, name: str) -> np.ndarray:
    if count is None or count >= n:
        return np.arange(n)
    return np.sort(stream(0, "check", "numbers", name).choice(n, count, replace=False))


# ---- each box by itself


def each_box(objective: Objective, budget: Budget) -> Iterator[Compared]:
    """The gradients that each box computes, of its inputs and its parameters; the loss's; the penalty's."""
    network, described = objective.network, objective.graph
    values = forward(network, objective.x)
    reached = backward(network, described, _normal(values[-1], "output"))
    useful = described.leads_to_parameters()
    for n, node in enumerate(network.nodes):
        if n and n in reached and useful[n]:
            inputs = [(i, values[i].clone()) for i in node.inputs]
            yield from _box(objective, budget, node, inputs, useful)
    yield from _loss(objective, budget, values[-1])
    if objective.experiment.regularizer.l2 or objective.experiment.regularizer.l1:
        yield _penalty(objective, budget)


def _box(objective: Objective, budget: Budget, node, inputs, useful) -> Iterator[Compared]:
    box, x = node.box, [value for _, value in inputs]
    dy = _normal(box.fprop(*x), node.name)
    theta = {
        name.rpartition(".")[2]: slot.view(objective.theta)
        for name, slot in objective.slots.items()
        if name.rpartition(".")[0] == node.name
    }
    dx = [None if d is None else d.clone() for d in box.bprop(dy)]
    grad = {name: objective.slots[f"{node.name}.{name}"].view(objective.grad).clone() for name in theta}
    other = _by_autograd(box, theta, x, dy)
    mine = {
        f"input {j}" if len(x) > 1 else "dx": (dx[j], x[j]) for j, (i, _) in enumerate(inputs) if useful[i]
    }
    mine |= {f"d{name}": (grad[name], theta[name]) for name in theta}

    def value() -> tuple[float, float]:
        terms = box.fprop(*x) * dy
        return float(terms.sum()), float(terms.abs().sum())

    for what, (g, moved) in mine.items():
        yield _compared(f"{node.name}: {what}", g, moved, value, budget, other and other[what])


def _by_autograd(box, theta, x, dy) -> dict[str, torch.Tensor] | None:
    reference = references.BOXES.get(type(box))
    if reference is None:
        return None
    with torch.enable_grad():
        leaves = [v.clone().requires_grad_() for v in x]
        own = {name: v.clone().requires_grad_() for name, v in theta.items()}
        every = [*leaves, *own.values()]
        found = torch.autograd.grad(reference(box, own, *leaves), every, dy, allow_unused=True)
    names = [f"input {j}" if len(x) > 1 else "dx" for j in range(len(x))] + [f"d{name}" for name in own]
    return {n: torch.zeros_like(v) if g is None else g for n, g, v in zip(names, found, every, strict=True)}


def _loss(objective: Objective, budget: Budget, z: torch.Tensor) -> Iterator[Compared]:
    loss, t, z = objective.loss, objective.t, z.clone()
    weight = objective.like.new_full((1, 1, objective.batch), 1 / objective.batch)
    g = loss.bprop(z, t, weight, out=torch.empty_like(z)).clone()
    reference, other = references.LOSSES.get(type(loss)), None
    if reference is not None:
        with torch.enable_grad():
            leaf = z.clone().requires_grad_()
            (other,) = torch.autograd.grad(reference(leaf, t).mean(), leaf)

    def value() -> tuple[float, float]:
        each = loss.fprop(z, t)
        return float(each.mean()), float(each.abs().mean()) + 1

    yield _compared(f"{loss.name}: dz", g, z, value, budget, other)


def _penalty(objective: Objective, budget: Budget) -> Compared:
    g = torch.zeros_like(objective.theta)
    objective.add_penalty(g)
    weights = objective.theta[:, : objective.weights_end]

    def value() -> tuple[float, float]:
        omega = float(objective.regularizer.penalty(weights))
        return omega, omega

    return _compared("penalty: dW", g[:, : objective.weights_end], weights, value, budget, None)


def _compared(where: str, g, moved: torch.Tensor, value, budget: Budget, other) -> Compared:
    """A gradient g of value() with respect to `moved`, a tensor that is changed in place and back."""
    mine = g.flatten().numpy()
    which = _some(len(mine), budget.sample, where)
    places = np.unravel_index(which, tuple(g.shape))
    here, size = value()

    def f(some: np.ndarray, step: float) -> np.ndarray:
        values = np.empty(len(some))
        for n, k in enumerate(some):
            at = tuple(int(place[k]) for place in places)
            kept = float(moved[at])
            moved[at] = kept + step
            values[n] = value()[0]
            moved[at] = kept
        return values

    seen = compare(mine[which], f, here, size, abs(mine).max(initial=0), DIFFERENCES)
    beside = None if other is None else relative(mine, other.flatten().numpy())
    return Compared(where, seen.error, beside, int(seen.kinks.sum()), len(which), len(mine))


def _normal(like: torch.Tensor, name: str) -> torch.Tensor:
    draw = stream(0, "check", "dy", name).standard_normal(tuple(like.shape))
    return torch.from_numpy(draw)
