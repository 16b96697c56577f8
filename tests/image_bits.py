"""Random networks of images, for tests of row independence; scripts/row_bits.py goes on with them."""

from __future__ import annotations

import random

import torch

from nnlab.autodiff.activations import ACTIVATIONS
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.box import Site
from nnlab.autodiff.convolution import Convolution
from nnlab.autodiff.graph import Graph
from nnlab.errors import UserError
from nnlab.runtime.layout import aligned
from nnlab.runtime.threads import computing

STACKS = ([2], [2, 0], [0, 1, 2], range(9), [8, 7, 2, 1])  # rows that are computed together, with row 2
THREADS = (1, 2, 4)
NAMES = ("relu", "tanh", "gelu", "softplus")  # of activations


def network(r: random.Random, large: bool) -> Graph:
    """One to three convolutions, of anything that fits."""
    side, most = r.randint(12, 30) if large else r.randint(1, 12), 30 if large else 12
    lengths = (side, r.randint(1, most)) if r.random() < 0.8 else (side * 4,)
    shape = r.choice([1, 2, 3, 8]), *lengths
    graph = Graph(shape)
    last = graph.input
    for n in range(r.randint(1, 3)):
        for _ in range(20):
            channels = graph.nodes[last].shape[0]
            divisors = [g for g in range(1, channels + 1) if channels % g == 0]
            groups = r.choice([1, 1, 1, r.choice(divisors)])
            kernel = [r.choice([1, 2, 3, 3, 5]) for _ in shape[1:]]
            units = groups * r.choice([1, 2, 5, 16, 32] if large else [1, 2, 3, 8])
            box = Convolution(
                units, kernel, r.choice([1, 1, 2, 3]),
                r.choice([0, 1, "same", [r.randint(0, 2) for _ in shape[1:]]]), r.choice([1, 1, 2]), groups,
                r.random() < 0.8,
            )  # fmt: skip
            try:
                last = graph.add(f"convolution{n}", box, last)
                last = graph.add(f"activation{n}", ACTIVATIONS[r.choice(NAMES)](), last)
                break
            except UserError:  # the kernel does not fit
                continue
    graph.add("output", Affine(r.choice([1, 3, 10])), last)
    return graph


def passes(graph: Graph, data, rows, threads: int, channels_last: bool | None) -> list[torch.Tensor]:
    """What both passes give these rows as a population of their number: outputs and gradients."""
    theta, x, dz = data
    rows = list(rows)
    some = aligned(len(rows), tuple(theta.shape[1:]), theta).copy_(theta[rows])
    grad = torch.zeros_like(some)
    site = Site(len(rows), x.shape[-1], True, some, threads=threads, channels_last=channels_last)
    net = graph.bind(some, grad, site)
    x = x if len(x) == 1 else aligned(len(rows), tuple(x.shape[1:]), x).copy_(x[rows])
    dz = aligned(len(rows), tuple(dz.shape[1:]), dz).copy_(dz[rows])
    net.fprop(x)
    net.bprop(dz)  # of another batch, as buffers are used again
    z = net.fprop(x).clone()
    net.bprop(dz)
    return [z, grad]


def data_of(graph: Graph, rows: int, batch: int, dtype, shared: bool, seed: int):
    """theta (K, P), x (K or 1, d, B) and dz (K, m, B)."""
    generator, template = torch.Generator().manual_seed(seed), torch.empty(0, dtype=dtype)

    def filled(count: int, *shape: int) -> torch.Tensor:
        values = torch.randn(count, *shape, generator=generator, dtype=dtype)
        return aligned(count, shape, template).copy_(values)

    layout = graph.layout()
    theta = filled(rows, layout.size).mul_(0.3)
    d = torch.Size(graph.nodes[graph.input].shape).numel()
    return theta, filled(1 if shared else rows, d, batch), filled(rows, *graph.nodes[-1].shape, batch)


def convolutions(r: random.Random, large: bool):
    """One random network: yields what was compared, and whether row 2 had the bits that it has alone."""
    graph, batch = (
        network(r, large),
        r.choice([1, 2, 3, 7, 16, 33, 64, 65, 128] if large else [1, 2, 5, 8, 31, 64]),
    )
    dtype, shared = r.choice([torch.float32, torch.float32, torch.float64]), r.random() < 0.5
    data = data_of(graph, 9, batch, dtype, shared, r.randrange(10**6))
    what = (
        graph.nodes[0].shape,
        [node.box for node in graph.nodes if isinstance(node.box, Convolution)],
        batch,
    )
    for channels_last in (False, True):
        with computing():
            alone = passes(graph, data, [2], 1, channels_last)
            for rows in STACKS:
                for threads in THREADS:
                    together = passes(graph, data, rows, threads, channels_last)
                    k = list(rows).index(2)
                    same = [torch.equal(a, t[k : k + 1]) for a, t in zip(alone, together, strict=True)]
                    layout = "channels last" if channels_last else "examples last"
                    yield (layout, f"K {len(rows)}", f"{threads} threads", str(dtype)[6:]), what, all(same)
