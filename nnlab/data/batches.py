"""From examples to batches: each row's own order of its own training examples, shared where rows agree.

A chunk is as many steps as fit in a few megabytes: its examples are gathered, normalised and laid out as
(S, K, d, B) at once, classes one-hot, so that a step costs no call for its data. Rows with the same seed and
fold share their batches by broadcasting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from nnlab.data.examples import Examples, lies_by_example
from nnlab.runtime.layout import Room
from nnlab.runtime.recording import on_card
from nnlab.streams import stream

CHUNK_NUMBERS = 2**20  # numbers of one row's inputs in a chunk
TARGETS_SHARE = 8  # times as many may be its targets: of many classes, one-hot, they are more than the inputs


@dataclass(frozen=True)
class Chunk:
    """Steps `first`, `first` + 1, ... of an epoch: all arrays have the steps in front."""

    first: int
    x: torch.Tensor  # (S, K, d, B)
    t: torch.Tensor  # (S, K, m, B)
    weight: torch.Tensor  # (S, 1 or K, 1, B)
    valid: torch.Tensor  # (S, 1 or K, B): 1 for an example, 0 for what fills the last batch up

    def step(self, s: int) -> Chunk:
        """Its step s alone, as a chunk."""
        here = slice(s, s + 1)
        return Chunk(self.first + s, self.x[here], self.t[here], self.weight[here], self.valid[here])


class Batches:
    """Every row's own order of its own training examples, epoch after epoch.

    A chunk lies where the one before it lay, as recorded calls need it; on a CPU it is a view of what was
    gathered, if there is one order.
    """

    def __init__(self, examples: Examples, rows: list):
        self.examples, self.rows = examples, rows
        self.batch, self.steps = rows[0].batch, rows[0].steps
        keys = [(row.seed, row.fold.key) for row in rows]
        unique = list(dict.fromkeys(keys))
        self.sources = [rows[keys.index(key)] for key in unique]
        self.share = [unique.index(key) for key in keys]
        self.size = self._chunk_size()
        self.count = torch.tensor([len(row.fold.train) for row in rows], device=examples.like.device)
        self.firsts = range(0, self.steps, self.size)
        self.rooms = Room(examples.like), Room(examples.like)  # for inputs and targets
        self.weights = self._all_weights()  # the same in every epoch

    def _chunk_size(self) -> int:
        """Steps in a chunk; the last one of an epoch may have fewer."""
        return steps_in_chunk(self.steps, self.batch, len(self.examples.x), self.examples.outputs)

    def epoch(self, epoch: int):
        """The chunks of an epoch (1, 2, ...)."""
        orders = [self._order(row, epoch) for row in self.sources]
        for first, (weight, valid) in zip(self.firsts, self.weights, strict=True):
            yield Chunk(first, *self._gather(first, orders), weight, valid)

    def _order(self, row, epoch: int) -> np.ndarray:
        """The epoch's order of the row's training examples, filled up to whole batches."""
        order = stream(row.seed, "order", epoch).permutation(row.fold.train)
        return np.resize(order, self.steps * self.batch)

    def _gather(self, first: int, orders):
        """The chunk's inputs and targets."""
        steps = min(self.size, self.steps - first)
        here = slice(first * self.batch, (first + steps) * self.batch)
        gathered = [
            self.examples.gather(row.fold, order[here])
            for row, order in zip(self.sources, orders, strict=True)
        ]
        parts = zip(self.rooms, zip(*gathered, strict=True), strict=True)
        return [self._spread(steps, part, room) for room, part in parts]

    def _all_weights(self) -> list:
        """For every chunk: only the last batch of an epoch may be short, so all but two chunks are alike."""
        full = self._weights(0)
        return [full if first + self.size < self.steps else self._weights(first) for first in self.firsts]

    def _weights(self, first: int):
        """Which columns of the chunk's batches hold an example, and its weight in its batch's mean."""
        steps = min(self.size, self.steps - first)
        place = torch.arange(first * self.batch, (first + steps) * self.batch, device=self.count.device)
        counts = self.count if len(self.count.unique()) > 1 else self.count[:1]
        valid = (place.view(steps, 1, self.batch) < counts[:, None]).to(self.examples.like.dtype)
        return (valid / valid.sum(2, keepdim=True))[:, :, None], valid

    def _spread(self, steps: int, gathered: tuple[torch.Tensor, ...], room: Room) -> torch.Tensor:
        """Each source's (n, S B) as (S, K, n, B): a step's batch is a view of some columns."""
        share = self.share if len(gathered) > 1 else [0]  # one for all
        if len(share) == 1 and not on_card(self.examples.like):
            rows = gathered[0][None]
        else:
            shape = tuple(gathered[0].shape)
            # In a stack as alone: the bits of a product depend on the layout of its factors.
            flipped = lies_by_example(gathered[0])
            rows = room.aligned(len(share), shape[::-1] if flipped else shape)
            rows = rows.mT if flipped else rows
            for k, source in enumerate(share):
                rows[k] = gathered[source]
        rows = rows.expand(len(self.rows), -1, -1)
        return rows.unflatten(2, (steps, self.batch)).permute(2, 0, 1, 3)


def steps_in_chunk(steps: int, batch: int, inputs: int, outputs: int) -> int:
    """How many steps of an epoch are gathered at once."""
    by_inputs = CHUNK_NUMBERS // (batch * inputs)
    by_targets = TARGETS_SHARE * CHUNK_NUMBERS // (batch * outputs)
    return max(1, min(steps, by_inputs, by_targets))
