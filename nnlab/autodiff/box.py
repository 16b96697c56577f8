"""The base class of boxes: the operation of one node of a network, with its forward and backward pass.

Every tensor of a network has shape (K, *shape, B): K rows (models) of the population, the shape of a value
for one example, and B examples. For vectors of n units this is (K, n, B): in each model the examples are the
columns of a matrix, as in the lecture's y = W x + b. Keeping the examples last makes every matrix product
wide, also the one into ten output units (docs/log.md has the measurement). Leaves have no B.

Images are (K, C, H, W, B), sequences (K, C, L, B). They have two layouts in memory (runtime/layout.py): a
box is right for any strides of them.

A box is a frozen description with a name, `Affine(64)`, as an optimiser is. It has no state: whatever a pass
needs is in the context `ctx` of the box in a bound network.

    fprop(ctx, *x)  the output from the inputs, the box's leaves last; `ctx.y` is a buffer for it
    bprop(ctx, dy)  the gradients with respect to each input, for which `ctx.dx` are buffers (None where
                    none is needed); the buffer of a parameter is its slice of the rows' gradient

`bprop` overwrites what an earlier call left, and never changes `dy` in place: other boxes may use it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch

from nnlab.hyperparameters import Component
from nnlab.runtime.layout import aligned_values
from nnlab.runtime.shares import Share


@dataclass(frozen=True)
class Parameter:
    """A leaf that is trained: its shape without K, and what its initialisation depends on.

    start  initial values that the box itself decides, whatever init says: (mean, standard deviation) of
           normal ones, or a function of the row's seed and the leaf's full name
    """

    shape: tuple[int, ...]
    kind: str  # "weight": initialised by init and regularised; "bias": init.bias, never regularised
    fan_in: int = 0
    fan_out: int = 0
    activation: str = "identity"  # the one that follows the box
    start: tuple[float, float] | Callable[[int, str], np.ndarray] | None = None

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Buffer:
    """A leaf without a gradient that a box updates in training, such as a running mean."""

    shape: tuple[int, ...]
    start: float = 0.0  # its initial value

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass
class Site:
    """What `Graph.bind` binds a network to: the size, device and hyperparameters of its population."""

    rows: int
    batch: int
    training: bool
    template: torch.Tensor  # a tensor whose dtype and device all others take
    # Hyperparameters, one value a row, (K, 1) float64: "dropout", ... (not the examples of a batch).
    columns: dict[str, torch.Tensor] = field(default_factory=dict)
    threads: int = 1  # how many share the blocks of a large product
    precision: str = "float32"  # the precision of products on a GPU
    # The layout of images in memory (runtime/layout.py). None: the network decides, by its graph and batch.
    channels_last: bool | None = None
    # Whether a large image may be overwritten by the activation that alone reads it, and a gradient likewise:
    # then `Network.values` and what `bprop` returns are not those of every box.
    overwrites: bool = False
    # The part of every batch that is computed here, `batch` columns wide; None: all of it.
    share: Share | None = None

    @property
    def whole_batch(self) -> int:
        """Examples in the batches of all ranks together."""
        return self.share.batch if self.share else self.batch


class Context:
    """The buffers and state of a box in a bound network. `settle` and the passes may keep more in it.

    y            (K, *shape), a buffer for the output; `shape` includes B at its end, unless the box computes
                 with leaves alone
    dx           a buffer for the gradient of each input, None where none is needed
    noise_shape  set by `settle` if each step has to bring `uniforms`, (1 or K, *noise_shape), in [0, 1)
    valid        (1 or K, 1, B), if the box says `needs_valid`: 1 for an example, 0 for padding in the last
                 batch of an epoch
    padded       whether any row has padding in this batch, known without reading `valid`
    count        (1 or K, 1, 1), if the box says `needs_valid`: how many examples the batch has, on all ranks
                 together; None: those that are valid
    per_example  whether B is the last axis of the output
    """

    noise_shape: tuple[int, ...] | None = None
    uniforms: torch.Tensor
    valid: torch.Tensor
    padded: bool = False
    count: torch.Tensor | None = None
    per_example: bool = True

    def __init__(self, site: Site, shape: tuple[int, ...], dx: tuple[torch.Tensor | None, ...], y=None):
        self.site, self.shape, self.dx = site, shape, dx
        self.y = self.zeros() if y is None else y

    @property
    def training(self) -> bool:
        return self.site.training

    def zeros(self, *shape: int) -> torch.Tensor:
        """A further buffer (K, *shape), by default of the output's shape; an image (K, C, ..., B) in the
        network's layout."""
        site = self.site
        return aligned_values(site.rows, shape or self.shape, site.template, bool(site.channels_last))

    def scalar(self, value: float) -> torch.Tensor:
        """A constant as a tensor without dimensions: as an operand it costs less than a Python number."""
        return torch.tensor(value, dtype=self.site.template.dtype, device=self.site.template.device)

    def over_ranks(self, *sums: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Sums over the examples here, as sums over the whole batch, whose examples ranks may share."""
        return self.site.share.totals(*sums) if self.site.share else sums

    def column(self, name: str) -> torch.Tensor:
        """A hyperparameter, float64, with as many dimensions as the output: (K, 1, 1) for vectors."""
        return self.site.columns[name].unflatten(1, (1,) * len(self.shape))


@dataclass(frozen=True)
class Box(Component):
    """Base of all boxes. `leaves` and `output_shape` describe it, given the shapes of its inputs without K
    and B; `fprop` and `bprop` compute."""

    group: ClassVar[str] = "box"
    formula: ClassVar[str] = ""  # of its output, in a few characters: what `nnlab graph` writes into the box
    needs_valid: ClassVar[bool] = False  # it uses `ctx.valid`, the mask of the real examples in a batch
    # Whether ranks may share the examples of a batch; None: where no `ctx.valid` is used. One that sums over
    # the examples does so by `ctx.over_ranks`, and counts them by `ctx.count`.
    shares_batch: ClassVar[bool | None] = None
    random: ClassVar[bool] = False  # its output is random in training: its `settle` sets `ctx.noise_shape`
    captured: ClassVar[bool] = True  # its calls may be captured in a CUDA graph, and replayed
    gives_probabilities: ClassVar[bool] = False  # as output activation, its outputs are class probabilities
    elementwise: ClassVar[bool] = False  # y_i depends on x_i alone, of one input; it has no leaves
    # Elementwise, and right where y has the memory of x, and dx that of dy: bprop needs y at most, never x.
    in_place: ClassVar[bool] = False
    needs_y: ClassVar[bool] = True  # its bprop reads y, or its y may be a view: nobody may write there
    bounded: ClassVar[bool] = False  # an activation between two finite limits, at which its units saturate
    initialization: ClassVar[str] = "glorot_uniform"  # what init=auto draws for the weights before it

    # reference(self, ctx, *x): the output by torch's own functions, which autograd differentiates. `nnlab
    # check` and nnlab.testing compare both passes with it; if None, with central differences alone.
    reference: ClassVar[Callable | None] = None

    # onnx(self, op, *x): the output when not training, by ONNX's operators: `op.Mul(x, op.Sigmoid(x))`, which
    # `nnlab export` writes to a file. Numbers may stand among the operands; `op.shapes` are the shapes of the
    # inputs, `op.OPERATORS` the operators that there are. If None, a network with the box is not exported.
    onnx: ClassVar[Callable | None] = None

    # vjp(self, graph, node, dy): the gradient as boxes. It adds boxes to `graph`, by `Graph.apply`, which
    # compute the gradients of all that `node` reads from `dy`, the number of its output's gradient; and gives
    # their numbers in the order of `node.operands`, None where a gradient is 0. `graph[node.name]` is the
    # number of the output. If None, a network with the box has no gradient graph (autodiff/symbolic.py).
    vjp: ClassVar[Callable | None] = None

    # Whether B follows the shape of its output; None: if it follows that of an input. A sum over the examples
    # says False, and what repeats a leaf for each of them True.
    output_per_example: ClassVar[bool | None] = None

    def leaves(self, *shapes: tuple[int, ...]) -> dict[str, Parameter | Buffer]:
        """Its parameters and buffers by name, which it gets after its inputs."""
        return {}

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:
        return shapes[0]

    def inner_units(self, *shapes: tuple[int, ...]) -> int:
        """How many units it has within: for each of them, as for each of its output, `settle` allocates up to
        four numbers an example. The estimate of memory counts them."""
        return 0

    def multiply_adds(self, *shapes: tuple[int, ...]) -> int:
        """How many multiplications with an addition its products take for an example, in fprop: what costs in
        a network. The products of bprop take twice as many; elementwise operations are not counted."""
        return 0

    def channels_last_gain(self, batch: int, *shapes: tuple[int, ...]) -> int:
        """What a row on a CPU gains if images have channels last in memory, in numbers that are not copied;
        negative if it loses. A network has the layout from which all of its boxes together gain. A box
        that says so has inner units with examples last alone."""
        return 0

    def least_batch(self, *shapes: tuple[int, ...]) -> int:
        """How many examples a batch must have in training. `Graph.refuse_batch` says so of smaller ones."""
        return 1

    def is_identity(self, site: Site) -> bool:
        """Whether its output is its input, on this site. Then it costs nothing: neither pass is called."""
        return False

    def settle(self, ctx: Context, *shapes: tuple[int, ...]) -> None:
        """Allocate whatever else the passes use: further buffers, hyperparameters, kernels.

        `shapes` are those of the inputs, without K and B, as in `output_shape`. A box whose context has a
        `noise_shape` afterwards gets new `uniforms` before each step (it is in `Network.stochastic`).
        """

    def fprop(self, ctx: Context, *x: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def bprop(self, ctx: Context, dy: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        raise NotImplementedError
