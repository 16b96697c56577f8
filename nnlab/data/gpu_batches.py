"""Batches on a GPU: the examples of all rows gathered at once, into buffers that never move.

The normalised tables of all folds lie one below the other, an example a line, so that the examples of all
rows' batches are lines of one table, whatever their seed and fold. The example indices of a whole epoch reach
the GPU in one copy.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from nnlab.data.batches import Batches, Chunk
from nnlab.data.examples import Examples
from nnlab.runtime.cuda_graphs import copy_from_host
from nnlab.runtime.ranks import Ranks

MAX_CHUNK_STEPS = 64  # steps captured in one CUDA graph: more take long to capture and gain nothing
CHUNK_ELEMENTS = 2**26  # inputs, targets and outputs of all rows in a chunk


class GpuBatches(Batches):
    """Batches whose chunks all lie in the same memory, as CUDA graphs need it.

    While the GPU trains, the host shuffles the examples for the next epoch.
    """

    def __init__(self, examples: Examples, rows: list, threads: int = 1, ranks: Ranks | None = None):
        self.tables = examples.tables([row.fold for row in rows])
        super().__init__(examples, rows, ranks)
        count, outputs = len(self.unique_rows), examples.outputs
        columns = self.chunk_steps * self.batch
        self.x = self.tables.x.new_empty(count * columns * self.tables.x.shape[1])
        self.t = examples.template.new_empty(count * outputs * columns)
        self.example_indices = torch.empty(
            count, self.steps * self.batch, dtype=torch.int32, device=self.x.device
        )
        first_lines = [self.tables.first[row.fold.key] for row in self.unique_rows]  # of the rows' tables
        self.first_lines = torch.tensor(first_lines, device=self.x.device)[:, None]
        self.pool = ThreadPoolExecutor(max(1, threads))
        self.prefetched: dict[int, list[Future]] = {}  # epoch -> the orders of its examples

    def _distinct_orders(self):
        unique_rows, indices = super()._distinct_orders()
        if len(unique_rows) == 1:  # all rows share one order
            return unique_rows, indices
        return self.rows, list(range(len(self.rows)))

    def _chunk_size(self) -> int:
        orders = len(self.rows) if len(self.unique_rows) > 1 else 1
        return steps_per_chunk(
            self.steps, self.share.batch, self.examples.spec.inputs, self.examples.outputs,
            orders, len(self.rows),
        )  # fmt: skip

    def epoch(self, epoch: int, done: int = 0):
        futures = self.prefetched.pop(epoch, None) or self._prefetch(epoch)
        indices = torch.from_numpy(np.stack([future.result() for future in futures]))
        self.prefetched = {epoch + 1: self._prefetch(epoch + 1)}
        copy_from_host(indices, self.example_indices)
        for first, weights in zip(self.first_steps, self.chunk_weights, strict=True):
            if first + len(weights[0]) > done:
                chunk = Chunk(first, *self._gather(first), *weights)
                if self.loss_weights:
                    chunk = self.loss_weights.weigh(chunk, self._chunk_examples(first))
                yield chunk.after(done)

    def _prefetch(self, epoch: int) -> list[Future]:
        """The order of examples of every row, as lines of the tables, which other threads draw."""
        return [self.pool.submit(self._table_indices, row, epoch) for row in self.unique_rows]

    def _table_indices(self, row, epoch: int) -> np.ndarray:
        return (self._draw_order(row, epoch) + self.tables.first[row.fold.key]).astype(np.int32)

    def _chunk_examples(self, first: int):
        columns = self.example_indices[:, first * self.batch :][:, : self.chunk_steps * self.batch]
        return columns - self.first_lines

    def _gather(self, first: int):
        steps = min(self.chunk_steps, self.steps - first)
        count, columns = len(self.unique_rows), steps * self.batch
        indices = self.example_indices[:, first * self.batch :][:, :columns].flatten()
        x = self.x[: len(indices) * self.tables.x.shape[1]].view(len(indices), -1)
        t = self.t[: len(indices) * self.examples.outputs].view(count, -1, columns)
        torch.index_select(self.tables.x, 0, indices, out=x)
        x = x.unflatten(0, (count, columns))
        targets = self.tables.t.index_select(0, indices).unflatten(0, (count, columns))  # (K, S B, m or 1)
        if self.examples.dataset.classes:
            t.zero_().scatter_(1, targets.mT, 1)
        else:
            t.copy_(targets.mT)
        return [self._split_into_steps(steps, part) for part in (x.mT, t)]

    def _split_into_steps(self, steps: int, rows: torch.Tensor) -> torch.Tensor:
        """The columns (1 or K, n, S B) of whole chunks as steps (S, K, n, B)."""
        rows = rows.expand(len(self.rows), -1, -1)
        return rows.unflatten(2, (steps, self.batch)).permute(2, 0, 1, 3)


def steps_per_chunk(steps: int, batch: int, inputs: int, outputs: int, orders: int, rows: int) -> int:
    """How many steps of an epoch are gathered at once, for rows with so many different orders."""
    elements_per_step = batch * (orders * (inputs + outputs) + rows * outputs)
    return max(1, min(steps, MAX_CHUNK_STEPS, CHUNK_ELEMENTS // elements_per_step))
