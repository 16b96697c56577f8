"""The first layer of a trained network, whose weights stand on the inputs themselves: pixels, or columns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nnlab.arguments import typed
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.augmentation import Augmentation
from nnlab.autodiff.combine import Concatenate, Slice
from nnlab.autodiff.convolution import Convolution
from nnlab.autodiff.dropout import Dropout
from nnlab.autodiff.embedding import Embedding
from nnlab.autodiff.graph import Graph, Node
from nnlab.autodiff.periodic import PeriodicEmbedding
from nnlab.autodiff.reshaping import Reshaping
from nnlab.autodiff.scale import Scale
from nnlab.data.spec import DataSpec
from nnlab.errors import UserError


@dataclass(frozen=True)
class FirstLayer:
    """Weights of the first layer of one row.

    name     of the layer
    shape    of what a unit sees: of an example; of a convolution, of its kernel
    weights  (units, *shape), of which a factor of the input, if it has one, is a part
    kernels  whether it is a convolution
    """

    name: str
    shape: tuple[int, ...]
    weights: np.ndarray
    kernels: bool


@typed
def first_layer(graph: Graph, weights: dict, spec: DataSpec) -> FirstLayer:
    """The first layer of a row with these `weights`, if it sees the inputs in their order.

    Raises `UserError` for a network of which no layer does, as one that first makes waves of numbers or
    vectors of categories: `input_norms` is also of these.
    """
    node, source, factor = _first_layer_node(graph, weights)
    W = weights[_weight_name(graph, node)].astype(np.float64)
    if isinstance(node.box, Convolution):
        if len(graph.nodes[node.inputs[0]].shape) != len(spec.shape):
            raise UserError(f"the layer {node.name} reads the inputs in another shape than they have")
        return FirstLayer(node.name, W.shape[1:], W, True)
    if not np.array_equal(source, np.arange(spec.inputs)):
        raise UserError(f"the layer {node.name} does not see each input once, in its order")
    return FirstLayer(node.name, spec.shape, (W * factor).reshape(len(W), *spec.shape), False)


@typed
def input_norms(graph: Graph, weights: dict, spec: DataSpec) -> dict:
    """How strongly the first layer reads each input: name -> the norm of all weights on it, those on waves of
    a number or on the vector of a category too. Of a table by column, and else by the names of the inputs,
    or their numbers. Inputs were normalised, so norms compare.

    Raises `UserError` for a network whose first layer is a convolution, or mixes inputs before it.
    """
    node, source, factor = _first_layer_node(graph, weights)
    if isinstance(node.box, Convolution):
        raise UserError(f"the layer {node.name} is a convolution, which reads all inputs by the same weights")
    W = weights[_weight_name(graph, node)].astype(np.float64) * factor
    squares = np.bincount(source, (W**2).sum(0), minlength=spec.inputs)
    names = input_columns(spec) or spec.features or tuple(f"input {i}" for i in range(spec.inputs))
    norms: dict[str, float] = dict.fromkeys(names, 0.0)
    for name, square in zip(names, squares, strict=True):
        norms[name] += square
    return {name: math.sqrt(square) for name, square in norms.items()}


def input_columns(spec: DataSpec) -> tuple[str, ...]:
    """The column of a table that each input is of; none if there are no columns."""
    encoding = spec.encoding
    if not encoding.columns:
        return ()
    of_raw = [column.name for column in encoding.columns for _ in column.raw]
    return (
        *(of_raw[i] for i in encoding.number_positions),
        *(column.name for column in encoding.flagged_columns),
        *(column.name for column in encoding.one_hot_columns for _ in column.slots),
        *(of_raw[i] for i in encoding.plain_positions),
        *(column.name for column in encoding.embedded_columns),
    )


def _first_layer_node(graph: Graph, weights: dict) -> tuple[Node, np.ndarray, np.ndarray]:
    """The first affine layer or convolution on the inputs; the input of each number that it reads, flat, and
    the factor between them."""
    seen = {graph.input: np.arange(math.prod(graph.nodes[graph.input].shape))}
    seen[graph.input] = seen[graph.input].reshape(graph.nodes[graph.input].shape)
    factors = {graph.input: np.ones(graph.nodes[graph.input].shape)}
    for n, node in enumerate(graph.nodes):
        if node.box is None or not all(i in seen for i in node.inputs):
            continue
        if isinstance(node.box, Affine | Convolution):
            (i,) = node.inputs
            return node, seen[i].ravel(), factors[i].ravel()
        sources, scales = ([values[i] for i in node.inputs] for values in (seen, factors))
        if isinstance(node.box, Scale):
            factor = weights[_weight_name(graph, node)].astype(np.float64).reshape(node.shape)
            seen[n], factors[n] = sources[0], scales[0] * node.box.gain * factor
        elif (passed := _passed(node, sources)) is not None:
            seen[n], factors[n] = passed, _passed(node, scales)
    raise UserError("no layer of this network reads the inputs themselves")


def _passed(node: Node, values: list[np.ndarray]) -> np.ndarray | None:
    """Something of each input of the network, as the box passes inputs on; None if it mixes or bends them."""
    x, box = values[0], node.box
    if isinstance(box, Concatenate):
        return np.concatenate(values)
    if isinstance(box, Dropout | Augmentation) or box.name == "identity":
        return x
    if isinstance(box, Slice):
        return x.take(range(box.start, box.stop), axis=box.axis)
    if isinstance(box, Reshaping):
        return x.reshape(node.shape)
    if isinstance(box, PeriodicEmbedding):
        return np.concatenate([np.repeat(x, box.units - 1), x])
    if isinstance(box, Embedding):
        return np.tile(x, node.shape[0] // len(x))
    return None


def _weight_name(graph: Graph, node: Node) -> str:
    """The name of its first leaf, before a box that stands on it, such as dropconnect."""
    n = node.leaves[0]
    while graph.nodes[n].leaf is None:
        n = graph.nodes[n].inputs[0]
    return graph.nodes[n].name
