"""An update in parts: blocks of columns of all its matrices, which fit into a core's cache."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

from nnlab.optimizers.base import Optimizer
from nnlab.runtime.layout import ALIGNED_FLOATS
from nnlab.runtime.threads import run_all

BLOCK_NUMBERS = 2**16  # numbers of each matrix in a part


def in_blocks(
    optimizer: Optimizer, theta, g, slots, scratch, threads: int
) -> Callable[[SimpleNamespace], None]:
    """`optimizer.update` on these matrices (K, P), a function of a step's columns f.

    What happens to a parameter depends on nothing else in its row, so that parts have the bits of the whole,
    and several threads those of one. An optimiser that is not `elementwise` is called once, for everything.
    """
    rows, size = theta.shape
    width = max(1, BLOCK_NUMBERS // (rows * ALIGNED_FLOATS)) * ALIGNED_FLOATS
    if not optimizer.elementwise or theta.device.type != "cpu" or size <= width:
        return lambda f: optimizer.update(theta, g, slots, f, scratch)
    columns = [slice(start, start + width) for start in range(0, size, width)]
    parts = [
        (
            theta[:, c],
            g[:, c],
            SimpleNamespace(**{name: v[:, c] for name, v in vars(slots).items()}),
            scratch[:, c],
        )
        for c in columns
    ]

    def update(f: SimpleNamespace) -> None:
        run_all([partial(optimizer.update, *part, f, room) for *part, room in parts], threads)

    return update
