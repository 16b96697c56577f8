"""Training mini-batches: each row's shuffled training examples, gathered several steps at a time.

A chunk is as many steps as fit in a few megabytes. Its examples are gathered, normalised and laid out as
(S, K, d, B) at once, classes one-hot, so that a step needs no call to get its batch. Rows with the same seed
and fold share their batches by broadcasting.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from nnlab.data.device_tables import is_example_major
from nnlab.data.examples import Examples
from nnlab.runtime.cuda_graphs import is_cuda
from nnlab.runtime.layout import ReusableBuffer
from nnlab.runtime.ranks import Ranks
from nnlab.runtime.shares import Share
from nnlab.streams import stream

CHUNK_ELEMENTS = 2**20  # input elements per row in a chunk
# A chunk may have this many times as many target elements: one-hot targets of many classes are large.
TARGET_TO_INPUT_RATIO = 8


@dataclass(frozen=True)
class Chunk:
    """Steps `first`, `first` + 1, ... of an epoch; axis 0 of every tensor is the step."""

    first: int
    x: torch.Tensor  # (S, K, d, B)
    t: torch.Tensor  # (S, K, m, B)
    weight: torch.Tensor  # (S, 1 or K, 1, B): of each example's loss in the mean over the batch
    valid: torch.Tensor  # (S, 1 or K, B): 1 for an example, 0 for padding in the last batch
    count: torch.Tensor  # (S, 1 or K, 1): of examples in each batch, on all ranks together
    loss_weight: torch.Tensor | None = None  # (S, 1 or K, B): of each example's loss; None where all are 1

    def step(self, s: int) -> Chunk:
        """Step s as a chunk of a single step."""
        return self._slice(s, s + 1)

    def after(self, done: int) -> Chunk:
        """The chunk without those of its steps that are among the first `done` steps of the epoch."""
        return self._slice(done - self.first, len(self.x)) if done > self.first else self

    def _slice(self, start: int, stop: int) -> Chunk:
        s = slice(start, stop)
        loss_weight = None if self.loss_weight is None else self.loss_weight[s]
        parts = (part[s] for part in (self.x, self.t, self.weight, self.valid, self.count))
        return Chunk(self.first + start, *parts, loss_weight)


class Batches:
    """The training batches of a stack of rows, reshuffled in every epoch.

    Every chunk reuses the memory of the one before it, as a recorded graph of GPU calls requires. On a CPU,
    rows that share one order get a view of the gathered examples instead of a copy.

    Ranks each have their `share` of every batch, `batch` columns. Chunks are as long as in one process.
    """

    def __init__(self, examples: Examples, rows: list, ranks: Ranks | None = None):
        self.examples, self.rows = examples, rows
        self.share = Share(rows[0].batch, ranks)
        self.batch, self.steps = self.share.width, rows[0].steps
        self.unique_rows, self.unique_indices = self._distinct_orders()
        self.chunk_steps = self._chunk_size()
        self.train_counts = torch.tensor(
            [len(row.fold.train) for row in rows], device=examples.template.device
        )
        self.first_steps = range(0, self.steps, self.chunk_steps)
        self.buffers = [ReusableBuffer(examples.template) for _ in ("inputs", "targets")]
        self.chunk_weights = self._weigh_chunks()  # the same in every epoch, where no loss is weighted
        self.loss_weights = None
        if examples.are_weighted(rows):
            self.loss_weights = LossWeights(examples, rows, self.unique_indices, self.chunk_steps, self.batch)

    @property
    def padded_steps(self) -> range:
        """The steps of an epoch in which padding fills the batch of some row, on some rank: the last or none,
        or all of them."""
        has_padding = any(len(row.fold.train) < self.steps * self.share.batch for row in self.rows)
        return range(self.steps - has_padding if self.share.is_even else 0, self.steps)

    def _distinct_orders(self) -> tuple[list, list[int]]:
        """The rows that stand for each order of examples, and of every row (K,) the index of its order."""
        keys = [(row.seed, row.fold.key) for row in self.rows]  # rows with equal keys get the same batches
        unique = list(dict.fromkeys(keys))
        return [self.rows[keys.index(key)] for key in unique], [unique.index(key) for key in keys]

    def _chunk_size(self) -> int:
        """Steps in a chunk; the last one of an epoch may have fewer."""
        inputs, outputs = self.examples.spec.inputs, self.examples.outputs
        return steps_in_chunk(self.steps, self.share.batch, inputs, outputs)

    def epoch(self, epoch: int, done: int = 0):
        """The chunks of an epoch (1, 2, ...), after its first `done` steps."""
        orders = [self._draw_order(row, epoch) for row in self.unique_rows]
        for first, weights in zip(self.first_steps, self.chunk_weights, strict=True):
            if first + len(weights[0]) > done:
                chunk = Chunk(first, *self._gather(first, orders), *weights)
                if self.loss_weights:
                    chunk = self.loss_weights.weigh(chunk, self._chunk_examples(first, orders))
                yield chunk.after(done)

    def _chunk_examples(self, first: int, orders) -> torch.Tensor:
        """The examples of a chunk, (orders, S B)."""
        positions = slice(first * self.batch, (first + self.chunk_steps) * self.batch)
        chunk_examples = torch.from_numpy(np.stack([order[positions] for order in orders]))
        return chunk_examples.to(self.examples.template.device)

    def _draw_order(self, row, epoch: int) -> np.ndarray:
        """The row's training example indices, shuffled for the epoch and repeated to fill the last batch; of
        every batch, those that are in the share of this process."""
        order = np.resize(training_order(row, epoch), self.steps * self.share.batch)
        return self.share.of_order(order)

    def _gather(self, first: int, orders):
        """The chunk's inputs (S, K, d, B) and targets (S, K, m, B)."""
        steps = min(self.chunk_steps, self.steps - first)
        positions = slice(first * self.batch, (first + steps) * self.batch)
        gathered = [
            self.examples.gather(row.fold, order[positions])
            for row, order in zip(self.unique_rows, orders, strict=True)
        ]
        inputs, targets = zip(*gathered, strict=True)
        return [
            self._stack_rows(steps, columns, buffer)
            for columns, buffer in zip((inputs, targets), self.buffers, strict=True)
        ]

    def _weigh_chunks(self) -> list:
        """(weight, valid, count) of every chunk. All but the last chunk are full, so they share one pair."""
        full = self._weigh_chunk(0)
        return [*[full] * (len(self.first_steps) - 1), self._weigh_chunk(self.first_steps[-1])]

    def _weigh_chunk(self, first: int):
        """Each column's weight in its batch's mean; 1 for an example or 0 for padding; and how many examples
        the batch has."""
        steps, batch = min(self.chunk_steps, self.steps - first), self.share.batch
        counts = self.train_counts if len(self.train_counts.unique()) > 1 else self.train_counts[:1]
        positions = torch.arange(first * batch, (first + steps) * batch, device=counts.device)
        valid = (positions.view(steps, 1, batch) < counts[:, None]).to(self.examples.template.dtype)
        count = valid.sum(2, keepdim=True)
        valid = self.share.of(valid)
        return (valid / count)[:, :, None], valid, count

    def _stack_rows(
        self, steps: int, gathered: tuple[torch.Tensor, ...], buffer: ReusableBuffer
    ) -> torch.Tensor:
        """(n, S B) of every unique row as (S, K, n, B): a step's batch is a view of some columns."""
        indices = self.unique_indices if len(gathered) > 1 else [0]  # one set of batches for all rows
        if len(indices) == 1 and not is_cuda(self.examples.template):
            rows = gathered[0][None]
        else:
            shape = tuple(gathered[0].shape)
            # Laid out in a stack as for a single row: the bits of a product depend on its factors' layout.
            transposed = is_example_major(gathered[0])
            rows = buffer.aligned(len(indices), shape[::-1] if transposed else shape)
            rows = rows.mT if transposed else rows
            for k, index in enumerate(indices):
                rows[k] = gathered[index]
        rows = rows.expand(len(self.rows), -1, -1)
        return rows.unflatten(2, (steps, self.batch)).permute(2, 0, 1, 3)


class LossWeights:
    """Weighs the losses of the examples in each chunk of a stack, in memory that never moves."""

    def __init__(self, examples: Examples, rows: list, orders: list[int], steps: int, batch: int):
        tables = [examples.loss_weights(row) for row in rows]  # rows of one fold and weight share theirs
        unique = list({id(table): table for table in tables}.values())
        indices = [next(i for i, other in enumerate(unique) if other is table) for table in tables]
        if len(unique) == len(set(orders)) == 1:  # one line for all rows
            indices, orders = indices[:1], orders[:1]
        device = examples.template.device
        self.table = torch.stack(unique).flatten()
        self.first = torch.tensor(indices, device=device)[:, None] * len(tables[0])  # (K, 1), in the table
        self.orders = torch.tensor(orders, device=device)  # (K,)
        self.loss_weight = self.table.new_empty(steps, len(indices), batch)
        self.weight = torch.empty_like(self.loss_weight)

    def weigh(self, chunk: Chunk, chunk_examples: torch.Tensor) -> Chunk:
        """The chunk, of these examples (orders, S B), with their weights."""
        loss_weight, weight = (buffer[: len(chunk.x)] for buffer in (self.loss_weight, self.weight))
        lines = chunk_examples[self.orders] + self.first  # (K, S B)
        weights = self.table.index_select(0, lines.flatten())
        loss_weight.copy_(weights.unflatten(0, (len(lines), len(chunk.x), -1)).transpose(0, 1))
        torch.mul(loss_weight, chunk.weight[:, :, 0], out=weight)
        return replace(chunk, weight=weight[:, :, None], loss_weight=loss_weight)


def training_order(row, epoch: int) -> np.ndarray:
    """The row's training examples in the order of the epoch (1, 2, ...): batch after batch."""
    return stream(row.seed, "order", epoch).permutation(row.fold.train)


def steps_in_chunk(steps: int, batch: int, inputs: int, outputs: int) -> int:
    """How many steps of an epoch are gathered at once, on a CPU."""
    most_by_inputs = CHUNK_ELEMENTS // (batch * inputs)
    most_by_targets = TARGET_TO_INPUT_RATIO * CHUNK_ELEMENTS // (batch * outputs)
    return max(1, min(steps, most_by_inputs, most_by_targets))
