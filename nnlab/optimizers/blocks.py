"""Cache blocking: an update is made in blocks of its matrices that fit into a core's cache."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

from nnlab.optimizers.base import Optimizer
from nnlab.runtime.layout import ALIGNED_FLOATS
from nnlab.runtime.threads import run_all

BLOCK_ELEMENTS = 2**16  # elements of each matrix in a block


def blocked_update(
    optimizer: Optimizer, theta, g, slots, scratch, threads: int
) -> Callable[[SimpleNamespace], None]:
    """`optimizer.update` on these matrices (K, P), as a function of a step's `columns`.

    In an elementwise update a parameter depends on nothing else in its row, so that blocks give the bits of
    the whole, on any number of threads. An optimiser that is not `elementwise` is called once for all.
    """
    rows, size = theta.shape
    width = max(1, BLOCK_ELEMENTS // (rows * ALIGNED_FLOATS)) * ALIGNED_FLOATS
    if not optimizer.elementwise or theta.device.type != "cpu" or size <= width:
        return lambda columns: optimizer.update(theta, g, slots, columns, scratch)
    slices = [slice(start, start + width) for start in range(0, size, width)]
    blocks = [_block(theta, g, slots, scratch, s) for s in slices]

    def update(columns: SimpleNamespace) -> None:
        tasks = [
            partial(optimizer.update, *block, columns, block_scratch) for *block, block_scratch in blocks
        ]
        run_all(tasks, threads)

    return update


def parts_of_update(optimizer: Optimizer, weights_end: int, theta, g, slots, scratch) -> list[tuple]:
    """What is updated by the same columns: all of these matrices (K, P); or first the weights, then the
    biases, where those of any row have a rate of their own."""
    if not optimizer.scales_biases:
        return [(theta, g, slots, scratch)]
    return [_block(theta, g, slots, scratch, s) for s in (slice(weights_end), slice(weights_end, None))]


def _block(theta, g, slots, scratch, s: slice) -> tuple:
    """These columns of the matrices."""
    slots = SimpleNamespace(**{name: matrix[:, s] for name, matrix in vars(slots).items()})
    return theta[:, s], g[:, s], slots, scratch[:, s]
