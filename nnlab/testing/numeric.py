"""Central differences, a distance between tensors, and a box bound by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from nnlab.autodiff.box import Site
from nnlab.autodiff.graph import Slot
from nnlab.runtime.layout import ALIGN, aligned

COLUMNS = ("dropout", "input_dropout", "dropconnect")  # what a box may look up by name


def central(f, x, step=1e-6):
    """d f_k / d x_k by central differences: f() gives (K,), and x (K, ...) is changed in place."""
    slope = torch.empty_like(x)
    for place in np.ndindex(*x.shape[1:]):
        at = (slice(None), *place)
        kept = x[at].clone()
        x[at] = kept + step
        up = f()
        x[at] = kept - step
        slope[at] = (up - f()) / (2 * step)
        x[at] = kept
    return slope


def assert_near(a, b, digits, what="it"):
    """|a - b| < 10^-digits times the largest |b| of the row, and at least 1; both (K, ...)."""
    assert a.shape == b.shape, f"{what}: shape {tuple(a.shape)}, expected {tuple(b.shape)}"
    a, b = (v.reshape(len(v), -1) for v in (a, b))
    worst = ((a - b).abs() / b.abs().amax(1, keepdim=True).clamp_min(1)).nan_to_num(torch.inf).max()
    assert worst < 10.0**-digits, f"{what} is off by {worst:.1e} of the largest"


def assert_same(a, b, what):
    """Bit for bit; a NaN equals a NaN."""
    assert a.shape == b.shape, f"{what}: shape {tuple(a.shape)}, expected {tuple(b.shape)}"
    assert torch.equal(a.nan_to_num(1e30), b.nan_to_num(1e30)), what


def in_rows(x: torch.Tensor) -> torch.Tensor:
    """A copy of x (K, ...) in which each row lies as the engine has it."""
    return aligned(len(x), tuple(x.shape[1:]), x).copy_(x)


@dataclass
class Bound:
    """A box bound by hand, on parameters of its own, with whatever it needs set."""

    box: object
    theta: dict  # name -> (K, *shape), views of a matrix whose gaps are zero
    grad: dict
    gaps: torch.Tensor  # (P,) bool: the columns of the matrix that belong to no parameter
    matrix: torch.Tensor  # (K, P), what the views of grad view


def rates(rows: int) -> dict[str, torch.Tensor]:
    """The columns of a site: 0.4 for the first row, 0 for the last."""
    return dict.fromkeys(COLUMNS, torch.linspace(0.4, 0, rows, dtype=torch.float64)[:, None])


def bind(
    box, shapes, rows, batch, training=True, needs=None, seed=0, threads=1, dtype=torch.float64, row=None,
    device="cpu",
) -> Bound:  # fmt: skip
    """`box` alone at its site, with random parameters, dropout rates and uniforms, set by `seed`.

    With `row` a population of one: that row of the population of `rows`.
    """
    which = slice(None) if row is None else slice(row, row + 1)
    random = torch.Generator().manual_seed(seed)
    slots, end = {}, 0
    for name, parameter in box.parameters(*shapes).items():
        slots[name] = Slot(parameter, end)
        end += -(-parameter.size // ALIGN) * ALIGN
    like = torch.empty(0, dtype=dtype, device=device)
    matrices = [like.new_zeros(len(range(rows)[which]), end) for _ in range(2)]
    views = [{name: slot.view(matrix) for name, slot in slots.items()} for matrix in matrices]
    gaps = torch.ones(end, dtype=torch.bool)
    for name, slot in slots.items():
        drawn = torch.randn(rows, *slot.parameter.shape, generator=random, dtype=torch.float64)
        views[0][name].copy_(drawn[which])
        gaps[slot.start : slot.start + slot.parameter.size] = False
    columns = {name: column[which] for name, column in rates(rows).items()}
    needs = needs or (True,) * len(shapes)
    site = Site(len(matrices[0]), batch, training, like, columns, threads, *views, needs)
    bound = box.bind(site, *shapes)
    if bound.noise_shape:
        drawn = torch.rand(rows, *bound.noise_shape, generator=random, dtype=torch.float64)
        bound.uniforms = in_rows(drawn[which].to(like))
    return Bound(bound, *views, gaps, matrices[1])
