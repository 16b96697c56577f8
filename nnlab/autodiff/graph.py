"""A network as data: a directed acyclic graph of boxes, and of the leaves that they read."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nnlab.autodiff.box import Box, Buffer, Parameter, Site
from nnlab.autodiff.network import Network
from nnlab.runtime.layout import ALIGN


@dataclass(frozen=True)
class Node:
    """One value of the graph: what a box makes of others, or a leaf of the row, or neither: the input."""

    name: str
    shape: tuple[int, ...]  # without K and B
    box: Box | None = None
    inputs: tuple[int, ...] = ()  # what the box reads, by number
    leaves: tuple[int, ...] = ()  # and after that: its own leaves, or what stands in for them
    leaf: Parameter | Buffer | None = None
    per_example: bool = True  # whether B comes after the shape: not for leaves, nor boxes on them alone

    @property
    def reads(self) -> tuple[int, ...]:
        return self.inputs + self.leaves


@dataclass(frozen=True)
class Slot:
    """Where a leaf lies in a row of theta, or of the buffers."""

    leaf: Parameter | Buffer
    start: int

    def view(self, matrix: torch.Tensor) -> torch.Tensor:
        """Its part of `matrix` (K, P), as (K, *shape)."""
        return matrix[:, self.start : self.start + self.leaf.size].unflatten(1, self.leaf.shape)


@dataclass(frozen=True)
class Layout:
    """Where everything lies. Each slot begins on a multiple of 64 numbers; what is between them stays zero.

    Parameters are laid out [weights | biases], so that "weights only" is one slice, `[:weights_end]`.
    """

    slots: dict[str, Slot]  # of the parameters, by name
    weights_end: int
    size: int  # P: a row of theta, the gaps included
    buffers: dict[str, Slot]
    buffers_size: int


class Graph:
    """Boxes in topological order, each added after those it reads, and the leaves of each before it.

        graph = Graph((64,))
        h = graph.add("hidden", Affine(32), graph.input)    # and its leaves hidden.weight, hidden.bias
        h = graph.add("tanh", Tanh(), h)
        graph.add("output", Affine(10), h)                  # the last box added is the output

    A graph computes nothing: `bind` gives the `Network` of a population.

    >>> from nnlab.autodiff.affine import Affine
    >>> graph = Graph((64,))
    >>> _ = graph.add("output", Affine(10), graph.input)
    >>> [(node.name, node.shape) for node in graph.nodes]
    [('input', (64,)), ('output.weight', (10, 64)), ('output.bias', (10, 1)), ('output', (10,))]
    """

    input = 0

    def __init__(self, shape: tuple[int, ...]):
        self.nodes = [Node("input", tuple(shape))]

    def add(self, name: str, box: Box, *inputs: int, **given: int | Box) -> int:
        """Append a box that reads the values numbered `inputs`, and its leaves; its own number.

        For a leaf there may be `given` the number of another one, which is then shared, or a box that is to
        stand between the leaf and this box: `add("hidden", Affine(64), x, weight=DropConnect())`.
        """
        if not inputs or not all(0 <= i < len(self.nodes) for i in inputs):
            raise ValueError(f"box {name!r} reads {inputs}, but values 0 to {len(self.nodes) - 1} exist")
        shapes = [self.nodes[i].shape for i in inputs]
        leaves = box.leaves(*shapes)
        if given.keys() - leaves.keys():
            unknown = ", ".join(sorted(given.keys() - leaves.keys()))
            raise ValueError(f"box {name!r} has no leaf {unknown}: it has {', '.join(leaves) or 'none'}")
        new = [name, *(f"{name}.{leaf}" for leaf in leaves)]
        taken = {node.name for node in self.nodes} & set(new)
        if taken:
            raise ValueError(f"two values of the name {min(taken)!r}")
        own = tuple(self._leaf(f"{name}.{key}", leaf, given.get(key)) for key, leaf in leaves.items())
        per_example = any(self.nodes[i].per_example for i in inputs)
        return self._append(Node(name, box.output_shape(*shapes), box, inputs, own, None, per_example))

    def _leaf(self, name: str, leaf: Parameter | Buffer, given: int | Box | None) -> int:
        if isinstance(given, int):
            if self.nodes[given].shape != leaf.shape:
                raise ValueError(f"{name} is {leaf.shape}, but value {given} is {self.nodes[given].shape}")
            return given
        number = self._append(Node(name, leaf.shape, leaf=leaf, per_example=False))
        return self.add(f"{name}.{given.name}", given, number) if given else number

    def _append(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def __getitem__(self, name: str) -> int:
        """The number of the value of that name."""
        return next(n for n, node in enumerate(self.nodes) if node.name == name)

    # ---- leaves

    @property
    def parameters(self) -> dict[str, Parameter]:
        """Every parameter by its full name, `hidden.weight`, in the order of the boxes."""
        return {node.name: node.leaf for node in self.nodes if isinstance(node.leaf, Parameter)}

    @property
    def parameter_count(self) -> int:
        """How many numbers are trained. (A row of theta is wider: `layout` aligns its slots.)"""
        return sum(parameter.size for parameter in self.parameters.values())

    @property
    def buffers(self) -> dict[str, Buffer]:
        """Every buffer by its full name, likewise."""
        return {node.name: node.leaf for node in self.nodes if isinstance(node.leaf, Buffer)}

    def layout(self) -> Layout:
        """Where each leaf lies."""
        named = self.parameters
        weights, weights_end = _slots({n: p for n, p in named.items() if p.kind == "weight"}, 0)
        biases, size = _slots({n: p for n, p in named.items() if p.kind == "bias"}, weights_end)
        return Layout(weights | biases, weights_end, size, *_slots(self.buffers, 0))

    def leads_to_parameters(self) -> list[bool]:
        """For each value: does it depend on any parameter? If not, no gradient goes there."""
        useful = []
        for node in self.nodes:
            useful.append(isinstance(node.leaf, Parameter) or any(useful[i] for i in node.reads))
        return useful

    def bind(self, theta, grad, site: Site, buffers=None) -> Network:
        """The network on the rows' `theta`, `grad` (K, P) and `buffers` (K, Q), if there are any."""
        return Network(self, theta, grad, site, buffers)


def _slots(leaves: dict, start: int) -> tuple[dict[str, Slot], int]:
    slots = {}
    for name, leaf in leaves.items():
        slots[name] = Slot(leaf, start)
        start += -(-leaf.size // ALIGN) * ALIGN
    return slots, start
