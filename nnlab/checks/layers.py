"""Which nodes of a graph are layers and which are activations; and how steep an activation is."""

from __future__ import annotations

from collections.abc import Callable

import torch

from nnlab.autodiff.graph import Graph


def activations(graph: Graph) -> list[int]:
    """The nodes that are elementwise functions before a layer: no layers themselves, no output maps."""
    found, read = [], _read_by_layers(graph)
    for n, node in enumerate(graph.nodes):
        one = len(node.reads) == 1 and graph.nodes[node.reads[0]].shape == node.shape
        if one and node.per_example and not node.box.noisy and n in read:
            found.append(n)
    return found


def layers(graph: Graph) -> list[int]:
    """The nodes whose boxes have parameters, in order."""
    useful = graph.leads_to_parameters()
    return [n for n, node in enumerate(graph.nodes) if any(useful[i] for i in node.leaves)]


def _read_by_layers(graph: Graph) -> set[int]:
    """The nodes from which a way leads on to a layer."""
    read, own = set(), layers(graph)
    for n in range(len(graph.nodes) - 1, 0, -1):
        if n in read or n in own:
            read |= set(graph.nodes[n].inputs)
    return read


def slopes(f: Callable, x: torch.Tensor, step: float = 1e-3) -> torch.Tensor:
    """|f'(x)| of an elementwise function, by central differences: `bprop` itself may be at fault."""
    h = step * (1 + x.abs())  # large inputs have few digits left for a small step
    up = f(x + h).clone()
    return (up - f(x - h)).abs() / (2 * h)
