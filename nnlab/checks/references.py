"""Computes a network's output with torch's own functions, so that autograd can check `bprop`.

The reference of each box is defined by its class (`Box.reference`), in nnlab and in installed packages.
"""

from __future__ import annotations

import torch

from nnlab.autodiff.network import Network


def reference_output(
    network: Network, leaves: dict[str, torch.Tensor], x: torch.Tensor
) -> torch.Tensor | None:
    """The output (K, m, B) for inputs x; `leaves` (K, ...) are by their full names.

    None if a box has no reference.
    """
    values = reference_values(network, leaves, x)
    return None if values is None else values[network.graph.outputs[-1]]


def reference_values(network: Network, leaves: dict[str, torch.Tensor], x: torch.Tensor) -> list | None:
    """The same for every value of the graph, by its number."""
    values: list = [network.as_input(x)]
    for n, node in enumerate(network.graph.nodes[1:], start=1):
        if node.leaf:
            values.append(leaves[node.name])
        elif n not in network.bound_boxes:  # an identity, or a box that leads nowhere
            values.append(values[network.alias_of[n]] if network.alias_of[n] != n else None)
        elif node.box.reference is None:
            return None
        else:
            inputs = [values[i] for i in network.operands[n]]
            values.append(node.box.reference(network.bound_boxes[n].ctx, *inputs))
    return values
