"""What is shown of a graph, on the screen, in graph.json, drawn and in TensorBoard: its nodes in words."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch

from nnlab.autodiff.activations import OUTPUTS, activation_class
from nnlab.autodiff.box import Box, Buffer, Site
from nnlab.autodiff.graph import Graph, Node
from nnlab.experiment import Experiment
from nnlab.regularizers import Regularizer

SHOWN_FIRST = ("units", "kernel", "size")  # fields that are shown even where they have their default
# `activation` is the one that follows, for the initial weights; `slots` may be thousands of characters.
HIDDEN_FIELDS = ("activation", "stream", "slots")


@dataclass(frozen=True)
class ShownNode:
    """One value of a graph: an input, a leaf, or the output of a box that does something.

    kind            "input", "parameter", "buffer"; or of a box "learnt" (it has parameters), "activation",
                    "random", "plain"
    reads           the names of the values that the box reads, its leaves too; identities are left out
    order           0: of the network; 1: of its gradient; 2: of the gradient of that
    """

    name: str
    kind: str
    box: str
    settings: str
    formula: str
    reads: tuple[str, ...]
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    order: int

    @property
    def is_leaf(self) -> bool:
        return self.kind in ("parameter", "buffer")

    @property
    def text(self) -> str:
        """`convolution 32, kernel 3`"""
        return f"{self.box} {self.settings}".rstrip()

    @property
    def shape_text(self) -> str:
        return shape_text(self.shape)

    @property
    def values_read(self) -> list[str]:
        """What it reads besides leaves of its own, and boxes on these."""
        return [name for name in self.reads if not name.startswith(f"{self.name}.")]


@dataclass(frozen=True)
class ShownGraph:
    """The nodes of a graph in order, what is left out of it, and what follows its output.

    `left_out` names the boxes that are the identity in this job, such as dropout with the rate 0.
    """

    title: str
    nodes: tuple[ShownNode, ...]
    left_out: tuple[str, ...]
    output: str
    loss: str
    parameter_count: int
    multiply_adds: int

    def __getitem__(self, name: str) -> ShownNode:
        return next(node for node in self.nodes if node.name == name)

    def readers(self) -> dict[str, list[ShownNode]]:
        """name -> the nodes that read it."""
        readers = {node.name: [] for node in self.nodes}
        for node in self.nodes:
            for name in dict.fromkeys(node.reads):
                readers[name].append(node)
        return readers


def shape_text(shape: tuple[int, ...]) -> str:
    """`32×28×28`; a column (64, 1), as of a bias, is `64`."""
    sizes = shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape
    return "×".join(map(str, sizes)) or "1"


def shown_graph(
    graph: Graph, experiment: Experiment, loss, title: str, orders: dict[str, int] | None = None
) -> ShownGraph:
    """What is shown of the graph of an experiment in training. `orders` has the names of the nodes that
    belong to a gradient."""
    site = training_site(experiment.regularizer)
    alias_of = list(range(len(graph.nodes)))
    for number, node in enumerate(graph.nodes):
        if node.box is not None and node.box.is_identity(site):
            alias_of[number] = alias_of[node.inputs[0]]
    shown = [
        _shown_node(graph, node, site, alias_of, (orders or {}).get(node.name, 0))
        for number, node in enumerate(graph.nodes) if alias_of[number] == number
    ]  # fmt: skip
    names = {node.name for node in shown}
    left_out = tuple(node.name for node in graph.nodes if node.name not in names)
    in_words = loss.name.replace("_", " ") + (f", with {loss.map} built in" if loss.map else "")
    return ShownGraph(
        title, tuple(shown), left_out, graph.nodes[alias_of[-1]].name, in_words, graph.parameter_count,
        graph.multiply_adds,
    )  # fmt: skip


def training_site(regularizer: Regularizer) -> Site:
    """The site of one row in training, by which a box says whether it does anything."""
    rates = {name: torch.tensor([[float(rate)]]) for name, rate in regularizer.rates().items()}
    return Site(rows=1, batch=1, training=True, template=torch.empty(0), columns=rates)


def _shown_node(graph: Graph, node: Node, site: Site, alias_of: list[int], order: int) -> ShownNode:
    box, shapes, parameters = node.box, graph.input_shapes(node), graph.parameters
    own = [node.name] if box is None else [f"{node.name}.{leaf}" for leaf in box.leaves(*shapes)]
    return ShownNode(
        name=node.name,
        kind=_kind(node),
        box=box.name if box else "",
        settings=_settings_text(box, site) if box else "",
        formula=box.formula if box else "",
        reads=tuple(graph.nodes[alias_of[i]].name for i in node.operands),
        shape=node.shape,
        parameters=sum(parameters[name].size for name in own if name in parameters),
        multiply_adds=box.multiply_adds(*shapes) if box and node.per_example else 0,
        order=order,
    )


def _kind(node: Node) -> str:
    if node.box is None:
        if node.leaf is None:
            return "input"
        return "buffer" if isinstance(node.leaf, Buffer) else "parameter"
    if node.box.random:
        return "random"
    if node.leaves:
        return "learnt"
    is_activation = type(node.box) in (*OUTPUTS.values(), activation_class(node.box.name))
    return "activation" if is_activation else "plain"


def _settings_text(box: Box, site: Site) -> str:
    """`32, kernel 3, stride 2`: the units, and what is not as by default."""
    words = []
    for field in sorted(fields(box), key=lambda field: field.name not in SHOWN_FIRST):
        value = getattr(box, field.name)
        if isinstance(value, str) and value in site.columns:  # a rate, by the name of its column
            words.append(f"{field.name} {float(site.columns[value].mean()):g}")
        elif field.name in HIDDEN_FIELDS or value == field.default and field.name not in SHOWN_FIRST:
            continue
        else:
            words.append(
                _value_text(value) if field.name == "units" else f"{field.name} {_value_text(value)}"
            )
    return ", ".join(words)


def _value_text(value) -> str:
    if isinstance(value, tuple):
        return "×".join(map(_value_text, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) and math.isfinite(value) else str(value)
