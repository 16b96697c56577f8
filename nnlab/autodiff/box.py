"""A box: one node of a network, with a forward and a backward pass.

Every tensor of a network has shape (K, n, B): K rows (models) of the population, n units, and B examples
as columns, as in the lecture's y = W x + b. Keeping the examples last makes every matrix product wide,
also the one into ten output units (docs/log.md has the measurement).

A box is first a description (`Affine(64)`); `bind` gives a copy of it with its parameters, their
gradients and its buffers in place, ready for one population and one batch size:

    fprop(*x)  the output from the inputs, keeping what `bprop` will need
    bprop(dy)  the gradients with respect to the inputs, one each (None where none is needed);
               those with respect to its parameters are written straight into its views of `grad`

`bprop` overwrites what an earlier call left, and never changes `dy` in place: others may read it.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field

import torch

from nnlab.runtime.layout import aligned


@dataclass(frozen=True)
class Parameter:
    """One parameter of a box: its shape without K, and what initialisation needs to know."""

    shape: tuple[int, ...]
    kind: str  # "weight": initialised by init and regularised; "bias": init.bias, never regularised
    fan_in: int = 0
    fan_out: int = 0
    activation: str = "identity"  # what follows the box

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass
class Site:
    """Where a box is bound: the population's size, memory and hyperparameters."""

    rows: int
    batch: int
    training: bool
    like: torch.Tensor  # dtype and device
    columns: dict[str, torch.Tensor] = field(default_factory=dict)  # (K, 1) float64, e.g. "dropout"
    threads: int = 1  # that share the blocks of a large product
    theta: dict[str, torch.Tensor] = field(default_factory=dict)  # this box's, (K, *shape)
    grad: dict[str, torch.Tensor] = field(default_factory=dict)
    needs_dx: tuple[bool, ...] = (True,)  # which inputs lead to parameters

    def zeros(self, *shape: int) -> torch.Tensor:
        """A buffer (K, *shape)."""
        return aligned(self.rows, shape, self.like)

    def number(self, value: float) -> torch.Tensor:
        """A constant without dimensions: as an operand it costs less than a Python number."""
        return torch.tensor(value, dtype=self.like.dtype, device=self.like.device)

    def column(self, name: str) -> torch.Tensor:
        """A hyperparameter as (K, 1, 1), in float64."""
        return self.columns[name].unflatten(1, (1, 1))


class Box:
    """Base of all boxes: `output_shape` and `parameters` describe it, `fprop` and `bprop` do the work."""

    noise_shape: tuple[int, ...] | None = None  # once bound: of the `uniforms` that each step brings, if any

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the output for inputs of these shapes, all without K and B."""
        return shapes[0]

    def parameters(self, *shapes: tuple[int, ...]) -> dict[str, Parameter]:
        return {}

    def bind(self, site: Site, *shapes: tuple[int, ...]) -> Box:
        """A copy that stands at `site`, with output `y` and input gradients `dx` allocated."""
        box = copy.copy(self)
        box.theta, box.grad = site.theta, site.grad
        box.y = site.zeros(*self.output_shape(*shapes), site.batch)
        wanted = [need and site.training for need in site.needs_dx]
        box.dx = tuple(
            site.zeros(*shape, site.batch) if want else None
            for shape, want in zip(shapes, wanted, strict=True)
        )
        box.settle(site, *shapes)
        return box

    def settle(self, site: Site, *shapes: tuple[int, ...]) -> None:
        """Prepare whatever else the passes use: further buffers, columns, kernels."""

    def fprop(self, *x: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def bprop(self, dy: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        raise NotImplementedError
