"""Convolutional networks, for images and sequences."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from typing import ClassVar, Literal

from nnlab.autodiff.activations import ACTIVATIONS, OUTPUTS
from nnlab.autodiff.dropout import Dropout
from nnlab.autodiff.graph import Graph
from nnlab.autodiff.reshaping import Flatten
from nnlab.autodiff.windows import Extent
from nnlab.errors import UserError
from nnlab.hyperparameters import static
from nnlab.models.base import Model
from nnlab.models.blocks import KEY, NONE, POOLING_NAMES, WORDS, Block, blocks_of, described
from nnlab.models.perceptron import MOST_UNITS, NORMALIZATIONS, add_layers

WrittenBlock = int | str | dict[str, object]
MOST_WORDS = 10  # of blocks in a title


@dataclass(frozen=True)
class CNN(Model):
    """Blocks of convolutions and pooling, then the layers of a multi-layer perceptron.

    x -> [convolution -> normalization -> activation] for each number of channels in `blocks`, pooling for
    each `pool`, ... -> [affine -> normalization -> activation -> dropout] for each hidden layer -> affine
    -> output map, as VGG is written (Simonyan and Zisserman 2015). A block with settings of its own is a
    mapping, {channels: 64, kernel: 5, stride: 2}, {pool: average, size: 3} or {dropout: 0.25}. For images
    (C, H, W) and sequences (C, L).

    >>> CNN().graph((1, 28, 28), outputs=10).parameter_count
    421642
    """

    name: ClassVar[str] = "cnn"
    takes_images: ClassVar[bool] = True
    blocks: tuple[WrittenBlock, ...] = static((32, "pool", 64, "pool"), choices=WORDS, low=1, high=MOST_UNITS)
    kernel: Extent = static(3, low=1, high=MOST_UNITS)
    padding: Extent | Literal["same"] = static("same", low=0, high=MOST_UNITS)
    normalization: str = static(NONE, choices=(NONE, *NORMALIZATIONS))
    activation: str = static("relu", choices=tuple(ACTIVATIONS), plugins="activation")
    pooling: str = static("max", choices=POOLING_NAMES)
    pool_size: Extent = static(2, low=1, high=MOST_UNITS)
    hidden: tuple[int, ...] = static((128,), low=1, high=MOST_UNITS)
    output: str = static("auto", choices=("auto", *OUTPUTS))

    def __post_init__(self):
        super().__post_init__()
        self._blocks()

    def _blocks(self) -> list[Block]:
        return blocks_of(self.blocks, {f.name: getattr(self, f.name) for f in fields(self)})

    def title(self, inputs, outputs):
        """`cnn 32-pool-64-pool-128-10`: its blocks, then the widths of its layers."""
        words = [block.word for block in self._blocks()]
        if len(words) > MOST_WORDS:
            words = [*words[: MOST_WORDS - 2], "...", words[-1]]
        return f"{self.name} {'-'.join(map(str, (*words, *self.hidden, outputs)))}"

    def graph(self, shape, outputs, output="identity"):
        if len(shape) not in (2, 3):
            raise UserError(
                f"model=cnn needs images (C, H, W) or sequences (C, L), and an example is {list(shape)}: "
                f"data=digits, idx, images and mnist1d have them, and npz, npy and arrays (N, C, H, W), for "
                f"which data.channels=first makes a signal of one channel of (N, L); data=csv takes "
                f"data.shape; for others model=mlp"
            )
        graph, counts = Graph(shape), Counter()
        last = graph.add("input_dropout", Dropout("input_dropout"), graph.input)
        for place, block in enumerate(self._blocks(), start=1):
            try:
                last = block.add(graph, last, counts)
            except UserError as e:
                where = f"block {place} ({described(self.blocks[place - 1])})"
                of = graph.nodes[last].shape
                raise UserError(f"{KEY}: {where} reads {of}: {e}{_signal_hint(shape)}") from e
        if len(graph.nodes[last].shape) > 1:
            last = graph.add("flatten", Flatten(), last)
        if not self.hidden and not counts["drop"]:  # so that regularizer.dropout has a place
            last = graph.add("dropout", Dropout(), last)
        return add_layers(graph, last, self.hidden, outputs, self.activation, output, self.normalization)


def _signal_hint(shape: tuple[int, ...]) -> str:
    """What to say beside an error about images of one row or column: they may be signals."""
    if len(shape) != 3 or shape[1:].count(1) != 1:
        return ""
    channels, length = shape[0], max(shape[1:])
    return f"; signals are arrays (N, {channels}, {length}) with data.channels=first"
