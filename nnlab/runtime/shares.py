"""Which examples of a batch this process computes: all of them, or the part of its rank.

Every rank draws the whole batch, its order and its noise, by the names of streams, and takes its own columns.
So no rank sends an example to another, and together they compute what one process would. All parts have the
same `width`: where a batch cannot be divided evenly, some end with a column that is no example, of weight 0.
"""

from __future__ import annotations

import numpy as np
import torch

from nnlab.runtime.cuda_graphs import is_cuda
from nnlab.runtime.ranks import Ranks


class Share:
    """This process's part of batches of so many examples.

    ranks    the processes that share them; None if this one is alone
    width    how many columns each has for its part
    is_even  whether all of them are examples, in a full batch

    >>> Share(10, Ranks(rank=2, size=3, local_rank=2)).of(torch.arange(10))
    tensor([6, 7, 8, 9])
    """

    def __init__(self, batch: int, ranks: Ranks | None = None):
        size, rank = (ranks.size, ranks.rank) if ranks else (1, 0)
        self.batch, self.ranks = batch, ranks
        self.width, self.is_even = -(-batch // size), batch % size == 0
        self.first = batch * rank // size
        self.count = batch * (rank + 1) // size - self.first

    def of_order(self, order: np.ndarray) -> np.ndarray:
        """Its examples of every batch, one batch after another, from `order`, which has whole batches. A
        column that is no example gets some other one of the batch."""
        if not self.ranks:
            return order
        columns = np.minimum(np.arange(self.first, self.first + self.width), self.batch - 1)
        return order.reshape(-1, self.batch)[:, columns].ravel()

    def of(self, values: torch.Tensor, axis: int = -1) -> torch.Tensor:
        """Its columns of values of a whole batch along this axis; 0 in one that is no example."""
        if not self.ranks:
            return values
        part = values.narrow(axis, self.first, self.count)
        if self.count == self.width:
            return part
        shape = list(part.shape)
        shape[axis] = self.width - self.count
        return torch.cat([part, part.new_zeros(shape)], axis)

    def totals(self, *sums: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Sums over its examples as those over the whole batch: the same bits on every rank, by one exchange.
        They themselves if this process is alone, else new tensors."""
        if not self.ranks:
            return sums
        flat = self.ranks.all_reduce(torch.cat([s.flatten() for s in sums]))
        parts = flat.split([s.numel() for s in sums])
        return tuple(part.view(s.shape) for part, s in zip(parts, sums, strict=True))

    @property
    def captured(self) -> bool:
        """Whether sums on a card may be captured in a CUDA graph."""
        return self.ranks is None or self.ranks.captures

    def wait_for(self, sums: torch.Tensor) -> None:
        """Wait until a card has computed them, which never happens where a rank is lost: a `MachineFault`."""
        if self.ranks and is_cuda(sums):
            self.ranks.wait_for_card()

    def sum_in_place(self, dense: torch.Tensor) -> None:
        """The same of one tensor that is dense in memory, which it overwrites."""
        if self.ranks:
            self.ranks.all_reduce(dense)
