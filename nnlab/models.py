"""Models: a name and sizes become a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnlab.autodiff.activations import ACTIVATIONS
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.dropout import Dropout
from nnlab.autodiff.graph import Graph
from nnlab.fields import Part, static


@dataclass(frozen=True)
class Model(Part):
    """Base of the models. `loss` is the one it is made for, if any; else the data decide."""

    group: ClassVar[str] = "model"
    loss: ClassVar[str] = "auto"

    def graph(self, inputs: int, outputs: int) -> Graph:
        raise NotImplementedError


@dataclass(frozen=True)
class MLP(Model):
    """x -> [affine -> activation -> dropout] for each hidden layer -> affine."""

    name: ClassVar[str] = "mlp"
    hidden: tuple[int, ...] = static((64,), low=1)
    activation: str = static("relu", choices=tuple(ACTIVATIONS))

    def graph(self, inputs, outputs):
        return perceptron(inputs, self.hidden, outputs, self.activation)


@dataclass(frozen=True)
class Linear(Model):
    """x -> affine, with squared error: linear regression, the multi-layer perceptron of zero layers."""

    name: ClassVar[str] = "linear"
    loss: ClassVar[str] = "squared_error"

    def graph(self, inputs, outputs):
        return perceptron(inputs, (), outputs)


@dataclass(frozen=True)
class Logistic(Model):
    """x -> affine, with softmax and cross-entropy: logistic regression."""

    name: ClassVar[str] = "logistic"
    loss: ClassVar[str] = "cross_entropy"

    def graph(self, inputs, outputs):
        return perceptron(inputs, (), outputs)


MODELS = {model.name: model for model in (MLP, Linear, Logistic)}


def perceptron(inputs: int, hidden: tuple[int, ...], outputs: int, activation: str = "identity") -> Graph:
    """A chain of affine boxes, `activation` and dropout after each but the last."""
    graph = Graph((inputs,))
    last = graph.input
    for n, units in enumerate(hidden, start=1):
        last = graph.add(f"hidden{n}", Affine(units, activation), last)
        last = graph.add(f"{activation}{n}", ACTIVATIONS[activation](), last)
        last = graph.add(f"dropout{n}", Dropout(), last)
    graph.add("output", Affine(outputs), last)
    return graph
