"""Multi-layer perceptrons, and those without a hidden layer: linear and logistic regression."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from nnlab.autodiff.activations import ACTIVATIONS, OUTPUTS
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.combine import Add, Concatenate, Slice
from nnlab.autodiff.dropout import DropConnect, Dropout
from nnlab.autodiff.embedding import Embedding
from nnlab.autodiff.graph import Graph
from nnlab.autodiff.layer_norm import LayerNorm
from nnlab.autodiff.normalization import BatchNorm
from nnlab.data.encoding import InputLayout
from nnlab.errors import UserError
from nnlab.hyperparameters import static
from nnlab.models.base import Model
from nnlab.plugins import lookup

# In a layer. Whether its weights fit into memory is computed before they are allocated.
MOST_UNITS = 10_000_000
NORMALIZATIONS = {"batch": BatchNorm, "layer": LayerNorm}


@dataclass(frozen=True)
class MLP(Model):
    """x -> [affine -> normalization -> activation -> dropout] for each hidden layer -> affine -> output map.

    `activation` is one for all hidden layers, or a list with one for each. An image is flattened. With
    `residual`, a hidden layer that is as wide as the hidden layer before it adds its input to its output
    (He et al. 2016); others, such as the first, have no such skip.

    >>> MLP(hidden=(64,)).graph((64,), outputs=10).parameter_count
    4810
    """

    name: ClassVar[str] = "mlp"
    takes_layout: ClassVar[bool] = True
    hidden: tuple[int, ...] = static((64,), low=1, high=MOST_UNITS)
    activation: str | tuple[str, ...] = static("relu", choices=tuple(ACTIVATIONS), plugins="activation")
    output: str = static("auto", choices=("auto", *OUTPUTS))
    normalization: str = static("none", choices=("none", *NORMALIZATIONS))
    residual: bool = static(False)

    def __post_init__(self):
        super().__post_init__()
        refuse_other_length(self.hidden, self.activation)
        refuse_without_effect(self)

    def graph(self, shape, outputs, output="identity", layout=None):
        graph = Graph((math.prod(shape),))
        below = joined(graph, divided_inputs(graph, layout or InputLayout(math.prod(shape), 0)))
        layers = self.hidden, outputs, self.activation, output
        return add_layers(graph, below, *layers, self.normalization, self.residual)


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


def refuse_other_length(hidden: tuple[int, ...], activation: str | tuple[str, ...]) -> None:
    """Raise `UserError` for a list of activations that is not as long as that of hidden layers."""
    if isinstance(activation, tuple) and len(activation) != len(hidden):
        raise UserError(
            f"model.activation = [{', '.join(activation)}]: expected one for each hidden layer, but "
            f"model.hidden = {list(hidden)} has {len(hidden)}, not {len(activation)}"
        )


def refuse_without_effect(model: MLP) -> None:
    """Raise `UserError` for a setting of hidden layers that changes none of them."""
    if model.normalization != "none" and not model.hidden:
        raise UserError(
            f"model.normalization={model.normalization}: it is of hidden layers, and model.hidden=[] has none"
        )
    if model.residual and not any(a == b for a, b in pairwise(model.hidden)):
        raise UserError(
            f"model.residual=true: a skip leads around a hidden layer that is as wide as the one before it, "
            f"and model.hidden = {list(model.hidden)} has no such layer; model.hidden=[64,64] has one"
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


def joined(graph: Graph, values: list[int]) -> int:
    return graph.add("inputs", Concatenate(), *values) if len(values) > 1 else values[0]


def add_layers(
    graph: Graph, below: int, hidden, outputs: int, activation, output: str,
    normalization: str = "none", residual: bool = False,
) -> Graph:  # fmt: skip
    """Add to `below` for each of `hidden` [affine -> normalization -> activation -> dropout], then affine,
    then `output`. With `residual`, a layer as wide as the one before it adds its input to its output."""
    activations = (activation,) * len(hidden) if isinstance(activation, str) else activation
    last, width = below, None
    for n, (units, name) in enumerate(zip(hidden, activations, strict=True), start=1):
        layer_input, masked = last, DropConnect(stream=f"hidden{n}")
        last = graph.add(f"hidden{n}", Affine(units, name), last, weight=masked)
        if normalization != "none":
            box = NORMALIZATIONS[normalization]()
            last = graph.add(f"{box.name}{n}", box, last)
        last = graph.add(f"{name}{n}", lookup(ACTIVATIONS, "activation", name)(), last)
        last = graph.add(f"dropout{n}", Dropout(), last)
        if residual and units == width:
            last = graph.add(f"residual{n}", Add(), layer_input, last)
        width = units
    last = graph.add("output", Affine(outputs), last)
    if output != "identity":
        graph.add(output, OUTPUTS[output](), last)
    return graph
