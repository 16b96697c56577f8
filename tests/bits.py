"""Random cases for the tests of row independence: matrix products of an affine box, and whole fits.

Up to MNIST's sizes and beyond. scripts/row_bits.py goes on with both for as long as one likes.
"""

import random
from dataclasses import replace

import torch
from test_row_independence import blobs, curves, varied

from nnlab.autodiff.box import Site
from nnlab.autodiff.products import product
from nnlab.experiment import Experiment
from nnlab.models import MLP
from nnlab.optimizers import OPTIMIZERS
from nnlab.runtime.layout import aligned

LAYOUTS = ("own", "chunk", "shared", "by example", "by example, own")
STEPS = 3  # of a chunk: the second is looked at


# ---- the products of an affine box, as the engine lays them out


def factors(rows: int, fan_in: int, fan_out: int, batch: int, dtype, layout: str, seed: int):
    """W (K, fan_out, fan_in), x (K, fan_in, B) and dy (K, fan_out, B); x in one of the layouts of a batch."""
    template, generator = torch.empty(0, dtype=dtype), torch.Generator().manual_seed(seed)

    def filled(*shape, memory=None):
        memory = aligned(rows, shape, template) if memory is None else memory
        return memory.copy_(torch.randn(rows, *shape, generator=generator, dtype=dtype))

    theta = aligned(rows, (-(-fan_in * fan_out // 64) * 64 + 192,), template)  # further parameters lie behind
    W = filled(fan_out, fan_in, memory=theta[:, : fan_in * fan_out].unflatten(1, (fan_out, fan_in)))
    dy, x = filled(fan_out, batch), filled(fan_in, batch)
    if layout == "own":
        return W, x, dy
    x = x[:1] if layout in ("shared", "by example") else x
    wide = STEPS * batch
    if layout.startswith("by example"):
        table = aligned(len(x), (wide, fan_in), template).mT
    else:
        table = aligned(len(x), (fan_in, wide), template)
    chunk = table.unflatten(2, (STEPS, batch)).permute(2, 0, 1, 3)
    chunk[1].copy_(x)
    return W, chunk[1].expand(rows, -1, -1), dy


def kernel(operand: str, data, rows):
    """Both factors of y = W x, dW = dy x' or dx = W' dy, of some rows, in memory as they lie there."""
    first, count = min(rows), len(rows)
    W, x, dy = (part[first : first + count] for part in data)
    return {"y": (W, x), "dW": (dy, x.mT), "dx": (W.mT, dy)}[operand]


def shapes(operand: str, fan_in: int, fan_out: int, batch: int):
    """m, k, n of that product."""
    y = (fan_out, fan_in, batch)
    return {"y": y, "dW": (fan_out, batch, fan_in), "dx": (fan_in, fan_out, batch)}[operand]


def result(operand: str, data, rows, sizes, threads: int, of_library: bool = False) -> torch.Tensor:
    """The product of consecutive rows as a population of their number, on so many threads."""
    m, k, n = shapes(operand, *sizes)
    template = data[0][:0]
    out = aligned(len(rows), (m, n), template)
    a, b = kernel(operand, data, rows)
    if not of_library:
        return product(Site(len(rows), n, True, template, threads=threads), m, k, n, out)(a, b)
    torch.set_num_threads(threads)
    torch.bmm(a, b, out=out)
    torch.set_num_threads(1)
    return out


# ---- random ones


def size(r: random.Random, most: int) -> int:
    """A number of units or examples: small ones, odd ones and round ones are all likely."""
    kinds = (r.randint(1, 20), r.randint(1, min(most, 130)), r.randint(1, most),
             min(most, r.choice([1, 2, 8, 10, 16, 32, 64, 100, 128, 256, 512, 784, 1024])))  # fmt: skip
    return r.choice(kinds)


def products(r: random.Random, of_library: bool):
    """One random shape: yields what was compared, and whether the bits were the same."""
    full = r.random() < 0.1
    sizes = (size(r, 1100), size(r, 1100), r.randint(600, 20_000) if full else size(r, 600))
    dtype, layout = r.choice([torch.float32, torch.float64]), r.choice(LAYOUTS)
    rows = 3 if sizes[0] * sizes[1] * sizes[2] > 2**26 else 17
    data = factors(rows, *sizes, dtype, layout, r.randrange(10**6))
    for operand in ("y", "dW", "dx"):
        alone = result(operand, data, [2], sizes, 1, of_library)
        for threads in (1, 2, 3, 4, 8, 16):
            for rows_together in ([2], [1, 2], [0, 1, 2], range(min(rows, 16)), range(rows)):
                stacked = result(operand, data, rows_together, sizes, threads, of_library)
                of_row_2 = stacked[2 - min(rows_together) :][:1]
                m_k_n, one = shapes(operand, *sizes), "a dimension of 1" if 1 in sizes else "all above 1"
                key = (operand, f"K {len(rows_together)}", f"{threads} threads", str(dtype)[6:], one)
                yield key, m_k_n, torch.equal(of_row_2, alone)


def jobs(r: random.Random):
    """One random fit: yields what of a row was compared with itself alone on one thread, and the outcome.

    In a stack and alone, on several threads. Layers, batches and tables up to MNIST's and beyond; few
    examples, so that it takes a second.
    """
    n, d = r.randint(60, 600), size(r, 900)
    base = Experiment(
        data=blobs(n, d, r.choice([0, 2, 3, 10])),
        model=MLP(hidden=tuple(size(r, 700) for _ in range(r.randint(0, 2))),
                  activation=r.choice(["relu", "tanh", "sigmoid", "gelu", "silu", "softplus", "elu"])),
        batch_size=r.choice(["full", r.randint(1, n // 2), 16, 64, 128, 256]),
        dtype=r.choice(["float32", "float64"]), epochs=2,
    )  # fmt: skip
    optimizer = OPTIMIZERS[r.choice(list(OPTIMIZERS))]
    large = max(d, *base.model.hidden, 1) > 300
    rows = [varied(base, optimizer, k) for k in range(r.choice([2, 3] if large else [2, 3, 6, 17]))]
    k = r.randrange(len(rows))
    (alone,) = curves([replace(rows[k], threads=1)])
    what = (d, *base.model.hidden, base.batch_size, base.dtype, optimizer.name)
    for threads in (1, 2, 8):
        stack = curves([replace(row, threads=threads) for row in rows])[k]
        yield ("in a stack", f"{threads} threads"), what, stack == alone
    for threads in (2, 3):
        yield ("alone", f"{threads} threads"), what, curves([replace(rows[k], threads=threads)])[0] == alone
