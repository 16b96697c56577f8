"""The network's output in torch's own functions, box by box: what `bprop` is compared with, by autograd.

What each box is there, its class says (`Box.reference`), of nnlab as of an installed package.
"""

from __future__ import annotations

import torch

from nnlab.autodiff.network import Network


def output(network: Network, leaves: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor | None:
    """The output (K, m, B) for inputs x; `leaves` (K, ...) are by their full names.

    None where a box says no reference.
    """
    values: list = [x]
    for n, node in enumerate(network.graph.nodes[1:], start=1):
        if node.leaf:
            values.append(leaves[node.name])
        elif n not in network.placed:  # it passes its input on, or leads nowhere
            values.append(values[network.source[n]] if network.source[n] != n else None)
        elif node.box.reference is None:
            return None
        else:
            inputs = [values[i] for i in network.reads[n]]
            values.append(node.box.reference(network.placed[n].ctx, *inputs))
    return values[-1]
