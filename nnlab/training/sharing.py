"""Ranks that share the examples of a batch: whether they can, and that they agree after every epoch."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from nnlab.autodiff.graph import Graph
from nnlab.errors import UserError, advise
from nnlab.experiment import Row
from nnlab.runtime.ranks import Ranks
from nnlab.training.population import State


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


def agree(ranks: Ranks, metrics: dict[str, np.ndarray], state: State) -> dict[str, np.ndarray]:
    """The metrics of rank 0 on every rank: they decide what ends, and what is best.

    Sums are the same bits everywhere, and so are the updates made of them, where processors round alike.
    Where they do not, all go on from the weights of rank 0, with an `Advice`.
    """
    table = np.stack([*metrics.values()]).astype(float)
    own = hashlib.blake2b(_bytes(state.theta), digest_size=16).digest()
    first = ranks.broadcast_bytes(own + table.tobytes())
    if ranks.any(first[: len(own)] != own):
        advise(
            "the weights of ranks differ in their last digits, since their processors round otherwise: after "
            "every epoch all go on from those of rank 0"
        )
        for tensor in state.named().values():
            _copy_of_rank_0(ranks, tensor)
    values = np.frombuffer(first[len(own) :]).reshape(table.shape)
    return dict(zip(metrics, values.copy(), strict=True))


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.cpu().contiguous().numpy().tobytes()


def _copy_of_rank_0(ranks: Ranks, tensor: torch.Tensor) -> None:
    content = ranks.broadcast_bytes(_bytes(tensor))
    if content:
        tensor.copy_(torch.frombuffer(bytearray(content), dtype=tensor.dtype).view(tensor.shape))
