"""A box: what one node of a network computes, forwards and backwards.

Every tensor of a network has shape (K, n, B): K rows (models) of the population, n units, and B examples
as columns, as in the lecture's y = W x + b. Keeping the examples last makes every matrix product wide,
also the one into ten output units (docs/log.md has the measurement). What a row owns, its leaves, has no B.

A box is a frozen description with a name, `Affine(64)`, as an optimiser is. It keeps nothing itself: whatever
a pass needs is in the context of the place where the box stands in a bound network.

    fprop(ctx, *x)  the output from the inputs, the box's own leaves last; `ctx.y` is room for it
    bprop(ctx, dy)  the gradients with respect to the inputs, one each, for which `ctx.dx` is room
                    (None where none is needed). That of a parameter is its part of the rows' gradient.

`bprop` overwrites what an earlier call left, and never changes `dy` in place: others may read it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import torch

from nnlab.hyperparameters import Component
from nnlab.runtime.layout import aligned


@dataclass(frozen=True)
class Parameter:
    """A leaf that is trained: its shape without K, and what initialisation needs to know."""

    shape: tuple[int, ...]
    kind: str  # "weight": initialised by init and regularised; "bias": init.bias, never regularised
    fan_in: int = 0
    fan_out: int = 0
    activation: str = "identity"  # what follows the box

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Buffer:
    """A leaf that a box writes while it trains, as a running mean, and that has no gradient."""

    shape: tuple[int, ...]
    start: float = 0.0

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass
class Site:
    """Where a network is bound: the population's size, memory and hyperparameters."""

    rows: int
    batch: int
    training: bool
    like: torch.Tensor  # dtype and device
    columns: dict[str, torch.Tensor] = field(default_factory=dict)  # (K, 1) float64, e.g. "dropout"
    threads: int = 1  # that share the blocks of a large product
    precision: str = "float32"  # of products on a GPU


class Context:
    """Where a box stands in a bound network. `settle` and the passes may keep more in it.

    y            (K, *shape), room for the output; `shape` ends with B, but on a leaf
    dx           room for the gradient of each input, None where none is needed
    noise_shape  set by `settle` if each step is to bring `uniforms`, (1 or K, *noise_shape), in [0, 1)
    valid        (1 or K, 1, B), if the box is one that `counts`: 1 for an example, 0 for what only fills
                 the last batch of an epoch up
    """

    noise_shape: tuple[int, ...] | None = None
    uniforms: torch.Tensor
    valid: torch.Tensor

    def __init__(self, site: Site, shape: tuple[int, ...], dx: tuple[torch.Tensor | None, ...]):
        self.site, self.shape, self.dx = site, shape, dx
        self.y = self.zeros()

    @property
    def training(self) -> bool:
        return self.site.training

    def zeros(self, *shape: int) -> torch.Tensor:
        """A further buffer (K, *shape), of the output's shape if none is said."""
        return aligned(self.site.rows, shape or self.shape, self.site.like)

    def number(self, value: float) -> torch.Tensor:
        """A constant without dimensions: as an operand it costs less than a Python number."""
        return torch.tensor(value, dtype=self.site.like.dtype, device=self.site.like.device)

    def column(self, name: str) -> torch.Tensor:
        """A hyperparameter, float64, with as many dimensions as the output: (K, 1, 1)."""
        return self.site.columns[name].unflatten(1, (1,) * len(self.shape))


@dataclass(frozen=True)
class Box(Component):
    """Base of all boxes. `leaves` and `output_shape` describe it, of inputs whose shapes are without K and B;
    `fprop` and `bprop` do the work."""

    group: ClassVar[str] = "box"
    counts: ClassVar[bool] = False  # it needs to know which examples of a batch are real: `ctx.valid`
    noisy: ClassVar[bool] = False  # it draws random numbers in training
    of_classes: ClassVar[bool] = False  # as an output map: what it gives are the probabilities of classes
    bounded: ClassVar[bool] = False  # an activation between two finite ends, where its units saturate
    initialization: ClassVar[str] = "glorot_uniform"  # what init=auto draws for the weights before it

    # reference(self, ctx, *x): the output in torch's own functions, which autograd differentiates. With it
    # `nnlab check` and nnlab.testing compare both passes; None: with central differences alone.
    reference: ClassVar[Callable | None] = None

    def leaves(self, *shapes: tuple[int, ...]) -> dict[str, Parameter | Buffer]:
        """What it reads beside its inputs, by name, and the rows own."""
        return {}

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:
        return shapes[0]

    def passes_on(self, site: Site) -> bool:
        """Whether, there, it gives its input as it is. Then it costs nothing: no pass is called."""
        return False

    def settle(self, ctx: Context, *shapes: tuple[int, ...]) -> None:
        """Prepare whatever else the passes use: further buffers, columns, kernels."""

    def fprop(self, ctx: Context, *x: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def bprop(self, ctx: Context, dy: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        raise NotImplementedError
