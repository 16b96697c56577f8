"""Second derivatives of a job's loss: the gradient of its gradient graph, H v for a random vector v.

H v is compared with central differences of `bprop` along v, and with autograd that differentiates its own
gradient. The `vjp` of each box is compared with its `bprop`, at its inputs in the network: both are the same
product with a Jacobian, the one as boxes, the other as numbers. Penalties are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from nnlab.autodiff.central_differences import MACHINE_EPSILON, ROUNDING_ERRORS, difference_quotient
from nnlab.autodiff.gradient_comparison import (
    DIFFERENCE_TOLERANCE,
    ROUNDING_OF_SUMS,
    GradientComparison,
    relative_error,
)
from nnlab.autodiff.graph import Graph
from nnlab.autodiff.network import BoundBox, Network
from nnlab.autodiff.symbolic import EXAMPLE_WEIGHT, TARGET, add_gradients, gradient_graph
from nnlab.checks.noise import draw_box_once, draw_once
from nnlab.checks.objective import Objective
from nnlab.checks.verdict import Finding
from nnlab.errors import UserError
from nnlab.runtime.layout import aligned
from nnlab.streams import stream

# How far theta is moved along v, in norm. The first has the smallest error where no kink is near; one of the
# others does not reach a kink.
STEPS = (1e-4, 1e-5, 1e-6, 1e-7)
OUTPUT_GRADIENT = "gradient of the output"


@dataclass(frozen=True)
class SecondOrder:
    """The comparisons of second derivatives; none where the first ones are wrong, or a box has no `vjp`."""

    products: tuple[GradientComparison, ...] = ()  # H v, parameter by parameter
    vjps: tuple[GradientComparison, ...] = ()  # of each box
    missing: str = ""  # why there are none

    @staticmethod
    def of(objective: Objective) -> SecondOrder:
        try:
            return SecondOrder(tuple(compare_hessian(objective)), tuple(compare_vjps(objective)))
        except UserError as e:  # a plug-in's box or loss without a vjp
            return SecondOrder(missing=str(e))

    @property
    def finding(self) -> Finding | None:
        """What is wrong, if anything: the box, or if each is right by itself the product."""
        wrong = sorted([c for c in self.vjps if c.wrong], key=lambda c: -c.severity)
        if wrong:
            first, *others = wrong
            error, limit = first.worst
            sentence = f"{first.gradient_name} is wrong: off by {error:.2g} from bprop (limit {limit:g})"
            if others:
                sentence += f"; also {', '.join(c.gradient_name for c in others[:3])}"
            advice = f"vjp of {first.box} disagrees with its own bprop: mend the boxes that it adds"
            return Finding("fail", error, limit, sentence, advice, "gradient")
        wrong = sorted([c for c in self.products if c.wrong], key=lambda c: -c.severity)
        if wrong:
            first = wrong[0]
            sentence = f"every gradient is right, but {first.gradient_name} is wrong: {first.errors}"
            advice = "H is the Hessian: look at which inputs a vjp takes for constants"
            return Finding("fail", *first.worst, sentence, advice, "gradient")
        return None

    @property
    def passing_clause(self) -> str:
        """What is added to the sentence of gradients that are right."""
        if self.missing:
            return f"; second derivatives are not compared: {self.missing}"
        if not self.products:
            return ""
        clause = f"; Hessian-vector product within {max(c.error for c in self.products):.0e} of differences"
        autograd_errors = [c.autograd_error for c in self.products if c.autograd_error is not None]
        return clause + (f", {max(autograd_errors):.0e} of autograd" if autograd_errors else "")


def compare_hessian(objective: Objective) -> Iterator[GradientComparison]:
    """H v of each parameter. Raises `UserError` where a box or the loss has no `vjp`."""
    v = _direction(objective)
    product = objective.by_name(hessian_product(objective, v))
    autograd_product = objective.autograd_hessian_product(v)
    errors = _difference_errors(objective, v, product)
    rounding = ROUNDING_OF_SUMS * max(abs(g).max(initial=0) for g in product.values())
    for name, g in product.items():
        autograd_error = None
        if autograd_product is not None:
            autograd_error = relative_error(g, autograd_product[name], rounding)
        yield GradientComparison(f"H v of {name}", errors[name], autograd_error, 0, len(g), len(g))


def hessian_product(objective: Objective, v: torch.Tensor) -> torch.Tensor:
    """H v (1, P) by the gradient graph."""
    network = _bind(objective, order=2)
    network.feed({f"v {name}": part.view(v) for name, part in objective.parameters.items()})
    network.fprop(objective.x)
    results, product = network.results(), torch.zeros_like(v)
    for name, part in objective.parameters.items():
        part.view(product).copy_(results[f"d2 {name}"])
    return product


def _bind(objective: Objective, order: int) -> Network:
    graph = gradient_graph(objective.graph, objective.loss, order)
    network = objective.bind_network(objective.theta, torch.zeros_like(objective.theta), graph)
    network.feed({TARGET: objective.t, EXAMPLE_WEIGHT: objective.example_weight})
    return network


def _direction(objective: Objective) -> torch.Tensor:
    """v (1, P), of norm 1."""
    v = torch.zeros_like(objective.theta)
    for name, part in objective.parameters.items():
        part.view(v)[0] = torch.from_numpy(stream(0, "check", "v", name).standard_normal(part.leaf.shape))
    return v / torch.linalg.vector_norm(v)


def _difference_errors(objective: Objective, v: torch.Tensor, product: dict) -> dict[str, float]:
    """Of each parameter, the error relative to its largest element, or to what rounding lets us resolve."""
    theta, grad = aligned(1, tuple(v.shape[1:]), v), torch.zeros_like(v)
    unpenalized = objective.graph.copy()
    unpenalized.penalty = None
    network = objective.bind_network(theta, grad, unpenalized)

    def gradient(shift: float) -> torch.Tensor:
        theta.copy_(objective.theta + shift * v)
        objective.loss_gradient(network)
        return grad.clone()

    magnitude, errors = float(gradient(0).abs().max()), dict.fromkeys(product, np.inf)
    for step in STEPS:
        slope = objective.by_name(difference_quotient(gradient, step))
        noise = ROUNDING_ERRORS * MACHINE_EPSILON * magnitude / step
        for name, g in product.items():
            scale = max(abs(g).max(initial=0), noise / DIFFERENCE_TOLERANCE, np.finfo(float).tiny)
            error = np.nan_to_num(abs(slope[name] - g).max(initial=0) / scale, nan=np.inf)
            errors[name] = min(errors[name], float(error))
        if max(errors.values()) <= DIFFERENCE_TOLERANCE:
            break
    return errors


# ---- box by box


def compare_vjps(objective: Objective) -> Iterator[GradientComparison]:
    """The `vjp` of each box of the network and of its gradient graph, compared with its `bprop`."""
    network = _bind(objective, order=1)
    network.fprop(objective.x)
    values = [value if value is None else value.contiguous().clone() for value in network.values()]
    depends = network.graph.depends_on_parameters()
    for n in network.bound_boxes:
        if depends[n]:
            yield _compare_vjp(network, n, values, depends)


def _compare_vjp(network: Network, n: int, values: list, depends: list[bool]) -> GradientComparison:
    node, site = network.graph.nodes[n], network.site
    site = replace(site, channels_last=False)
    x, needed = [values[i] for i in node.operands], [depends[i] for i in node.operands]
    dy = torch.from_numpy(stream(0, "check", "dy", node.name).standard_normal(tuple(values[n].shape)))

    dx = tuple(torch.zeros_like(v) if need else None for v, need in zip(x, needed, strict=True))
    shapes = network.graph.input_shapes(node)
    bound = BoundBox(node.box, site, shapes, tuple(values[n].shape[1:]), dx)
    draw_box_once(node, bound.ctx)
    bound.fprop(*[v.clone() for v in x])  # some write their buffers
    by_bprop = [v for v, need in zip(bound.bprop(dy), needed, strict=True) if need]

    graph, numbers = _alone(network.graph, n)
    dy_number = graph.add_input(OUTPUT_GRADIENT, node.shape, node.per_example)
    wanted = [number for number, need in zip(numbers, needed, strict=True) if need]
    graph.outputs = add_gradients(graph, graph[node.name], wanted, dy=dy_number)
    alone = graph.bind(site.template.new_zeros(1, 0), site.template.new_zeros(1, 0), site)
    draw_once(alone)
    alone.feed(
        {graph.nodes[number].name: v for number, v in zip(numbers, x, strict=True)} | {OUTPUT_GRADIENT: dy}
    )
    alone.fprop(site.template.new_zeros(1, 1, site.batch))
    pairs = zip(alone.results().values(), by_bprop, strict=True)
    worst = max(relative_error(a.flatten().numpy(), b.flatten().numpy()) for a, b in pairs)
    return GradientComparison(f"{node.name}: vjp", 0.0, worst)


def _alone(network: Graph, n: int) -> tuple[Graph, list[int]]:
    """A graph of the box of node n alone, whose operands are inputs; and their numbers."""
    node, graph = network.nodes[n], Graph((1,))  # its own input is read by nobody
    numbers = []
    for j, i in enumerate(node.operands):
        operand = network.nodes[i]
        numbers.append(graph.add_input(f"operand {j}", operand.shape, operand.per_example))
    inputs, leaves = numbers[: len(node.inputs)], numbers[len(node.inputs) :]
    names = node.box.leaves(*network.input_shapes(node))
    graph.add(node.name, node.box, *inputs, **dict(zip(names, leaves, strict=True)))
    return graph, numbers
