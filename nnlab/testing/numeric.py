"""Numerical helpers of the contracts: central differences, comparison of tensors, and boxes bound alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from nnlab.autodiff.box import Box, Buffer, Parameter, Site
from nnlab.autodiff.central_differences import difference_quotient, shifted
from nnlab.autodiff.graph import LeafSlice
from nnlab.autodiff.network import BoundBox
from nnlab.regularizers import ACTIVITY_PENALTIES, DROPOUTS
from nnlab.runtime.layout import ALIGNED_FLOATS, aligned_values

# What a box may look up by name, and its value in the first row; in the last row it is 0.
LARGEST_RATES = dict.fromkeys((*DROPOUTS, *ACTIVITY_PENALTIES, "flip", "input_noise"), 0.4)
LARGEST_RATES |= {"shift": 2, "cutout": 3}


def central(f, x, step=1e-6):
    """d f_k / d x_k by central differences: f() gives (K,), and x (K, ...) is changed in place."""
    return central_at(range(x[0].numel()), f, x, step).reshape(x.shape)


def central_at(positions, f, x, step=1e-6):
    """The columns at `positions` of `central(f, x).flatten(1)`."""
    slope = x.new_empty(len(x), len(positions))
    for column, position in enumerate(positions):
        index = (slice(None), *np.unravel_index(position, x.shape[1:]))

        def value(h, index=index):
            with shifted(x, index, h):
                return f()

        slope[:, column] = difference_quotient(value, step)
    return slope


def assert_near(a, b, digits, what="it"):
    """Assert |a - b| < 10^-digits max(1, largest |b| of the row); both are (K, ...)."""
    assert a.shape == b.shape, f"{what}: shape {tuple(a.shape)}, expected {tuple(b.shape)}"
    a, b = (v.reshape(len(v), -1) for v in (a, b))
    worst = ((a - b).abs() / b.abs().amax(1, keepdim=True).clamp_min(1)).nan_to_num(torch.inf).max()
    assert worst < 10.0**-digits, f"{what} is off by {worst:.1e} of the largest"


def assert_same(a, b, what):
    """Assert that a and b are equal bit for bit; NaN equals NaN."""
    assert a.shape == b.shape, f"{what}: shape {tuple(a.shape)}, expected {tuple(b.shape)}"
    assert torch.equal(a.nan_to_num(1e30), b.nan_to_num(1e30)), what


def in_rows(x: torch.Tensor, channels_last: bool = False) -> torch.Tensor:
    """A copy of x (K, ...) in the memory layout of the engine, each row aligned."""
    return aligned_values(len(x), tuple(x.shape[1:]), x, channels_last).copy_(x)


@dataclass
class Bound:
    """A box bound outside of a network, with its own leaves and context."""

    box: Box
    bound: BoundBox | None  # None for an identity
    theta: dict  # name -> (K, *shape), views of a matrix whose gaps are zero
    grad: dict
    gaps: torch.Tensor  # (P,) bool: the columns of the matrix that belong to no parameter
    matrix: torch.Tensor  # (K, P): the gradients, of which grad has views
    batch: int

    @property
    def ctx(self):
        return self.bound and self.bound.ctx

    def fprop(self, *x):
        return self.bound.fprop(*x, *self.theta.values()) if self.bound else x[0]

    def operands(self, x) -> list[torch.Tensor]:
        """The inputs x, and the parameters."""
        return [*x, *(self.theta[name] for name in self.grad)]

    def with_buffers(self, operands) -> list[torch.Tensor]:
        """Inputs and parameters as `operands` gives them, and the buffers between."""
        count = len(operands) - len(self.grad)
        inputs, parameters = operands[:count], iter(operands[count:])
        return [*inputs, *(next(parameters) if name in self.grad else v for name, v in self.theta.items())]

    def bprop(self, dy) -> tuple:
        """The gradients of the inputs; those of the parameters are in `grad`."""
        if not self.bound:
            return (dy,)
        dx = self.bound.bprop(dy)
        count = len(dx) - len(self.theta)
        for gradient, buffer in zip(dx[count:], self.ctx.dx[count:], strict=True):
            if buffer is not None and gradient is not buffer:
                buffer.copy_(gradient)
        return dx[:count]


def rates(rows: int) -> dict[str, torch.Tensor]:
    """The rates of each row, (K, 1): from the largest for the first row to 0 for the last."""
    columns = {}
    for name, largest in LARGEST_RATES.items():
        column = torch.linspace(largest, 0, rows, dtype=torch.float64)[:, None]
        columns[name] = column.round() if isinstance(largest, int) else column
    return columns


def each_input(per_example: bool | tuple[bool, ...], shapes) -> tuple[bool, ...]:
    """Whether B follows the shape of each input, from a bool for all or for each."""
    return per_example if isinstance(per_example, tuple) else (per_example,) * len(shapes)


def output_per_example(box: Box, per_example: tuple[bool, ...]) -> bool:
    """Whether B follows the shape of the output, as in `Graph.add`."""
    return any(per_example) if box.output_per_example is None else box.output_per_example


def with_batch(shape: tuple[int, ...], batch: int, per_example: bool) -> tuple[int, ...]:
    return (*shape, batch) if per_example else tuple(shape)


def bind(
    box, shapes, rows, batch, training=True, needs=None, seed=0, threads=1, dtype=torch.float64, row=None,
    device="cpu", per_example: bool | tuple[bool, ...] = True, channels_last=False,
) -> Bound:  # fmt: skip
    """Bind `box` outside of a network, with random leaves, dropout rates and uniforms from `seed`.

    With `row`, only that row of the population of `rows`. `per_example=False`: its inputs are leaves; or a
    bool for each input. `channels_last`: the layout of images in memory.
    """
    selected_rows = slice(None) if row is None else slice(row, row + 1)
    random = torch.Generator().manual_seed(seed)
    leaf_slices, end = {}, 0
    for name, leaf in box.leaves(*shapes).items():
        leaf_slices[name] = LeafSlice(leaf, end)
        end += -(-leaf.size // ALIGNED_FLOATS) * ALIGNED_FLOATS
    template = torch.empty(0, dtype=dtype, device=device)
    matrices = [template.new_zeros(len(range(rows)[selected_rows]), end) for _ in range(2)]
    theta, grad = (
        {name: leaf_slice.view(matrix) for name, leaf_slice in leaf_slices.items()} for matrix in matrices
    )
    gaps = torch.ones(end, dtype=torch.bool)
    for name, leaf_slice in leaf_slices.items():
        values = torch.randn(rows, *leaf_slice.leaf.shape, generator=random, dtype=torch.float64)
        if isinstance(leaf_slice.leaf, Buffer):  # near what it begins at: a variance is not negative
            values = leaf_slice.leaf.start + 0.1 * values
        theta[name].copy_(values[selected_rows])
        gaps[leaf_slice.start : leaf_slice.start + leaf_slice.leaf.size] = False
    columns = {name: column[selected_rows] for name, column in rates(rows).items()}
    site = Site(len(matrices[0]), batch, training, template, columns, threads, channels_last=channels_last)
    if box.is_identity(site):
        return Bound(box, None, theta, grad, gaps, matrices[1], batch)
    per_example = each_input(per_example, shapes)
    needs_dx = [training and need for need in needs or (True,) * len(shapes)]
    dx = [
        aligned_values(site.rows, with_batch(shape, batch, has_batch), template, channels_last)
        if need_dx
        else None
        for shape, need_dx, has_batch in zip(shapes, needs_dx, per_example, strict=True)
    ]
    grad = {name: view for name, view in grad.items() if isinstance(leaf_slices[name].leaf, Parameter)}
    dx += [grad.get(name) if training else None for name in leaf_slices]
    shape = with_batch(box.output_shape(*shapes), batch, output_per_example(box, per_example))
    bound = BoundBox(box, site, shapes, shape, tuple(dx))
    if bound.ctx.noise_shape:
        values = torch.rand(rows, *bound.ctx.noise_shape, generator=random, dtype=torch.float64)
        bound.ctx.uniforms = in_rows(values[selected_rows].to(template))
    if box.needs_valid:
        bound.ctx.valid = template.new_ones(1, 1, batch)
    return Bound(box, bound, theta, grad, gaps, matrices[1], batch)
