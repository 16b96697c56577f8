"""A box by itself in a gradient graph, and in the gradient of that; the same by torch.autograd."""

from __future__ import annotations

from collections.abc import Callable

import torch

from nnlab.autodiff.box import Buffer, Site
from nnlab.autodiff.graph import Graph
from nnlab.autodiff.objective import InnerProduct, LossBox
from nnlab.autodiff.symbolic import add_gradients
from nnlab.runtime.layout import aligned
from nnlab.streams import stream
from nnlab.testing.numeric import Bound, rates

Tensors = list[torch.Tensor]


def twice_by_graph(b: Bound, shapes, per_example, x: Tensors, dy: torch.Tensor):
    """The gradients g of <dy, y> with respect to the box's operands, by its `vjp`; random v like them; and
    the gradients of <v, g> with respect to the operands and dy."""
    graph = Graph((1,))  # its own input is read by nobody
    inputs = [graph.add_input(f"x{n}", *how) for n, how in enumerate(zip(shapes, per_example, strict=True))]
    box = graph.add("box", b.box, *inputs)
    node = graph.nodes[box]
    dy_number = graph.add_input("dy", node.shape, node.per_example)
    operands = [i for i in node.operands if not isinstance(graph.nodes[i].leaf, Buffer)]
    first = add_gradients(graph, box, operands, dy=dy_number)
    of = [graph.nodes[i] for i in operands]
    v_numbers = [graph.add_input(f"v{n}", node.shape, node.per_example) for n, node in enumerate(of)]
    pairs = [n for pair in zip(first, v_numbers, strict=True) for n in pair]
    product = graph.add("product", InnerProduct(), *pairs)
    second = add_gradients(graph, product, [*operands, dy_number], "d2")
    graph.outputs = (*first, *second)

    v = [_normal_like(value, n) for n, value in enumerate(b.operands(x))]
    network = _bind(graph, b, len(dy), b.batch, dy)
    network.feed({f"x{n}": value for n, value in enumerate(x)} | {"dy": dy})
    network.feed({f"v{n}": value for n, value in enumerate(v)})
    network.fprop(dy.new_zeros(1, 1, network.site.batch))
    values = network.values()
    return [values[n].clone() for n in first], v, [values[n].clone() for n in second]


def loss_twice_by_graph(loss, z: torch.Tensor, t: torch.Tensor, weight: torch.Tensor):
    """The gradient of the weighted loss with respect to z (K, m, B), by its `vjp`; a random v like it; and
    the gradient of <v, gradient>."""
    graph = Graph((1,))
    inputs = {"z": z, "t": t, "weight": weight, "v": _normal_like(z, 0)}
    numbers = [graph.add_input(name, value.shape[1:-1]) for name, value in inputs.items()]
    objective = graph.add("objective", LossBox(loss), *numbers[:3])
    first = add_gradients(graph, objective, numbers[:1])
    product = graph.add("product", InnerProduct(), *first, numbers[3])
    graph.outputs = (*first, *add_gradients(graph, product, numbers[:1], "d2"))
    rows, batch = len(z), z.shape[-1]
    none = z.new_zeros(rows, 0)
    network = graph.bind(none, none, Site(rows, batch, True, z.new_empty(0)))
    network.feed(inputs)
    network.fprop(z.new_zeros(1, 1, batch))
    gradient, second = network.results().values()
    return gradient, inputs["v"], second


def _bind(graph: Graph, b: Bound, rows: int, batch: int, template: torch.Tensor):
    layout = graph.layout()
    theta, grad = (aligned(rows, (layout.size,), template) for _ in range(2))
    buffers = aligned(rows, (layout.buffers_size,), template)
    for matrix, slices in ((theta, layout.parameters), (buffers, layout.buffers)):
        for name, leaf_slice in slices.items():
            leaf_slice.view(matrix).copy_(b.theta[name.removeprefix("box.")])
    network = graph.bind(theta, grad, Site(rows, batch, True, template.new_empty(0), rates(rows)), buffers)
    for _, ctx in network.stochastic:
        ctx.uniforms = b.ctx.uniforms
    return network


def second_derivatives(f: Callable, operands: Tensors, dy: torch.Tensor, v: Tensors) -> Tensors:
    """The gradients of <v, g> with respect to the operands and dy, where g are those of <dy, f(operands)>."""
    leaves = [value.clone().requires_grad_() for value in (*operands, dy)]
    *inputs, dy = leaves
    first = _gradients((f(*inputs) * dy).sum(), inputs)
    return _gradients(sum((g * a).sum() for g, a in zip(first, v, strict=True)), leaves)


def _gradients(y: torch.Tensor, leaves: Tensors) -> Tensors:
    if not y.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    gradients = torch.autograd.grad(y, leaves, create_graph=True, allow_unused=True)
    return [torch.zeros_like(leaf) if g is None else g for g, leaf in zip(gradients, leaves, strict=True)]


def _normal_like(value: torch.Tensor, n: int) -> torch.Tensor:
    return torch.from_numpy(stream(n, "vjp").standard_normal(tuple(value.shape)))
