"""Models: each builds the computation graph for an example's shape and a number of outputs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from nnlab.autodiff.activations import ACTIVATIONS, OUTPUTS
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.combine import Concatenate, Slice
from nnlab.autodiff.dropout import DropConnect, Dropout
from nnlab.autodiff.embedding import Embedding
from nnlab.autodiff.graph import Graph
from nnlab.autodiff.periodic import PeriodicEmbedding
from nnlab.autodiff.scale import Scale
from nnlab.data.encoding import InputLayout
from nnlab.errors import UserError
from nnlab.hyperparameters import Component, static
from nnlab.plugins import lookup

# In a layer. Whether its weights fit into memory is computed before they are allocated.
MOST_UNITS = 10_000_000
# How much quicker than weights the factors of `Tabular`'s inputs learn: in RealMLP 6 times the learning rate,
# and its weights are slower by the root of 256 inputs.
SCALE_GAIN = 96.0


@dataclass(frozen=True)
class Model(Component):
    """Base of the models.

    loss          the loss that the model is made for; `auto`: the data and `output` decide
    output        the map at the end of the network; `auto`: the one that the loss has built in, if any
    takes_layout  whether `graph` has an argument layout, an `InputLayout`: which inputs are numbers, which
                  plain, which slots of categories to embed. Other models get no slots
    """

    group: ClassVar[str] = "model"
    loss: ClassVar[str] = "auto"
    takes_layout: ClassVar[bool] = False
    output = "auto"  # no annotation: as a field of MLP it must come after `hidden`

    def graph(self, shape: tuple[int, ...], outputs: int, output: str = "identity") -> Graph:
        """The network for examples of this shape, (64,) or (1, 28, 28), ending in the map `output`.

        See `Experiment.graph`. The models below flatten an image, row after row.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class MLP(Model):
    """x -> [affine -> activation -> dropout] for each hidden layer -> affine -> output map.

    `activation` is one for all hidden layers, or a list with one for each. An image is flattened.

    >>> MLP(hidden=(64,)).graph((64,), outputs=10).parameter_count
    4810
    """

    name: ClassVar[str] = "mlp"
    takes_layout: ClassVar[bool] = True
    hidden: tuple[int, ...] = static((64,), low=1, high=MOST_UNITS)
    activation: str | tuple[str, ...] = static("relu", choices=tuple(ACTIVATIONS), plugins="activation")
    output: str = static("auto", choices=("auto", *OUTPUTS))

    def __post_init__(self):
        super().__post_init__()
        refuse_other_length(self.hidden, self.activation)

    def graph(self, shape, outputs, output="identity", layout=None):
        return perceptron(math.prod(shape), self.hidden, outputs, self.activation, output, layout)


@dataclass(frozen=True)
class Linear(Model):
    """x -> affine, with squared error: linear regression, the multi-layer perceptron of zero layers."""

    name: ClassVar[str] = "linear"
    takes_layout: ClassVar[bool] = True
    loss: ClassVar[str] = "squared_error"

    def graph(self, shape, outputs, output="identity", layout=None):
        return perceptron(math.prod(shape), (), outputs, output=output, layout=layout)


@dataclass(frozen=True)
class Logistic(Model):
    """x -> affine, with softmax and cross-entropy: logistic regression."""

    name: ClassVar[str] = "logistic"
    takes_layout: ClassVar[bool] = True
    loss: ClassVar[str] = "cross_entropy"

    def graph(self, shape, outputs, output="identity", layout=None):
        return perceptron(math.prod(shape), (), outputs, output=output, layout=layout)


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


MODELS = {model.name: model for model in (MLP, Linear, Logistic, Tabular)}


def refuse_other_length(hidden: tuple[int, ...], activation: str | tuple[str, ...]) -> None:
    """Raise `UserError` for a list of activations that is not as long as that of hidden layers."""
    if isinstance(activation, tuple) and len(activation) != len(hidden):
        raise UserError(
            f"model.activation = [{', '.join(activation)}]: expected one for each hidden layer, but "
            f"model.hidden = {list(hidden)} has {len(hidden)}, not {len(activation)}"
        )


# ---- parts of graphs


def perceptron(
    inputs: int, hidden, outputs: int, activation="identity", output: str = "identity",
    layout: InputLayout | None = None,
) -> Graph:  # fmt: skip
    """A chain of affine boxes: after each but the last an activation and dropout, after the last `output`.

    `activation` is a name for all of `hidden`, or a tuple with one for each. Categories are embedded first.
    """
    graph = Graph((inputs,))
    below = joined(graph, divided_inputs(graph, layout or InputLayout(inputs, 0)))
    return add_layers(graph, below, hidden, outputs, activation, output)


def divided_inputs(graph: Graph, layout: InputLayout) -> list[int]:
    """The numbers and flags, after dropout, and the embeddings of categories, as values of `graph`; one of
    them where there are no others."""
    count, categories = layout.numbers + layout.plain, len(layout.embedded)
    if not categories:
        return [graph.add("input_dropout", Dropout("input_dropout"), graph.input)]
    embedding = Embedding(layout.embedded)
    if not count:
        return [graph.add("embedding", embedding, graph.input)]
    others = graph.add("others", Slice(0, count), graph.input)
    slots = graph.add("slots", Slice(count, count + categories), graph.input)
    dropped = graph.add("input_dropout", Dropout("input_dropout"), others)
    return [dropped, graph.add("embedding", embedding, slots)]


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


def joined(graph: Graph, values: list[int]) -> int:
    return graph.add("inputs", Concatenate(), *values) if len(values) > 1 else values[0]


def add_layers(graph: Graph, below: int, hidden, outputs: int, activation, output: str) -> Graph:
    """Add to `below` for each of `hidden` [affine -> activation -> dropout], then affine, then `output`."""
    activations = (activation,) * len(hidden) if isinstance(activation, str) else activation
    last = below
    for n, (units, name) in enumerate(zip(hidden, activations, strict=True), start=1):
        masked = DropConnect(stream=f"hidden{n}")
        last = graph.add(f"hidden{n}", Affine(units, name), last, weight=masked)
        last = graph.add(f"{name}{n}", lookup(ACTIVATIONS, "activation", name)(), last)
        last = graph.add(f"dropout{n}", Dropout(), last)
    last = graph.add("output", Affine(outputs), last)
    if output != "identity":
        graph.add(output, OUTPUTS[output](), last)
    return graph
