"""Batched matrix products whose bits do not depend on K or, where it matters, on the threads.

Measured with torch 2.13 and MKL on aligned rows (docs/log.md): `bmm` of one row equals the same row of
any stack, except that K = 1 with a dimension of 1 takes a matrix-vector kernel of other rounding; and
products whose dimensions are all 16 or more have the same bits on one thread and on several.
"""

import torch

LARGE = 4e6  # multiply-adds in a row's product from which several threads pay


def product(rows: int, m: int, k: int, n: int, threads: int = 1):
    """The kernel for (K, m, k) @ (K, k, n): a function of (a, b, out)."""
    if rows == 1 and min(m, k, n) == 1:
        return _as_two_rows
    if threads > 1 and m * k * n >= LARGE and min(m, k, n) >= 16:
        return lambda a, b, out: _on_threads(threads, a, b, out)
    return _bmm


def _bmm(a, b, out):
    return torch.bmm(a, b, out=out)


def _as_two_rows(a, b, out):
    return out.copy_(torch.bmm(a.expand(2, -1, -1), b.expand(2, -1, -1))[:1])


def _on_threads(threads, a, b, out):
    torch.set_num_threads(threads)
    try:
        return torch.bmm(a, b, out=out)
    finally:
        torch.set_num_threads(1)
