"""A wrong sign planted in one box's gradient, by `plant=NAME`: the check that checks the check.

Only the rung gradients has it. Training, and every other rung, has the job's own boxes.
"""

from __future__ import annotations

from dataclasses import fields, replace

from nnlab.autodiff.box import Box
from nnlab.autodiff.graph import Graph
from nnlab.autodiff.network import Network
from nnlab.errors import UserError, nearest


def with_wrong_sign(graph: Graph, name: str) -> Graph:
    """The same graph, but `bprop` of the box `name` gives minus each of its gradients."""
    n, changed = graph[name], graph.copy()
    changed.nodes[n] = replace(graph.nodes[n], box=_negated(graph.nodes[n].box))
    return changed


def _negated(box: Box) -> Box:
    """A box of a class derived from that of `box`: it is right in all but this."""
    cls = type(box)

    def bprop(self, ctx, dy):
        return tuple(None if g is None else -g for g in cls.bprop(self, ctx, dy))

    # In blocks, a box's gradient is what it leaves in `ctx.dx`, not what it returns.
    wrong = type(cls.__name__, (cls,), {"bprop": bprop, "elementwise": False})
    return wrong(**{field.name: getattr(box, field.name) for field in fields(box)})


def refuse_unknown(name: str, network: Network) -> None:
    """Raise `UserError` unless a gradient passes through a box of that name in the network."""
    boxes = {node.name: n for n, node in enumerate(network.graph.nodes) if node.box}
    names = [box for box, n in boxes.items() if n in network.bound_boxes and network.needs_grad[n]]
    if name in names:
        return
    if name in boxes:
        raise UserError(f"plant = '{name}': no gradient passes through that box{nearest('', names)}")
    raise UserError(f"plant = '{name}': no box of this network has that name{nearest(name, names)}")
