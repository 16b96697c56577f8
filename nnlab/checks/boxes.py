"""Compares the gradients of each box of a network by itself, of the loss and of the penalty.

Each gets the same inputs as in the network, and a random gradient at its output.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from nnlab.autodiff.compare_gradient import Point, compare_gradient
from nnlab.autodiff.gradient_comparison import (
    GradientComparison,
    affordable_sample,
)
from nnlab.autodiff.graph import Graph, Node
from nnlab.autodiff.network import BoundBox
from nnlab.checks.objective import Objective
from nnlab.checks.subject import Budget
from nnlab.streams import stream

WORK_SHARE = 0.02  # of the budget's work, for the differences of one gradient of a box


def compare_boxes(objective: Objective, budget: Budget) -> Iterator[GradientComparison]:
    """Each box's gradients of its inputs and its parameters; then those of the loss and of the penalty."""
    network = objective.network
    z = network.fprop(objective.x).clone()
    # Copies: the passes below write into the same buffers.
    values = [None if value is None else value.clone() for value in network.values()]
    for n, bound in network.bound_boxes.items():
        if network.needs_grad[n]:
            inputs = [values[i].clone() for i in network.operands[n]]
            needs_grad = [network.needs_grad[i] for i in network.operands[n]]
            yield from _compare_box(network.graph, n, bound, inputs, needs_grad, budget)
    yield from _compare_loss(objective, budget, z)
    if objective.experiment.regularizer.penalizes:
        yield _compare_penalty(objective, budget)


def _compare_box(graph: Graph, n: int, bound: BoundBox, x: list, needs_grad: list[bool], budget: Budget):
    node = graph.nodes[n]
    center = bound.fprop(*x).clone()
    dy = _normal(center, node.name)
    dx = [None if d is None else d.clone() for d in bound.bprop(dy)]
    autograd_gradients = _autograd_gradients(bound, x, dy)

    def value() -> float:
        """The sum of (y - center) dy: what does not change adds no rounding errors."""
        return float((bound.fprop(*x) - center).mul_(dy).sum())

    at_center = Point(0.0, float(torch.linalg.vector_norm(center * dy)))  # rounding errors are independent
    work_per_value = max(graph.multiply_adds_of(node), center[0, ..., 0].numel()) * center.shape[-1]
    sample = affordable_sample(WORK_SHARE * budget.work, work_per_value, budget.sample)

    for j, name in enumerate(_gradient_names(graph, node)):
        if needs_grad[j]:
            reference = autograd_gradients[j] if autograd_gradients else None
            title, is_leaf = f"{node.name}: {name}", j >= len(node.inputs)
            yield compare_gradient(title, dx[j], x[j], value, at_center, sample, reference, is_leaf)


def _autograd_gradients(bound: BoundBox, x, dy) -> list[torch.Tensor] | None:
    if bound.box.reference is None:
        return None
    with torch.enable_grad():
        inputs = [v.clone().requires_grad_() for v in x]
        y = bound.box.reference(bound.ctx, *inputs)
        gradients = torch.autograd.grad(y, inputs, dy, allow_unused=True)
    return [torch.zeros_like(v) if g is None else g for g, v in zip(gradients, inputs, strict=True)]


def _gradient_names(graph: Graph, node: Node) -> list[str]:
    """The names of a box's gradients: dx, or input 0, input 1, ...; then dweight, dbias, ..."""
    shapes = [graph.nodes[i].shape for i in node.inputs]
    inputs = ["dx"]
    if len(shapes) != 1:
        inputs = [f"input {j}" for j in range(len(shapes))]
    return inputs + [f"d{name}" for name in node.box.leaves(*shapes)]


def _compare_loss(objective: Objective, budget: Budget, z: torch.Tensor) -> Iterator[GradientComparison]:
    loss, t, z = objective.loss, objective.t, z.clone()
    weight = objective.template.new_full((1, 1, objective.batch), 1 / objective.batch)
    g = loss.bprop(z, t, weight, out=torch.empty_like(z)).clone()
    autograd_gradient = None
    if loss.reference is not None:
        with torch.enable_grad():
            leaf = z.clone().requires_grad_()
            (autograd_gradient,) = torch.autograd.grad(loss.reference(leaf, t).mean(), leaf)

    def value() -> float:
        return float(loss.fprop(z, t).mean())

    at_center = Point(value(), float(loss.fprop(z, t).abs().mean()) + 1)
    yield compare_gradient(f"{loss.name}: dz", g, z, value, at_center, budget.sample, autograd_gradient)


def _compare_penalty(objective: Objective, budget: Budget) -> GradientComparison:
    g = torch.zeros_like(objective.theta)
    objective.add_penalty_gradient(g)
    weights = objective.theta[:, : objective.weights_end]

    def value() -> float:
        return float(objective.regularizer.penalty(weights))

    gradient, at_center = g[:, : objective.weights_end], Point(value(), value())
    return compare_gradient("penalty: dW", gradient, weights, value, at_center, budget.sample, None)


def _normal(template: torch.Tensor, name: str) -> torch.Tensor:
    draw = stream(0, "check", "dy", name).standard_normal(tuple(template.shape))
    return torch.from_numpy(draw)
