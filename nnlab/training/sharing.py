"""Whether ranks can share the examples of a batch, decided before anything trains."""

from __future__ import annotations

from nnlab.autodiff.graph import Graph
from nnlab.errors import UserError
from nnlab.experiment import Row
from nnlab.runtime.ranks import Ranks


def refuse_sharing(row: Row, graph: Graph, ranks: Ranks) -> None:
    """Raise `UserError` if the ranks cannot share the batches of rows like this one, with this graph."""
    size = ranks.size
    if row.batch < size:
        raise UserError(
            f"batch_size={row.batch} has fewer examples than there are ranks, {size}, which share every "
            f"batch: take at most {row.batch} processes, or as many rows as ranks, as by seeds={size}"
        )
    if (node := graph.unshared_node()) is not None:
        raise UserError(
            f"{node.name} ({node.box.name}) computes with all examples of a batch, which {size} ranks would "
            f"share: take one process, or as many rows as ranks, as by seeds={size}"
        )
