"""Matrix products: correct, and with a row's bits independent of K, threads and memory layout.

scripts/row_bits.py looks at many more shapes than there is time for here.
"""

import numpy as np
import pytest
import torch
from bits import LAYOUTS, factors, kernel, result

from nnlab.autodiff.box import Site
from nnlab.autodiff.products import (
    MAX_BLOCKS,
    MIN_BLOCK_OPERATIONS,
    MIN_BLOCK_WIDTH,
    BlockedProduct,
    block_size,
    product,
)
from nnlab.runtime.layout import aligned
from nnlab.runtime.threads import computing

SIZES = [  # fan_in, fan_out, batch
    (784, 128, 128), (784, 256, 128), (784, 128, 50), (256, 256, 128), (784, 10, 1200), (784, 1, 11_000),
    (3, 2000, 1400), (1100, 37, 210), (997, 1013, 17), (65, 10, 13_000), (130, 64, 1), (784, 300, 1),
    (7, 5, 3), (1, 12, 48), (64, 64, 64), (129, 513, 255),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sizes", SIZES, ids=lambda s: "-".join(map(str, s)))
def test_a_rows_product_is_right_and_its_own(sizes, dtype):
    rows = 17 if np.prod(sizes) < MIN_BLOCK_OPERATIONS else 3
    long = sizes[2] > 1000
    with computing():
        for layout in LAYOUTS[2:3] if long else LAYOUTS:
            data = factors(rows, *sizes, dtype, layout, seed=1)
            for which in ("y", "dW", "dx"):
                alone = result(which, data, [2], sizes, threads=1)
                a, b = (part.double() for part in kernel(which, data, [2]))
                rounding = torch.finfo(dtype).eps * (40 + a.shape[2])
                assert ((alone - a @ b).abs() <= rounding * (a.abs() @ b.abs()).sqrt()).all(), (which, layout)
                for threads in (1, 2, 8):
                    stack = result(which, data, range(rows), sizes, threads)
                    assert torch.equal(stack[2:3], alone), (which, layout, f"{rows} rows, {threads} threads")
                assert torch.equal(result(which, data, [2], sizes, 3), alone), (which, layout, "3 threads")


def test_blocks_are_few_wide_and_cover_everything():
    for work in (
        2 * MIN_BLOCK_OPERATIONS,
        3 * MIN_BLOCK_OPERATIONS,
        4 * MIN_BLOCK_OPERATIONS,
        50 * MIN_BLOCK_OPERATIONS,
        10**12,
    ):
        for length in (1, 63, 64, 65, 127, 128, 129, 784, 1000, 50_000):
            size = block_size(length, work)
            assert size >= MIN_BLOCK_WIDTH and size % 16 == 0 and size * MAX_BLOCKS >= length
            assert -(-length // size) <= min(MAX_BLOCKS, work // MIN_BLOCK_OPERATIONS)


def test_what_is_small_is_one_call_for_all_rows():
    like = torch.empty(0)
    for m, k, n, large in [(64, 64, 64, False), (256, 256, 127, False), (256, 256, 128, True)]:
        kernel = product(Site(3, n, True, like, threads=2), m, k, n, aligned(3, (m, n), like))
        assert isinstance(kernel, BlockedProduct) == large


def test_weights_that_are_another_tensor_are_seen():
    """The blocks of a factor are remembered: for as long as it is the same tensor, and not its values."""
    like, (m, k, n) = torch.empty(0), (256, 256, 128)
    times = product(Site(1, n, True, like, threads=2), m, k, n, aligned(1, (m, n), like))
    a, b = torch.randn(1, m, k), torch.randn(1, k, n)
    first = times(a, b).clone()
    assert torch.equal(times(a, 2 * b), 2 * first) and torch.equal(times(2 * a, b), 2 * first)
    assert torch.equal(times(a.mul_(4), b), 4 * first)
