"""Both passes through a bound network, box by box, with everything that flows between them in sight."""

from __future__ import annotations

import torch

from nnlab.autodiff.box import Box
from nnlab.autodiff.dropout import Dropout
from nnlab.autodiff.graph import Graph


def forward(network: Graph, x: torch.Tensor) -> list[torch.Tensor]:
    """What every node puts out, by its number; 0 is the input (K, d, B)."""
    values = [x.expand(network.rows, *x.shape[1:])]
    for node in network.nodes[1:]:
        values.append(node.box.fprop(*[values[i] for i in node.inputs]))
    return values


def backward(network: Graph, described: Graph, dy: torch.Tensor) -> dict[int, torch.Tensor]:
    """The gradient at every node's output that leads to parameters; parameters' own go into `grad`.

    `described` is the graph that was bound.
    """
    useful, at = described.leads_to_parameters(), {len(network.nodes) - 1: dy}
    for n in range(len(network.nodes) - 1, 0, -1):
        if n in at:
            node = network.nodes[n]
            for i, dx in zip(node.inputs, node.box.bprop(at[n]), strict=True):
                if useful[i]:
                    at[i] = at[i] + dx if i in at else dx
    return at


def activations(graph: Graph) -> list[int]:
    """The nodes that are elementwise functions before a layer: no layers themselves, no output maps."""
    found, read = [], _read_by_layers(graph)
    for n, node in enumerate(graph.nodes):
        one = len(node.inputs) == 1 and graph.nodes[node.inputs[0]].shape == node.shape
        if one and not isinstance(node.box, Dropout) and not node.box.parameters(node.shape):
            if n in read:
                found.append(n)
    return found


def layers(graph: Graph) -> list[int]:
    """The nodes that have parameters, in order."""
    return [n for n, node in enumerate(graph.nodes) if n and node.box.parameters(*_shapes(graph, node))]


def _read_by_layers(graph: Graph) -> set[int]:
    """The nodes from which a way leads on to a layer."""
    read, own = set(), layers(graph)
    for n in range(len(graph.nodes) - 1, 0, -1):
        node = graph.nodes[n]
        if n in read or n in own:
            read |= set(node.inputs)
    return read


def _shapes(graph: Graph, node):
    return [graph.nodes[i].shape for i in node.inputs]


def slopes(box: Box, x: torch.Tensor, step: float = 1e-3) -> torch.Tensor:
    """|f'(x)| of an elementwise box, by central differences: `bprop` itself may be at fault."""
    h = step * (1 + x.abs())  # large inputs have few digits left for a small step
    up = box.fprop(x + h).clone()
    return (up - box.fprop(x - h)).abs() / (2 * h)
