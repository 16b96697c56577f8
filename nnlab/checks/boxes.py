"""Each box of a network by itself, the loss and the penalty.

They have the inputs that they have in the network, and a random gradient at their output.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from nnlab.autodiff.graph import Graph, Node
from nnlab.autodiff.network import Placed
from nnlab.checks.central_differences import compare, moved
from nnlab.checks.gradient_comparison import DIFFERENCE_TOLERANCE, Compared, relative, some
from nnlab.checks.objective import Objective
from nnlab.checks.subject import Budget
from nnlab.streams import stream


def each_box(objective: Objective, budget: Budget) -> Iterator[Compared]:
    """The gradients that each box computes, of its inputs and its parameters; the loss's; the penalty's."""
    network = objective.network
    z = network.fprop(objective.x).clone()
    # Copies: whatever is bound below writes into the same buffers.
    values = [None if value is None else value.clone() for value in network.values()]
    for n, placed in network.placed.items():
        if network.useful[n]:
            inputs = [values[i].clone() for i in network.reads[n]]
            useful = [network.useful[i] for i in network.reads[n]]
            yield from _box(network.graph, n, placed, inputs, useful, budget)
    yield from _loss(objective, budget, z)
    if objective.experiment.regularizer.penalizes:
        yield _penalty(objective, budget)


def _box(graph: Graph, n: int, placed: Placed, x: list, useful: list[bool], budget: Budget):
    node = graph.nodes[n]
    dy = _normal(placed.fprop(*x), node.name)
    dx = [None if d is None else d.clone() for d in placed.bprop(dy)]
    by_autograd = _by_autograd(placed, x, dy)

    def value() -> tuple[float, float]:
        terms = placed.fprop(*x) * dy
        return float(terms.sum()), float(terms.abs().sum())

    for j, name in enumerate(_names(graph, node)):
        if useful[j]:
            reference = by_autograd[j] if by_autograd else None
            yield _compared(f"{node.name}: {name}", dx[j], x[j], value, budget, reference)


def _by_autograd(placed: Placed, x, dy) -> list[torch.Tensor] | None:
    if placed.box.reference is None:
        return None
    with torch.enable_grad():
        inputs = [v.clone().requires_grad_() for v in x]
        y = placed.box.reference(placed.ctx, *inputs)
        gradients = torch.autograd.grad(y, inputs, dy, allow_unused=True)
    return [torch.zeros_like(v) if g is None else g for g, v in zip(gradients, inputs, strict=True)]


def _names(graph: Graph, node: Node) -> list[str]:
    """What a box's gradients are called: dx, or input 0, input 1, ...; then dweight, dbias, ..."""
    shapes = [graph.nodes[i].shape for i in node.inputs]
    inputs = ["dx"]
    if len(shapes) != 1:
        inputs = [f"input {j}" for j in range(len(shapes))]
    return inputs + [f"d{name}" for name in node.box.leaves(*shapes)]


def _loss(objective: Objective, budget: Budget, z: torch.Tensor) -> Iterator[Compared]:
    loss, t, z = objective.loss, objective.t, z.clone()
    weight = objective.like.new_full((1, 1, objective.batch), 1 / objective.batch)
    g = loss.bprop(z, t, weight, out=torch.empty_like(z)).clone()
    by_autograd = None
    if loss.reference is not None:
        with torch.enable_grad():
            leaf = z.clone().requires_grad_()
            (by_autograd,) = torch.autograd.grad(loss.reference(leaf, t).mean(), leaf)

    def value() -> tuple[float, float]:
        losses = loss.fprop(z, t)
        return float(losses.mean()), float(losses.abs().mean()) + 1

    yield _compared(f"{loss.name}: dz", g, z, value, budget, by_autograd)


def _penalty(objective: Objective, budget: Budget) -> Compared:
    g = torch.zeros_like(objective.theta)
    objective.add_penalty(g)
    weights = objective.theta[:, : objective.weights_end]

    def value() -> tuple[float, float]:
        omega = float(objective.regularizer.penalty(weights))
        return omega, omega

    return _compared("penalty: dW", g[:, : objective.weights_end], weights, value, budget, None)


def _compared(
    where: str, g: torch.Tensor, x: torch.Tensor, value, budget: Budget, by_autograd: torch.Tensor | None
) -> Compared:
    """A gradient g of value() with respect to x, which is changed in place and back."""
    gradient = g.flatten().numpy()
    which = some(len(gradient), budget.sample, where)
    places = np.transpose(np.unravel_index(which, tuple(g.shape))).tolist()
    here, size = value()

    def f(numbers: np.ndarray, step: float) -> np.ndarray:
        values = np.empty(len(numbers))
        for n, k in enumerate(numbers):
            with moved(x, tuple(places[k]), step):
                values[n] = value()[0]
        return values

    differences = compare(gradient[which], f, here, size, abs(gradient).max(initial=0), DIFFERENCE_TOLERANCE)
    of_autograd = None
    if by_autograd is not None:
        of_autograd = relative(gradient, by_autograd.flatten().numpy())
    kinks = int(differences.kinks.sum())
    return Compared(
        where, differences.error, of_autograd, kinks, len(which), len(gradient), differences.resolved
    )


def _normal(like: torch.Tensor, name: str) -> torch.Tensor:
    draw = stream(0, "check", "dy", name).standard_normal(tuple(like.shape))
    return torch.from_numpy(draw)
