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
from nnlab.data.encoding import InputLayout
from nnlab.errors import UserError
from nnlab.hyperparameters import Component, static
from nnlab.plugins import lookup

# In a layer. Whether its weights fit into memory is computed before they are allocated.
MOST_UNITS = 10_000_000


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
        layers, given = self.hidden, self.activation
        if isinstance(given, tuple) and len(given) != len(layers):
            raise UserError(
                f"model.activation = [{', '.join(given)}]: expected one for each hidden layer, "
                f"but model.hidden = {list(layers)} has {len(layers)}, not {len(given)}"
            )

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


MODELS = {model.name: model for model in (MLP, Linear, Logistic)}


def perceptron(
    inputs: int,
    hidden,
    outputs: int,
    activation="identity",
    output: str = "identity",
    layout: InputLayout | None = None,
) -> Graph:
    """A chain of affine boxes: after each but the last an activation and dropout, after the last `output`.

    `activation` is a name for all of `hidden`, or a tuple with one for each.
    """
    activations = (activation,) * len(hidden) if isinstance(activation, str) else activation
    graph = Graph((inputs,))
    last = embedded_inputs(graph, layout)
    for n, (units, activation) in enumerate(zip(hidden, activations, strict=True), start=1):
        masked = DropConnect(stream=f"hidden{n}")
        last = graph.add(f"hidden{n}", Affine(units, activation), last, weight=masked)
        last = graph.add(f"{activation}{n}", lookup(ACTIVATIONS, "activation", activation)(), last)
        last = graph.add(f"dropout{n}", Dropout(), last)
    last = graph.add("output", Affine(outputs), last)
    if output != "identity":
        graph.add(output, OUTPUTS[output](), last)
    return graph


def embedded_inputs(graph: Graph, layout: InputLayout | None) -> int:
    """What the first layer reads, as a value of `graph`: the inputs after dropout, then the embeddings.

    The slots of categories are embedded, and only the other inputs are dropped.
    """
    if layout is None or not layout.embedded:
        return graph.add("input_dropout", Dropout("input_dropout"), graph.input)
    count, categories = layout.numbers + layout.plain, len(layout.embedded)
    slots = graph.add("slots", Slice(count, count + categories), graph.input) if count else graph.input
    vectors = graph.add("embedding", Embedding(layout.embedded), slots)
    if not count:
        return vectors
    plain = graph.add("numbers", Slice(0, count), graph.input)
    dropped = graph.add("input_dropout", Dropout("input_dropout"), plain)
    return graph.add("inputs", Concatenate(), dropped, vectors)
