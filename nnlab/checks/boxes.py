"""Each box of a network by itself, the loss and the penalty.

They have the inputs that they have in the network, and a random gradient at their output.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from nnlab.checks import references
from nnlab.checks.compared import DIFFERENCES, Compared, relative, some
from nnlab.checks.differences import compare
from nnlab.checks.objective import Objective
from nnlab.checks.passes import backward, forward
from nnlab.checks.subject import Budget
from nnlab.streams import stream


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
    names = _names(x, theta)
    mine = {names[j]: (dx[j], x[j]) for j, (i, _) in enumerate(inputs) if useful[i]}
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
    filled = [torch.zeros_like(v) if g is None else g for g, v in zip(found, every, strict=True)]
    return dict(zip(_names(x, theta), filled, strict=True))


def _names(x, theta) -> list[str]:
    """What a box's gradients are called: dx, or input 0, input 1, ...; then dweight, dbias, ..."""
    return [f"input {j}" if len(x) > 1 else "dx" for j in range(len(x))] + [f"d{name}" for name in theta]


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
    which = some(len(mine), budget.sample, where)
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
    return Compared(where, seen.error, beside, int(seen.kinks.sum()), len(which), len(mine), seen.resolved)


def _normal(like: torch.Tensor, name: str) -> torch.Tensor:
    draw = stream(0, "check", "dy", name).standard_normal(tuple(like.shape))
    return torch.from_numpy(draw)
