"""Finds the layers and the activations among the nodes of a graph."""

from __future__ import annotations

from nnlab.autodiff.graph import Graph
from nnlab.autodiff.pooling import Pooling


def activations(graph: Graph) -> list[int]:
    """The nodes that are elementwise functions before a layer: neither layers nor output maps."""
    before_layers = _before_layers(graph)
    nodes = []
    for n, node in enumerate(graph.nodes):
        elementwise = len(node.operands) == 1 and graph.nodes[node.operands[0]].shape == node.shape
        # Dropout is elementwise too, but its zeros are random: they say nothing about saturation. Nor do the
        # windows of a pooling that keeps the shape.
        windows = isinstance(node.box, Pooling)
        if elementwise and node.per_example and not node.box.random and not windows and n in before_layers:
            nodes.append(n)
    return nodes


def layers(graph: Graph) -> list[int]:
    """The nodes whose boxes have parameters, in order."""
    useful = graph.depends_on_parameters()
    return [n for n, node in enumerate(graph.nodes) if any(useful[i] for i in node.leaves)]


def _before_layers(graph: Graph) -> set[int]:
    """The nodes from which a path leads to a layer."""
    before, layer_nodes = set(), layers(graph)
    for n in range(len(graph.nodes) - 1, 0, -1):
        if n in before or n in layer_nodes:
            before |= set(graph.nodes[n].inputs)
    return before
