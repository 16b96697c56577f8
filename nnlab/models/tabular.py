"""The model for tables: numbers as waves, categories as vectors, then a multi-layer perceptron."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from nnlab.autodiff.activations import ACTIVATIONS, OUTPUTS
from nnlab.autodiff.combine import Slice
from nnlab.autodiff.graph import Graph
from nnlab.autodiff.periodic import PeriodicEmbedding
from nnlab.autodiff.scale import Scale
from nnlab.data.encoding import InputLayout
from nnlab.hyperparameters import static
from nnlab.models.base import Model
from nnlab.models.perceptron import MOST_UNITS, add_layers, divided_inputs, joined, refuse_other_length

# How much quicker than weights the factors of `Tabular`'s inputs learn: in RealMLP 6 times the learning rate,
# and its weights are slower by the root of 256 inputs.
SCALE_GAIN = 96.0


@dataclass(frozen=True)
class Tabular(Model):
    """For tables: [waves of numbers | flags | embeddings] -> scale -> the layers of an MLP.

    A number becomes four (`PeriodicEmbedding`), a category of many becomes eight (`Embedding`), and each of
    these inputs has a learnt factor (`Scale`).

    After RealMLP (Holzmueller, Grinsztajn and Steinwart 2024): docs/log.md says what each of its parts gained
    here, and which are left out.
    """

    name: ClassVar[str] = "tabular"
    takes_layout: ClassVar[bool] = True
    hidden: tuple[int, ...] = static((256, 256, 256), low=1, high=MOST_UNITS)
    activation: str | tuple[str, ...] = static("silu", choices=tuple(ACTIVATIONS), plugins="activation")
    output: str = static("auto", choices=("auto", *OUTPUTS))

    def __post_init__(self):
        super().__post_init__()
        refuse_other_length(self.hidden, self.activation)

    def graph(self, shape, outputs, output="identity", layout=None):
        graph = Graph((math.prod(shape),))
        layout = layout or InputLayout(math.prod(shape), 0)
        last = graph.add("scale", Scale(SCALE_GAIN), joined(graph, with_waves(graph, layout)))
        return add_layers(graph, last, self.hidden, outputs, self.activation, output)


def with_waves(graph: Graph, layout: InputLayout) -> list[int]:
    """`divided_inputs`, but each number becomes a `PeriodicEmbedding`."""
    others, *vectors = divided_inputs(graph, layout)
    if not layout.numbers:
        return [others, *vectors]
    if not layout.plain:
        return [graph.add("periodic", PeriodicEmbedding(), others), *vectors]
    numbers = graph.add("numbers", Slice(0, layout.numbers), others)
    flags = graph.add("flags", Slice(layout.numbers, layout.numbers + layout.plain), others)
    return [graph.add("periodic", PeriodicEmbedding(), numbers), flags, *vectors]
