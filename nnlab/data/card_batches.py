"""Batches on a GPU: all rows' examples gathered together, into memory that stays where it is.

Here the normalised tables lie example by example, one of each fold below the other, so that the examples of
all rows' batches are rows of one table, whatever their seed and fold. The numbers of the examples of a whole
epoch reach the GPU in one copy.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from nnlab.data.batches import Batches, Chunk
from nnlab.data.examples import Examples
from nnlab.runtime.recording import send

RECORDED_STEPS = 64  # at most in a chunk, which is recorded: more take long to record and gain nothing
CHUNK_NUMBERS = 2**26  # of all rows in a chunk: inputs, targets and outputs


class CardBatches(Batches):
    """Batches whose chunks all lie in the same memory, as calls need it that are recorded.

    While the GPU trains, the host draws the orders of the next epoch.
    """

    def __init__(self, examples: Examples, rows: list, threads: int = 1):
        self.tables = examples.tables([row.fold for row in rows])
        super().__init__(examples, rows)
        if len(self.unique_rows) > 1:  # else one order is all rows'
            self.unique_rows = rows
        count, outputs = len(self.unique_rows), examples.outputs
        columns = self.chunk_steps * self.batch
        self.x = self.tables.x.new_empty(count * columns * self.tables.x.shape[1])
        self.t = examples.like.new_empty(count * outputs * columns)
        self.order = torch.empty(count, self.steps * self.batch, dtype=torch.int32, device=self.x.device)
        self.pool, self.coming = ThreadPoolExecutor(max(1, threads)), {}

    def _chunk_size(self) -> int:
        orders = len(self.rows) if len(self.unique_rows) > 1 else 1
        return card_chunk(
            self.steps, self.batch, len(self.examples.x), self.examples.outputs, orders, len(self.rows)
        )

    def epoch(self, epoch: int, done: int = 0):
        drawn = self.coming.pop(epoch, None) or self._draw(epoch)
        order = torch.from_numpy(np.stack([future.result() for future in drawn]))
        self.coming = {epoch + 1: self._draw(epoch + 1)}
        send(order, self.order)
        for first, (weight, valid) in zip(self.first_steps, self.chunk_weights, strict=True):
            if first + len(weight) > done:
                yield Chunk(first, *self._gather(first), weight, valid).after(done)

    def _draw(self, epoch: int) -> list[Future]:
        """The order of every source, as rows of the tables, to be drawn by another thread."""
        return [self.pool.submit(self._placed_order, row, epoch) for row in self.unique_rows]

    def _placed_order(self, row, epoch: int) -> np.ndarray:
        return (self._draw_order(row, epoch) + self.tables.first[row.fold.key]).astype(np.int32)

    def _gather(self, first: int):
        steps = min(self.chunk_steps, self.steps - first)
        count, columns = len(self.unique_rows), steps * self.batch
        order = self.order[:, first * self.batch :][:, :columns].flatten()
        x = self.x[: len(order) * self.tables.x.shape[1]].view(len(order), -1)
        t = self.t[: len(order) * self.examples.outputs].view(count, -1, columns)
        torch.index_select(self.tables.x, 0, order, out=x)
        x = x.unflatten(0, (count, columns))
        targets = self.tables.t.index_select(0, order).unflatten(0, (count, columns))  # (K, S B, m or 1)
        if self.examples.dataset.classes:
            t.zero_().scatter_(1, targets.mT, 1)
        else:
            t.copy_(targets.mT)
        return [self._spread_out(steps, part) for part in (x.mT, t)]

    def _spread_out(self, steps: int, rows: torch.Tensor) -> torch.Tensor:
        """Each source's (n, S B) as (S, K, n, B)."""
        rows = rows.expand(len(self.rows), -1, -1)
        return rows.unflatten(2, (steps, self.batch)).permute(2, 0, 1, 3)


def card_chunk(steps: int, batch: int, inputs: int, outputs: int, orders: int, rows: int) -> int:
    """How many steps of an epoch are gathered at once, for rows with so many different orders."""
    numbers = batch * (orders * (inputs + outputs) + rows * outputs)
    return max(1, min(steps, RECORDED_STEPS, CHUNK_NUMBERS // numbers))
