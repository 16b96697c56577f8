"""Batched matrix products whose bits depend neither on K nor on the threads: of the row and the shape alone.

What MKL does (docs/log.md has the measurements, scripts/row_bits.py makes them):
- on several threads it divides a product by how many there are, and the bits are others: with AVX-512 from
  sums of some hundred terms. So every call runs on one thread, and threads share blocks of a fixed size;
- a part of a large product need not have the bits of the whole. So one thread too computes it in those
  blocks, and row after row: each is the very call that it is for a row alone;
- on one thread a small product of one row has the bits of the same row in any stack, except that K = 1 with a
  dimension of 1 takes a matrix-vector kernel of other rounding: it is computed as two equal rows instead;
- into memory whose rows do not touch, `bmm` falls back to one product after another: it is given a packed
  buffer, and the result is copied, which is up to twice as fast.
"""

from functools import partial

import torch

from nnlab.autodiff.box import Site
from nnlab.runtime.cuda_graphs import is_cuda
from nnlab.runtime.layout import aligned
from nnlab.runtime.precision import gpu_product
from nnlab.runtime.threads import run_all

# Multiply-adds in a block, at least: 40 microseconds and more, so that waking a thread pays.
BLOCK_OPERATIONS = 2**22
MOST_BLOCKS = 8  # blocks in a row's product
LEAST_WIDTH = 64  # rows or columns of a block, at least: every block reads the whole of the other factor


def product(site: Site, m: int, k: int, n: int, out: torch.Tensor):
    """The kernel for (K, m, k) @ (K, k, n) -> out (K, m, n): a function of (a, b) that returns `out`."""
    if is_cuda(out):
        return gpu_product(site.precision, out)
    if m * k * n >= 2 * BLOCK_OPERATIONS:
        return Blocks(site.threads, m, k, n, out)
    if site.rows == 1 and min(m, k, n) == 1:
        pair = _packed(2, m, n, out)
        return lambda a, b: out.copy_(torch.bmm(a.expand(2, -1, -1), b.expand(2, -1, -1), out=pair)[:1])
    if out.is_contiguous():
        return lambda a, b: torch.bmm(a, b, out=out)
    packed = _packed(site.rows, m, n, out)
    return lambda a, b: out.copy_(torch.bmm(a, b, out=packed))


class Blocks:
    """A large product, in blocks of rows of a and out, or of columns of b and out where a has few rows."""

    def __init__(self, threads: int, m: int, k: int, n: int, out: torch.Tensor):
        self.threads, self.out = threads, out
        self.by_rows = m >= 2 * LEAST_WIDTH
        self.size = block_size(m if self.by_rows else n, m * k * n)
        self.parts = self._cut(out)
        self.last = [None, None]  # the factors of the last call, and their blocks: weights stay the same
        self.blocks = [None, None]

    def __call__(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        factors = zip(self._blocks(0, a, self.by_rows), self._blocks(1, b, not self.by_rows), strict=True)
        tasks = [partial(torch.bmm, *pair, out=part) for pair, part in zip(factors, self.parts, strict=True)]
        run_all(tasks, self.threads)
        return self.out

    def _blocks(self, which: int, factor: torch.Tensor, divided: bool) -> list[torch.Tensor]:
        if self.last[which] is not factor:
            per_row = len(self.parts) // len(self.out)
            whole = [row for row in factor.split(1) for _ in range(per_row)]
            self.blocks[which] = self._cut(factor) if divided else whole
            self.last[which] = factor
        return self.blocks[which]

    def _cut(self, matrices: torch.Tensor) -> list[torch.Tensor]:
        """The blocks of every row's matrix, one row after another."""
        axis = 1 if self.by_rows else 2
        return [block for row in matrices.split(1) for block in row.split(self.size, axis)]


def block_size(length: int, work: int) -> int:
    """How many of `length` rows or columns a block has, in a product of so many multiply-adds.

    Two, four or eight blocks, so that two, four or eight threads have equal shares.

    >>> block_size(256, 256 * 784 * 128), block_size(784, 784 * 256 * 128), block_size(100, 10**8)
    (64, 208, 64)
    """
    count = 2 ** (min(MOST_BLOCKS, work // BLOCK_OPERATIONS).bit_length() - 1)
    share = -(-length // count)
    return max(LEAST_WIDTH, -(-share // 16) * 16)


def _packed(rows: int, m: int, n: int, like: torch.Tensor) -> torch.Tensor:
    """A buffer whose rows touch, if each then still begins on a cache line; else an aligned one."""
    if m * n % 16:
        return aligned(rows, (m, n), like)
    return torch.zeros(rows, m, n, dtype=like.dtype, device=like.device)
