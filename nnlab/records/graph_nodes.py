"""What is shown of a graph, on the screen, in graph.json, drawn and in TensorBoard: its nodes in words."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import torch

from nnlab.autodiff.activations import OUTPUTS, activation_class
from nnlab.autodiff.box import Box, Buffer, Site
from nnlab.autodiff.graph import Graph, Node
from nnlab.autodiff.symbolic import EXAMPLE_WEIGHT, OBJECTIVE, TARGET, gradient_graph
from nnlab.data.spec import DataSpec
from nnlab.experiment import Experiment
from nnlab.regularizers import Regularizer

SHOWN_FIRST = ("units", "kernel", "size")  # fields that are shown even where they have their default
# `activation` is the one that follows, for the initial weights; `slots` may be thousands of characters;
# `ones` is in the shape.
HIDDEN_FIELDS = ("activation", "stream", "slots", "ones")


@dataclass(frozen=True)
class ShownNode:
    """One value of a graph: an input, a leaf, or the output of a box that does something.

    kind            "input", "parameter", "buffer"; or of a box "learnt" (it has parameters), "activation",
                    "random", "plain"
    reads           the names of the values that the box reads, its leaves too
    per_example     whether each example has a value of this shape
    order           0: of the network; 1: of its gradient; 2: of the gradient of that
    """

    name: str
    kind: str
    box: str
    settings: str
    formula: str
    reads: tuple[str, ...]
    shape: tuple[int, ...]
    per_example: bool
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
        return shape_text(self.shape, self.per_example)

    @property
    def values_read(self) -> list[str]:
        """What it reads besides leaves of its own, and boxes on these."""
        return [name for name in self.reads if not name.startswith(f"{self.name}.")]


@dataclass(frozen=True)
class ShownGraph:
    """The nodes of a graph in order, and what it is for: its output and the loss of it, or with a gradient
    the objective and the gradients of the parameters.

    `left_out` names the boxes that are the identity in this job, such as dropout with the rate 0; `built_in`
    the output map that the user wrote, where the loss has it built in.
    """

    title: str
    nodes: tuple[ShownNode, ...]
    left_out: tuple[str, ...]
    outputs: tuple[str, ...]
    loss: str
    parameter_count: int
    built_in: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> ShownNode:
        return next(node for node in self.nodes if node.name == name)

    @property
    def parts(self) -> list[list[ShownNode]]:
        """The nodes of the network, of its gradient, and of the gradient of that, as far as there are any."""
        last = max(node.order for node in self.nodes)
        return [[node for node in self.nodes if node.order == order] for order in range(last + 1)]


def shape_text(shape: tuple[int, ...], per_example: bool = True) -> str:
    """`32×28×28`; of a leaf without the axes of size 1 at its end, as a bias (32, 1, 1) has them."""
    last = len(shape)
    while not per_example and last > 1 and shape[last - 1] == 1:
        last -= 1
    return "×".join(map(str, shape[:last])) or "1"


def shown_graph(experiment: Experiment, spec: DataSpec, order: int = 0, title: str = "") -> ShownGraph:
    """What is shown of an experiment's network in training, for such data; with the graph of its gradient
    (order 1), or with that and the gradient of the gradient (order 2) too."""
    site, loss = training_site(experiment.regularizer), experiment.loss_for(spec)
    whole = experiment.graph(spec)
    graph = without_identities(whole, site)
    kept = {node.name for node in graph.nodes}
    left_out = [node.name for node in whole.nodes if node.name not in kept]
    written = experiment.model.output_box
    parts = [graph, *(gradient_graph(graph, loss, k) for k in range(1, order + 1))]
    return ShownGraph(
        title=title,
        nodes=shown_nodes(parts, site),
        left_out=tuple(left_out),
        outputs=tuple(parts[-1].nodes[n].name for n in parts[-1].outputs),
        loss=loss.name.replace("_", " ") + (f", with {loss.map} built in" if loss.map else ""),
        parameter_count=graph.parameter_count,
        built_in=() if written is None or any(n.name == written for n in whole.nodes) else (written,),
    )


def shown_nodes(parts: list[Graph], site: Site) -> tuple[ShownNode, ...]:
    """The nodes of the last graph. The order of each is that of the first graph among `parts` that has it;
    the objective, from which a gradient begins, belongs to the network."""
    order_of: dict[str, int] = dict.fromkeys((OBJECTIVE, TARGET, EXAMPLE_WEIGHT), 0)
    for order, graph in enumerate(parts):
        for node in graph.nodes:
            order_of.setdefault(node.name, order)
    return tuple(_shown_node(parts[-1], node, site, order_of[node.name]) for node in parts[-1].nodes)


def without_identities(graph: Graph, site: Site) -> Graph:
    """The graph without boxes whose output is their input on this site, such as dropout with the rate 0."""
    result, numbers = Graph(graph.nodes[0].shape), {0: 0}
    for number, node in enumerate(graph.nodes[1:], 1):
        if node.box is not None and node.box.is_identity(site):
            numbers[number] = numbers[node.inputs[0]]
            continue
        inputs, leaves = (tuple(numbers[i] for i in each) for each in (node.inputs, node.leaves))
        numbers[number] = len(result.nodes)
        result.nodes.append(replace(node, inputs=inputs, leaves=leaves))
    result.outputs = tuple(numbers[n] for n in graph.outputs)
    return result


def training_site(regularizer: Regularizer) -> Site:
    """The site of one row in training, by which a box says whether it does anything."""
    rates = {name: torch.tensor([[float(rate)]]) for name, rate in regularizer.rates().items()}
    return Site(rows=1, batch=1, training=True, template=torch.empty(0), columns=rates)


def _shown_node(graph: Graph, node: Node, site: Site, order: int) -> ShownNode:
    box, shapes, parameters = node.box, graph.input_shapes(node), graph.parameters
    own = [node.name] if box is None else [f"{node.name}.{leaf}" for leaf in box.leaves(*shapes)]
    return ShownNode(
        name=node.name,
        kind=_kind(node),
        box=box.name if box else "",
        settings=_settings_text(box, site) if box else "",
        formula=box.formula if box else "",
        reads=tuple(graph.nodes[i].name for i in node.operands),
        shape=node.shape,
        per_example=node.per_example,
        parameters=sum(parameters[name].size for name in own if name in parameters),
        multiply_adds=graph.multiply_adds_of(node),
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
        elif isinstance(value, Box) and box.name.startswith(value.name):  # `convolution_kernels` says it
            continue
        elif field.name in ("units", "loss") or isinstance(value, Box):  # what they are needs no word
            words.append(getattr(value, "name", str(value)))
        else:
            words.append(f"{field.name} {_value_text(value)}")
    return ", ".join(words)


def _value_text(value) -> str:
    if isinstance(value, tuple):
        return "×".join(map(_value_text, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) and math.isfinite(value) else str(value)
