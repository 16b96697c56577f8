"""Batched matrix products whose bits depend on the row and the shapes alone, not on K or the threads.

What MKL does (docs/log.md has the measurements, scripts/row_bits.py makes them):
- it splits a product by the number of threads, which changes the bits: with AVX-512 from sums of some hundred
  terms on. So every call runs on one thread, and threads share blocks of a fixed size;
- a part of a large product need not have the bits of the whole. So a single thread computes it in the same
  blocks, and row after row: each is the same call as for a row alone;
- on one thread a small product of one row has the bits of the same row in any stack, except that K = 1 with a
  dimension of 1 takes a matrix-vector kernel of other rounding: it is computed as two equal rows instead;
- if rows of the output are not contiguous, `bmm` falls back to one product after another. So it writes into a
  packed buffer, and the result is copied, which is up to twice as fast.
"""

from functools import partial

import torch

from nnlab.autodiff.box import Site
from nnlab.runtime.cuda_graphs import is_cuda
from nnlab.runtime.layout import aligned
from nnlab.runtime.precision import gpu_product
from nnlab.runtime.threads import run_all

# Multiply-adds in a block, at least: they take 40 microseconds or more, so that waking a thread pays.
MIN_BLOCK_OPERATIONS = 2**22
MAX_BLOCKS = 8  # in a row's product
MIN_BLOCK_WIDTH = 64  # rows or columns: every block reads the whole of the other factor


def product(site: Site, m: int, k: int, n: int, out: torch.Tensor):
    """The kernel for (K, m, k) @ (K, k, n) -> out (K, m, n): a function of (a, b) that returns `out`."""
    if is_cuda(out):
        return gpu_product(site.precision, out)
    if m * k * n >= 2 * MIN_BLOCK_OPERATIONS:
        return BlockedProduct(site.threads, m, k, n, out)
    if site.rows == 1 and min(m, k, n) == 1:
        pair = _packed(2, m, n, out)
        return lambda a, b: out.copy_(torch.bmm(a.expand(2, -1, -1), b.expand(2, -1, -1), out=pair)[:1])
    if out.is_contiguous():
        return lambda a, b: torch.bmm(a, b, out=out)
    packed = _packed(site.rows, m, n, out)
    return lambda a, b: out.copy_(torch.bmm(a, b, out=packed))


class BlockedProduct:
    """A large product, split into blocks: rows of a and out, or columns of b and out if a has few rows."""

    def __init__(self, threads: int, m: int, k: int, n: int, out: torch.Tensor):
        self.threads, self.out = threads, out
        self.by_rows = m >= 2 * MIN_BLOCK_WIDTH
        self.size = block_size(m if self.by_rows else n, m * k * n)
        self.out_blocks = self._split(out)
        # The factors of the last call and their blocks are cached: weights are the same tensor in every call.
        self.last_factors = [None, None]
        self.last_blocks = [None, None]

    def __call__(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        factors = zip(self._blocks(0, a, self.by_rows), self._blocks(1, b, not self.by_rows), strict=True)
        pairs = zip(factors, self.out_blocks, strict=True)
        tasks = [partial(torch.bmm, *ab, out=block) for ab, block in pairs]
        run_all(tasks, self.threads)
        return self.out

    def _blocks(self, side: int, factor: torch.Tensor, is_split: bool) -> list[torch.Tensor]:
        """The blocks of the left (0) or right factor (1); if it is not split, each row's whole matrix."""
        if self.last_factors[side] is not factor:
            per_row = len(self.out_blocks) // len(self.out)
            whole = [row for row in factor.split(1) for _ in range(per_row)]
            self.last_blocks[side] = self._split(factor) if is_split else whole
            self.last_factors[side] = factor
        return self.last_blocks[side]

    def _split(self, matrices: torch.Tensor) -> list[torch.Tensor]:
        """The blocks of every row's matrix, one row after another."""
        axis = 1 if self.by_rows else 2
        return [block for row in matrices.split(1) for block in row.split(self.size, axis)]


def block_size(length: int, operations: int) -> int:
    """How many of `length` rows or columns a block has, in a product of so many multiply-adds.

    There are two, four or eight blocks, so that two, four or eight threads get equal work.

    >>> block_size(256, 256 * 784 * 128), block_size(784, 784 * 256 * 128), block_size(100, 10**8)
    (64, 208, 64)
    """
    count = 2 ** (min(MAX_BLOCKS, operations // MIN_BLOCK_OPERATIONS).bit_length() - 1)
    width = -(-length // count)
    return max(MIN_BLOCK_WIDTH, -(-width // 16) * 16)


def _packed(rows: int, m: int, n: int, template: torch.Tensor) -> torch.Tensor:
    """A contiguous buffer, if each row then still begins on a cache line; else an aligned one."""
    if m * n % 16:
        return aligned(rows, (m, n), template)
    return torch.zeros(rows, m, n, dtype=template.dtype, device=template.device)
