"""The graph of a network: boxes, and the parameters and buffers that they use, without memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import chain, count

import torch

from nnlab.autodiff.box import Box, Buffer, Parameter, Site
from nnlab.autodiff.network import Network
from nnlab.errors import UserError
from nnlab.runtime.layout import ALIGNED_FLOATS


@dataclass(frozen=True)
class Node:
    """One value of the graph: the output of a box, a leaf, or (with neither) an input."""

    name: str
    shape: tuple[int, ...]  # without K and B
    box: Box | None = None
    inputs: tuple[int, ...] = ()  # the numbers of the box's inputs
    leaves: tuple[int, ...] = ()  # and of its leaves, or of values that replace them
    leaf: Parameter | Buffer | None = None
    per_example: bool = True  # whether B follows the shape: not for leaves, nor boxes on leaves alone

    @property
    def stream(self) -> str:
        """The name of the stream from which its box gets uniforms, if it draws."""
        return getattr(self.box, "stream", "") or self.name

    @property
    def operands(self) -> tuple[int, ...]:
        """The numbers of all values that the box uses."""
        return self.inputs + self.leaves


@dataclass(frozen=True)
class LeafSlice:
    """The columns of theta, or of the buffers, that hold a leaf."""

    leaf: Parameter | Buffer
    start: int

    def view(self, matrix: torch.Tensor) -> torch.Tensor:
        """The leaf in `matrix` (K, P), as (K, *shape)."""
        return matrix[:, self.start : self.start + self.leaf.size].unflatten(1, self.leaf.shape)

    def view_of_units(self, matrix: torch.Tensor) -> torch.Tensor:
        """The same as (K, fan_out, fan_in); of a kernel, a line for each channel that it gives."""
        return matrix[:, self.start : self.start + self.leaf.size].unflatten(1, (self.leaf.shape[0], -1))


@dataclass(frozen=True)
class Layout:
    """The order of all leaves in a row. Each begins on a multiple of 64 floats; the gaps stay zero.

    Parameters are laid out [weights | biases], so that "weights only" is one slice, `[:weights_end]`.
    """

    parameters: dict[str, LeafSlice]  # by name
    weights_end: int
    size: int  # P: the length of a row of theta, with the gaps
    buffers: dict[str, LeafSlice]
    buffers_size: int

    @property
    def weights(self) -> dict[str, LeafSlice]:
        """The parameters that are not biases, by name."""
        return {name: slice_ for name, slice_ in self.parameters.items() if slice_.leaf.kind == "weight"}


class Graph:
    """Boxes in topological order: each comes after the values that it uses, its leaves included.

        graph = Graph((64,))
        h = graph.add("hidden", Affine(32), graph.input)    # adds hidden.weight and hidden.bias too
        h = graph.add("tanh", Tanh(), h)
        graph.add("output", Affine(10), h)                  # the last box added is the output

    A graph computes nothing: `bind` returns the `Network` of a population.

    >>> from nnlab.autodiff.affine import Affine
    >>> graph = Graph((64,))
    >>> _ = graph.add("output", Affine(10), graph.input)
    >>> [(node.name, node.shape) for node in graph.nodes]
    [('input', (64,)), ('output.weight', (10, 64)), ('output.bias', (10, 1)), ('output', (10,))]
    """

    input = 0

    def __init__(self, shape: tuple[int, ...]):
        self.nodes = [Node("input", tuple(shape))]
        self._outputs: tuple[int, ...] = ()
        self.penalty: int | None = None  # the value, if any, that training adds to each example's loss

    @property
    def outputs(self) -> tuple[int, ...]:
        """The values that a network is for: the last one, unless others have been set."""
        return self._outputs or (len(self.nodes) - 1,)

    @outputs.setter
    def outputs(self, numbers: tuple[int, ...]) -> None:
        self._outputs = tuple(numbers)

    def copy(self) -> Graph:
        """A graph with the same values, to which others may be added."""
        graph = Graph(self.nodes[0].shape)
        graph.nodes, graph._outputs, graph.penalty = list(self.nodes), self._outputs, self.penalty
        return graph

    def add_input(self, name: str, shape: tuple[int, ...], per_example: bool = True) -> int:
        """Append a further input, such as targets, which `Network.feed` sets; returns its number."""
        self._refuse_taken([name])
        return self._append(Node(name, tuple(shape), per_example=per_example))

    def apply(self, box: Box, *inputs: int, **replaced: int | Box) -> int:
        """`add` under the name of the box, numbered where that is taken: for boxes that add boxes.

        A value that is computed from the same inputs by the same box already is given instead.
        """
        computed = (box, inputs, tuple(replaced.values()))
        if not box.random:  # two that draw are alike only if their streams are
            for n, node in enumerate(self.nodes):
                if (node.box, node.inputs, node.leaves) == computed:
                    return n
        return self.add(self.unused_name(box.name), box, *inputs, **replaced)

    def unused_name(self, name: str) -> str:
        """`name`, or if a value has it `name 2`, `name 3`, ..."""
        taken = {node.name for node in self.nodes}
        return next(n for n in chain([name], (f"{name} {k}" for k in count(2))) if n not in taken)

    def add(self, name: str, box: Box, *inputs: int, **replaced: int | Box) -> int:
        """Append a box on the values numbered `inputs`, and its leaves; returns the number of its output.

        Instead of a leaf of its own, a box may use another leaf, by its number; or a box may be put between
        the leaf and this box: `add("hidden", Affine(64), x, weight=DropConnect())`.
        """
        if not inputs or not all(0 <= i < len(self.nodes) for i in inputs):
            raise ValueError(f"box {name!r} reads {inputs}, but values 0 to {len(self.nodes) - 1} exist")
        shapes = [self.nodes[i].shape for i in inputs]
        leaves = box.leaves(*shapes)
        if replaced.keys() - leaves.keys():
            unknown = ", ".join(sorted(replaced.keys() - leaves.keys()))
            raise ValueError(f"box {name!r} has no leaf {unknown}: it has {', '.join(leaves) or 'none'}")
        new = [name, *(f"{name}.{leaf}" for leaf in leaves)]
        self._refuse_taken(new)
        leaf_numbers = tuple(
            self._add_leaf(f"{name}.{leaf_name}", leaf, replaced.get(leaf_name))
            for leaf_name, leaf in leaves.items()
        )
        per_example = box.output_per_example
        if per_example is None:
            per_example = any(self.nodes[i].per_example for i in inputs)
        output_shape = box.output_shape(*shapes)
        return self._append(Node(name, output_shape, box, inputs, leaf_numbers, None, per_example))

    def _refuse_taken(self, names: list[str]) -> None:
        taken = {node.name for node in self.nodes} & set(names)
        if taken:
            raise ValueError(f"there are two values with the name {min(taken)!r}")

    def behind(self, boxes: dict[str, Box]) -> Graph:
        """The same graph, but it reads what these boxes by name, one after another, make of the input."""
        graph = Graph(self.nodes[0].shape)
        for n, (name, box) in enumerate(boxes.items()):
            graph.add(name, box, n)
        graph._refuse_taken([node.name for node in self.nodes[1:]])
        for node in self.nodes[1:]:
            inputs, leaves = (
                tuple(i + len(boxes) for i in numbers) for numbers in (node.inputs, node.leaves)
            )
            graph._append(replace(node, inputs=inputs, leaves=leaves))
        graph._outputs = tuple(i + len(boxes) for i in self._outputs)
        graph.penalty = None if self.penalty is None else self.penalty + len(boxes)
        return graph

    def _add_leaf(self, name: str, leaf: Parameter | Buffer, replacement: int | Box | None) -> int:
        if isinstance(replacement, int):
            if self.nodes[replacement].shape != leaf.shape:
                raise ValueError(
                    f"{name} is {leaf.shape}, but value {replacement} is {self.nodes[replacement].shape}"
                )
            return replacement
        number = self._append(Node(name, leaf.shape, leaf=leaf, per_example=False))
        if replacement is None:
            return number
        return self.add(f"{name}.{replacement.name}", replacement, number)

    def _append(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def __getitem__(self, name: str) -> int:
        """The number of the value with that name."""
        return next(n for n, node in enumerate(self.nodes) if node.name == name)

    # ---- leaves

    @property
    def parameters(self) -> dict[str, Parameter]:
        """Every parameter by its full name, `hidden.weight`, in the order of the boxes."""
        return {node.name: node.leaf for node in self.nodes if isinstance(node.leaf, Parameter)}

    def unit_count(self, batch: int, is_on_gpu: bool) -> int:
        """How many numbers it computes for an example of a batch, those within boxes and the inputs too."""
        outputs = sum(math.prod(node.shape) for node in self.nodes if node.per_example)
        boxes = [(node.box, self.input_shapes(node)) for node in self.nodes if node.box]
        if not is_on_gpu and self.prefers_channels_last(batch):
            boxes = [(box, inputs) for box, inputs in boxes if not box.channels_last_gain(batch, *inputs)]
        return outputs + sum(box.inner_units(*inputs) for box, inputs in boxes)

    @property
    def multiply_adds(self) -> int:
        """Those of the forward pass for an example, of all boxes: see `Box.multiply_adds`."""
        return sum(map(self.multiply_adds_of, self.nodes))

    @property
    def work(self) -> int:
        """What a pass costs for an example: its multiply-adds, or its parameters where these are more, as in
        a network of biases and embeddings."""
        return max(self.multiply_adds, self.parameter_count)

    def multiply_adds_of(self, node: Node) -> int:
        """Those of one box for an example; none if it reads leaves alone."""
        per_example = any(self.nodes[i].per_example for i in node.inputs)
        return node.box.multiply_adds(*self.input_shapes(node)) if per_example else 0

    def input_shapes(self, node: Node) -> list[tuple[int, ...]]:
        """The shapes of what the box of a node reads, without its leaves."""
        return [self.nodes[i].shape for i in node.inputs]

    def prefers_channels_last(self, batch: int) -> bool:
        """Whether a CPU is quicker with images whose channels are last in memory. It does not depend on K."""
        boxes = [node for node in self.nodes if node.box and node.per_example]
        return sum(node.box.channels_last_gain(batch, *self.input_shapes(node)) for node in boxes) > 0

    @property
    def parameter_count(self) -> int:
        """How many scalars are trained. (A row of theta is longer: `layout` aligns the leaves.)"""
        return sum(parameter.size for parameter in self.parameters.values())

    @property
    def buffers(self) -> dict[str, Buffer]:
        """Every buffer by its full name, in the order of the boxes."""
        return {node.name: node.leaf for node in self.nodes if isinstance(node.leaf, Buffer)}

    def layout(self) -> Layout:
        """The layout of theta and of the buffers."""
        parameters = self.parameters
        weights, weights_end = _slices({n: p for n, p in parameters.items() if p.kind == "weight"}, 0)
        biases, size = _slices({n: p for n, p in parameters.items() if p.kind == "bias"}, weights_end)
        buffers, buffers_size = _slices(self.buffers, 0)
        return Layout(weights | biases, weights_end, size, buffers, buffers_size)

    def depends_on_parameters(self) -> list[bool]:
        """For each value: whether it depends on a parameter. If not, it needs no gradient."""
        return self.depends_on({n for n, node in enumerate(self.nodes) if isinstance(node.leaf, Parameter)})

    def depends_on(self, values: set[int]) -> list[bool]:
        """For each value: whether it is one of `values`, or computed from one."""
        depends = []
        for n, node in enumerate(self.nodes):
            depends.append(n in values or any(depends[i] for i in node.operands))
        return depends

    def refuse_batch(self, batch: int) -> None:
        """Raise `UserError` if a box cannot train on batches of so few examples."""
        for node in self.nodes:
            if node.box is not None:
                least = node.box.least_batch(*self.input_shapes(node))
                if batch < least:
                    raise UserError(
                        f"batch_size={batch}: {node.name} needs at least {least} examples in a batch, whose "
                        f"statistics it computes"
                    )

    def unshared_node(self) -> Node | None:
        """The first node that computes with all examples of a batch and does not know of ranks; None if these
        can share batches."""
        for node in self.nodes:
            box = node.box
            if box is None or box.shares_batch:
                continue
            writes = any(isinstance(self.nodes[i].leaf, Buffer) for i in node.leaves)
            sums = not node.per_example and any(self.nodes[i].per_example for i in node.inputs)
            if box.needs_valid or writes or sums:
                return node
        return None

    def bind(self, theta, grad, site: Site, buffers=None) -> Network:
        """The network of K rows, on their `theta` and `grad` (K, P), and `buffers` (K, Q) if it has any."""
        if site.training:
            self.refuse_batch(site.whole_batch)
        return Network(self, theta, grad, site, buffers)


def _slices(leaves: dict, start: int) -> tuple[dict[str, LeafSlice], int]:
    """The slices of the leaves from column `start` on, and the aligned end of the last one."""
    slices = {}
    for name, leaf in leaves.items():
        slices[name] = LeafSlice(leaf, start)
        start += -(-leaf.size // ALIGNED_FLOATS) * ALIGNED_FLOATS
    return slices, start
