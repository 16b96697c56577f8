"""The blocks of a `CNN`: convolution, pooling and dropout, each with settings of its own or the model's.

blocks: [32, pool, {channels: 64, kernel: 5, stride: 2}, {pool: average, size: 3}, {dropout: 0.25}]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from nnlab.autodiff.activations import ACTIVATIONS
from nnlab.autodiff.convolution import Convolution
from nnlab.autodiff.dropout import DropConnect, Dropout
from nnlab.autodiff.graph import Graph
from nnlab.autodiff.pooling import AveragePool, GlobalAveragePool, L2Pool, MaxPool
from nnlab.autodiff.stochastic_pooling import StochasticPool
from nnlab.autodiff.windows import Extent
from nnlab.errors import UserError, nearest
from nnlab.hyperparameters import Component, static
from nnlab.models.perceptron import MOST_UNITS, NORMALIZATIONS
from nnlab.models.settings import make
from nnlab.plugins import lookup
from nnlab.suggestions import hint_of_kind

KEY = "model.blocks"
WORDS = ("pool", "global_pool", "dropout")
NONE = "none"
# `stride` leaves out all but the first number of each window, as a convolution of that stride does.
POOLINGS = {"max": MaxPool, "average": AveragePool, "l2": L2Pool, "stochastic": StochasticPool}
POOLING_NAMES = (*POOLINGS, "stride", NONE)
MODEL_KEYS = ("kernel", "padding", "normalization", "activation")  # where a block does not say its own


@dataclass(frozen=True)
class Block(Component):
    """Base of blocks; `key` in a mapping says which one it is."""

    group: ClassVar[str] = "block"
    key: ClassVar[str] = ""

    @property
    def word(self) -> int | str:
        """What stands for it in the title of a run."""
        return self.name

    def add(self, graph: Graph, below: int, counts: Counter) -> int:
        """Add its boxes to the graph; `counts` has how many of each kind came before. Returns the output."""
        raise NotImplementedError


@dataclass(frozen=True)
class ConvolutionBlock(Block):
    """Convolution -> normalization -> activation."""

    name: ClassVar[str] = "convolution"
    key: ClassVar[str] = "channels"
    channels: int = static(low=1, high=MOST_UNITS)
    kernel: Extent = static(3, low=1)
    stride: Extent = static(1, low=1)
    padding: Extent | Literal["same"] = static("same", low=0)
    dilation: Extent = static(1, low=1)
    groups: int = static(1, low=1)
    normalization: str = static(NONE, choices=(NONE, *NORMALIZATIONS))
    activation: str = static("relu", choices=tuple(ACTIVATIONS), plugins="activation")

    @property
    def word(self):
        return self.channels

    def add(self, graph, below, counts):
        counts["conv"] += 1
        name = f"conv{counts['conv']}"
        box = Convolution(
            self.channels, self.kernel, self.stride, self.padding, self.dilation, self.groups,
            activation=self.activation,
        )  # fmt: skip
        last = graph.add(name, box, below, weight=DropConnect(stream=name))
        if self.normalization != NONE:
            box = NORMALIZATIONS[self.normalization]()
            last = graph.add(f"{name}_{box.name}", box, last)
        box = lookup(ACTIVATIONS, "activation", self.activation)()
        return graph.add(f"{name}_{self.activation}", box, last)


@dataclass(frozen=True)
class PoolBlock(Block):
    """Each window of a channel becomes one number."""

    name: ClassVar[str] = "pool"
    key: ClassVar[str] = "pool"
    pool: str = static("max", choices=POOLING_NAMES)
    size: Extent = static(2, low=1)
    stride: Extent | None = static(None, low=1)
    padding: Extent = static(0, low=0)

    def add(self, graph, below, counts):
        counts["pool"] += 1
        if self.pool == NONE:
            return below
        stride = self.size if self.stride is None else self.stride
        subsampled = MaxPool(1, stride) if self.pool == "stride" else None
        box = subsampled or POOLINGS[self.pool](self.size, stride, self.padding)
        return graph.add(f"pool{counts['pool']}", box, below)


@dataclass(frozen=True)
class GlobalPoolBlock(Block):
    """The mean of each channel over the whole image."""

    name: ClassVar[str] = "global_pool"

    def add(self, graph, below, counts):
        return graph.add("global_pool", GlobalAveragePool(), below)


@dataclass(frozen=True)
class DropoutBlock(Block):
    """Dropout at a rate of its own, or at regularizer.dropout."""

    name: ClassVar[str] = "dropout"
    key: ClassVar[str] = "dropout"
    dropout: float | Literal["dropout"] = static("dropout", low=0, below=1)

    def add(self, graph, below, counts):
        counts["drop"] += 1
        return graph.add(f"drop{counts['drop']}", Dropout(self.dropout), below)


BLOCKS = {block.name: block for block in (ConvolutionBlock, PoolBlock, GlobalPoolBlock, DropoutBlock)}


def blocks_of(written: tuple, settings: Mapping) -> list[Block]:
    """The blocks of `model.blocks`; `settings` are the model's, for what a block does not say itself.

    Raises `UserError` that names the block by its place.
    """
    return [_block(block, place, settings) for place, block in enumerate(written, start=1)]


def _block(written, place: int, settings: Mapping) -> Block:
    if isinstance(written, str):
        written = {"pool": settings["pooling"]} if written == "pool" else {written: None}
    own = dict(written) if isinstance(written, Mapping) else {"channels": written}
    kinds = [cls for cls in BLOCKS.values() if cls.key in own or {cls.name: None} == own]
    if len(kinds) != 1:
        keys = [cls.key for cls in BLOCKS.values() if cls.key]
        hint = _meant(next(iter(own)), keys) if own and not kinds else ""
        said = f"{KEY}: block {place} ({described(written)})"
        raise UserError(f"{said}: expected one key of {', '.join(keys)}, and with it its settings{hint}")
    (cls,) = kinds
    if own in ({"dropout": None}, {"global_pool": None}):
        own = {}
    defaults = {key: settings[key] for key in MODEL_KEYS if cls is ConvolutionBlock}
    if cls is PoolBlock:
        defaults = {"size": settings["pool_size"]}
    return make(cls, {**defaults, **own}, f"{KEY}: block {place}", separator=": ")


def _meant(name: str, keys: list[str]) -> str:
    return hint_of_kind(Block.group, name, keys) or nearest(name, keys)


def described(written) -> str:
    """A block as it was written: `64`, `pool`, `{channels: 64, kernel: 5}`."""
    if not isinstance(written, Mapping):
        return str(written)
    return "{" + ", ".join(f"{key}: {value}" for key, value in written.items()) + "}"
