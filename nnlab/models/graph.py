"""The model that a user writes: any directed acyclic graph of boxes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from nnlab import plugins
from nnlab.autodiff.activations import ACTIVATIONS, OUTPUTS, Identity
from nnlab.autodiff.box import Box
from nnlab.autodiff.convolution import Convolution
from nnlab.autodiff.graph import Graph
from nnlab.errors import UserError, nearest
from nnlab.frozen_dict import FrozenDict
from nnlab.graph_file import read_boxes
from nnlab.hyperparameters import static
from nnlab.models.base import Model
from nnlab.models.graph_lines import INPUT, KEY, Line, class_of, lines_of
from nnlab.models.settings import field_types, make


@dataclass(frozen=True)
class GraphModel(Model):
    """Any directed acyclic graph of boxes, by their names: docs/boxes.md has the notation, and every box.

    `file` says where the boxes were read from, once, by the command: a run folder has them all.

    >>> GraphModel(boxes={
    ...     "hidden": {"box": "affine", "units": 64}, "act": {"box": "relu"},
    ...     "out": {"box": "affine", "units": "outputs"},
    ... }).graph((64,), outputs=10).parameter_count
    4810
    """

    name: ClassVar[str] = "graph"
    file: str | None = static(None)
    boxes: dict[str, object] = static({})

    def __post_init__(self):
        super().__post_init__()
        # With every input written out, the order of lines means nothing: equal boxes are the same graph.
        explicit = {line.name: FrozenDict(self.boxes[line.name], input=line.inputs) for line in self._lines}
        object.__setattr__(self, "boxes", FrozenDict(explicit))

    @classmethod
    def from_file(cls, path: str | Path) -> GraphModel:
        """The model of a YAML file with `boxes:`, such as `model.file` names on a command line."""
        return cls(file=str(path), boxes=read_boxes(path))

    @cached_property
    def _lines(self) -> list[Line]:
        return list(lines_of(self.boxes).values())

    @property
    def takes_images(self) -> bool:
        return any(line.cls is Convolution for line in self._lines)

    @property
    def output(self) -> str:
        """The output map that its last box is; `auto` if it is none."""
        last = self._lines[-1].cls if self._lines else Identity
        return last.name if last in OUTPUTS.values() and last is not Identity else "auto"

    @property
    def output_box(self) -> str | None:
        return None if self.output == "auto" else self._lines[-1].name

    def title(self, inputs, outputs):
        count = len(self.boxes)
        return f"{self.name} of {count:,} box{'es' * (count != 1)}"

    def graph(self, shape, outputs, output="identity"):
        if not self.boxes:
            raise UserError(
                f"{KEY}: there are none; write model.file=net.yaml, a file of boxes, or in Python "
                f"nnlab.GraphModel.from_file('net.yaml')"
            )
        lines = self._lines
        if output == "identity" and self.output != "auto":  # the loss has it built in
            lines = lines[:-1]
        building = _Building(Graph(shape), outputs, lines)
        last = building.add_all()
        if output not in ("identity", self.output):
            last = building.graph.add(output, OUTPUTS[output](), last)
        return building.graph


class _Building:
    """A graph, and the lines of which it is being made."""

    def __init__(self, graph: Graph, outputs: int, lines: list[Line]):
        self.graph, self.outputs, self.lines = graph, outputs, {line.name: line for line in lines}
        self.values = {INPUT: graph.input}  # name -> the number of its value
        self.nodes: dict[str, int] = {}  # name -> the number of its box, before its activation
        self.readers: dict[str, list[Line]] = {}
        for line in lines:
            for name in line.inputs:
                self.readers.setdefault(name, []).append(line)

    def add_all(self) -> int:
        """Add every line; returns the number of the output. Raises `UserError` where shapes do not fit."""
        for line in self.lines.values():
            self._add(line)
        last, shape = self.graph.nodes[-1], self.graph.nodes[-1].shape
        if shape != (self.outputs,):
            raise UserError(
                f"{KEY}: the output, '{last.name}', is {shape} for an example, but data and loss need "
                f"({self.outputs},): let it be an affine box with units: outputs, say"
            )
        if not self.graph.parameters:
            raise UserError(
                f"{KEY}: no box has weights, so there is nothing to learn; take an affine box, say"
            )
        return len(self.graph.nodes) - 1

    def _add(self, line: Line) -> None:
        written = "activation" in line.settings
        hint = {} if written or "activation" not in field_types(line.cls) else self._hint(line)
        box, inputs = line.box(self.outputs, **hint), [self.values[name] for name in line.inputs]
        refuse_other_count(box, len(inputs), line.key)
        try:
            replaced = self._replacements(line, box.leaves(*self._shapes(inputs)))
            self.nodes[line.name] = number = self.graph.add(line.name, box, *inputs, **replaced)
        except ValueError as e:
            raise UserError(f"{line.key}, {self._described(line)}: {e}") from e
        if written:  # as other tools read it: the activation itself, not only what suits its weights
            number = self._add_activation(line, number)
        self.values[line.name] = number

    def _add_activation(self, line: Line, below: int) -> int:
        activation = line.settings["activation"]
        try:
            return self.graph.add(
                f"{line.name}.{activation}", plugins.lookup(ACTIVATIONS, "activation", activation)(), below
            )
        except UserError as e:
            raise UserError(f"{line.key}.activation: {e}") from e

    def _hint(self, line: Line) -> dict[str, str]:
        """The activation that follows weights, which decides how they begin: the one box that reads them, or
        comes after others, as of normalisation."""
        readers = self.readers.get(line.name, [])
        while len(readers) == 1:
            (reader,) = readers
            if reader.cls.name in (*ACTIVATIONS, *plugins.names("activation")):
                return {"activation": reader.cls.name}
            if "units" in field_types(reader.cls) or len(reader.inputs) > 1:
                break
            readers = self.readers.get(reader.name, [])
        return {}

    def _replacements(self, line: Line, leaves: Mapping) -> dict[str, int | Box]:
        return {leaf: self._replacement(line, leaf, leaves) for leaf in line.replacements}

    def _replacement(self, line: Line, leaf: str, leaves: Mapping) -> int | Box:
        """What stands in place of a leaf: the number of another box's, or a box that reads it."""
        written, key = line.replacements[leaf], f"{line.key}.{leaf}"
        if leaf not in leaves:
            names = {*leaves, *field_types(line.cls)}
            raise UserError(f"{leaf}: there is no such key{nearest(leaf, names, 'keys')}")
        if isinstance(written, Mapping):
            settings = {k: v for k, v in written.items() if k != "box"}
            return make(class_of(written, key), settings, key, self.outputs)
        owner, _, name = written.rpartition(".")
        node = self.graph.nodes[self.nodes[owner]]
        named = dict(zip(node.box.leaves(*self._shapes(node.inputs)), node.leaves, strict=True))
        if name not in named:
            has = nearest(name, named) if named else "; it has none"
            raise UserError(f"{leaf} = '{written}': box '{owner}' has no leaf '{name}'{has}")
        shape = self.graph.nodes[named[name]].shape
        if shape != leaves[leaf].shape:
            needed = leaves[leaf].shape
            raise UserError(f"{leaf} = '{written}' has the shape {shape}, and {needed} is needed")
        return named[name]

    def _shapes(self, numbers) -> list[tuple[int, ...]]:
        return [self.graph.nodes[n].shape for n in numbers]

    def _described(self, line: Line) -> str:
        """`add of 'conv1' (16, 6, 6) and 'side' (64,)`."""
        each = [f"'{name}' {self.graph.nodes[self.values[name]].shape}" for name in line.inputs]
        return f"{line.cls.name} of {' and '.join(each)}"


def refuse_other_count(box: Box, count: int, key: str) -> None:
    """Raise `UserError` unless the box takes so many inputs."""
    for method, others in ((box.leaves, 0), (box.output_shape, 0), (box.fprop, 1)):
        parameters = list(inspect.signature(method).parameters.values())[others:]
        if not any(p.kind is p.VAR_POSITIONAL for p in parameters):
            if len(parameters) != count:
                inputs = f"{len(parameters)} input{'s' * (len(parameters) != 1)}"
                raise UserError(f"{key}: box '{box.name}' reads {inputs}, not {count}")
            return
