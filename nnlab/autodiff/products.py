"""Batched matrix products whose bits do not depend on K or, where it matters, on the threads.

What torch 2.13 with MKL does on aligned rows (measured, docs/log.md):
- `bmm` of one row has the bits of the same row in any stack, except that K = 1 with a dimension of 1
  takes a matrix-vector kernel of other rounding: it is computed as two equal rows instead;
- into memory whose rows do not touch, `bmm` falls back to one product after another: it is given a
  packed buffer, and the result is copied, which is up to twice as fast;
- products whose dimensions are all 16 or more have the same bits on one thread and on several.
"""

import torch

from nnlab.autodiff.box import Site, aligned

LARGE = 4e6  # multiply-adds in a row's product from which several threads pay


def product(site: Site, m: int, k: int, n: int, out: torch.Tensor):
    """The kernel for (K, m, k) @ (K, k, n) -> out (K, m, n): a function of (a, b) that returns `out`."""
    bmm = torch.bmm
    if site.threads > 1 and m * k * n >= LARGE and min(m, k, n) >= 16:
        bmm = on_threads(site.threads, torch.bmm)
    if site.rows == 1 and min(m, k, n) == 1 and out.device.type == "cpu":
        pair = _packed(2, m, n, out)
        return lambda a, b: out.copy_(bmm(a.expand(2, -1, -1), b.expand(2, -1, -1), out=pair)[:1])
    if out.is_contiguous():
        return lambda a, b: bmm(a, b, out=out)
    packed = _packed(site.rows, m, n, out)
    return lambda a, b: out.copy_(bmm(a, b, out=packed))


def _packed(rows: int, m: int, n: int, like: torch.Tensor) -> torch.Tensor:
    """A buffer whose rows touch, if each then still begins on a cache line; else an aligned one."""
    if m * n % 16:
        return aligned(rows, (m, n), like)
    return torch.zeros(rows, m, n, dtype=like.dtype, device=like.device)


def on_threads(threads: int, function):
    """`function` on so many threads; all else in a step runs on one."""

    def run(*args, **kwargs):
        torch.set_num_threads(threads)
        try:
            return function(*args, **kwargs)
        finally:
            torch.set_num_threads(1)

    return run
