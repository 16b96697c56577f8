"""`DataSpec`: the description of a data set (shape, classes, names) that a network, loss and report need.

Every `Dataset` carries one, and a run folder keeps it as spec.json, so that a trained network can be built
again, and its answers named, where the data are not at hand.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from functools import cached_property

from nnlab.arguments import typed
from nnlab.data.columns import Column
from nnlab.data.encoding import Encoding, InputLayout
from nnlab.data.plain_values import are_names, fault, is_whole, refuse_wrong_keys, shown
from nnlab.errors import UserError, nearest

SPEC_FILE = "spec.json"  # in a run folder
# Settings of data that change no example.
HARMLESS_KEYS = frozenset({"data.normalization", "data.normalization_per", "data.target_normalization"})
TASK_NAMES = ("classification", "regression")
# A spec may come from a stranger: these limits bound the cost of a network built from it.
MOST_ELEMENTS = 10**9  # in an example, or in a network's output
MOST_DIMENSIONS = 8  # in a shape
# How to convert the name of a class to the label in the data.
LABEL_TYPES = {"text": str, "integer": int, "real": float, "boolean": {"0": False, "1": True}.__getitem__}


@typed(unchecked=("shape", "outputs", "task", "classes", "labels", "features", "targets", "examples",
                  "columns", "positive"))  # fmt: skip
@dataclass(frozen=True)
class DataSpec:
    """The description of a data set, without its examples.

    shape     the shape of an example: (64,), or (1, 28, 28) for an image: channels, rows, columns
    outputs   how many numbers to predict: one for each class, or for each target of a regression
    task      classification or regression
    classes   the names of the classes, in the order of their indices; none in a regression
    labels    the type of the labels in the data, before they became names: text, integer, real or boolean
    features  the names of the inputs, one for each number of an example; or none
    targets   the name of the label, or the names of a regression's targets; or none
    examples  how many there were
    columns   those of a table, from which the inputs are made (see `encoding`); none, if examples are numbers
    positive  of two classes, the index of the rarer one in the data: F1 and average precision are about it

    `examples` and `positive` are for information only: specs that differ in nothing else are equal.

    Raises `UserError` for fields that contradict each other.

    >>> spec = DataSpec((4,), 2, "classification", ("0", "1"), labels="integer")
    >>> spec.label(1)
    1
    >>> DataSpec.from_json(spec.to_json()) == spec
    True
    """

    shape: tuple[int, ...]
    outputs: int
    task: str
    classes: tuple[str, ...] = ()
    labels: str = "text"
    features: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    examples: int | None = field(default=None, compare=False)
    columns: tuple[Column, ...] = ()
    positive: int | None = field(default=None, compare=False)

    def __post_init__(self):
        for sentence in self._faults():
            raise UserError(sentence)

    @property
    def inputs(self) -> int:
        """How many numbers an example has."""
        return math.prod(self.shape)

    @cached_property
    def encoding(self) -> Encoding:
        """How the columns of a table become inputs; without columns, inputs are what they are."""
        return Encoding(self.columns, self.inputs)

    @property
    def raw_shape(self) -> tuple[int, ...]:
        """The shape of an example as data have it: of a table, before it is encoded."""
        return (self.encoding.raw_width,) if self.columns else self.shape

    @property
    def layout(self) -> InputLayout:
        """Which of the inputs are numbers, which are plain, which are slots to be embedded."""
        return self.encoding.layout

    @property
    def size(self) -> str:
        """`1797 x 1 x 8 x 8, 10 classes`."""
        if self.classes:
            return f"{self.dimensions}, {len(self.classes)} classes"
        if self.outputs == 1:
            return f"{self.dimensions}, one number to predict"
        return f"{self.dimensions}, {self.outputs} numbers to predict"

    @property
    def dimensions(self) -> str:
        """`1797 x 1 x 8 x 8`: the number of examples, if it is known, and the shape of one. Of a table, `891
        x 11 columns`: those that are inputs."""
        columns = sum(column.is_input for column in self.columns)
        shape = (f"{columns} column{'s' * (columns != 1)}",) if columns else self.shape
        return " x ".join(str(n) for n in (self.examples, *shape) if n is not None)

    def label(self, number: int) -> str | int | float | bool:
        """The label of a class index in the data: the number 1 for the name "1", if labels are integers."""
        return LABEL_TYPES[self.labels](self.classes[number])

    def to_json(self) -> dict:
        """Plain JSON values, from which `from_json` makes an equal spec."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        columns = [column.to_json() for column in values.pop("columns")]
        values = {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}
        return values | ({"columns": columns} if columns else {})

    @classmethod
    def from_json(cls, json, where: str = SPEC_FILE) -> DataSpec:
        """The spec that parsed JSON describes; `where` names its source in errors.

        A stranger may have written it, so anything wrong with it raises `UserError`.
        """
        # A later nnlab may have written an unknown key, and without it inputs might mean something else.
        refuse_wrong_keys(json, cls, where, "a description of data")
        values = {key: tuple(v) if isinstance(v, list) else v for key, v in json.items()}
        if isinstance(values.get("columns"), tuple):
            values["columns"] = tuple(
                Column.from_json(column, f"{where}: columns[{i}]")
                for i, column in enumerate(values["columns"])
            )
        try:
            return cls(**values)
        except UserError as e:
            raise UserError(f"{where}: {e}") from e

    def _faults(self) -> Iterator[str]:
        """A sentence for everything wrong. The order matters: later checks rely on earlier ones."""
        if not _is_shape(self.shape):
            yield fault("shape", self.shape, f"1 to {MOST_DIMENSIONS} whole numbers from 1, such as [64]")
        if self.inputs > MOST_ELEMENTS:
            yield fault("shape", self.shape, f"at most {MOST_ELEMENTS:,} numbers in an example")
        if not is_whole(self.outputs) or not 1 <= self.outputs <= MOST_ELEMENTS:
            yield fault("outputs", self.outputs, f"a whole number from 1 to {MOST_ELEMENTS:,}")
        for key, allowed in (("task", TASK_NAMES), ("labels", tuple(LABEL_TYPES))):
            value = getattr(self, key)
            if not isinstance(value, str) or value not in allowed:
                yield f"{key} = {shown(value)}{nearest(value, allowed)}"
        for key in ("classes", "features", "targets"):
            if not are_names(getattr(self, key)):
                yield fault(key, getattr(self, key), "a list of names, each a text")
        if not isinstance(self.columns, tuple) or not all(isinstance(c, Column) for c in self.columns):
            yield fault("columns", self.columns, "a list of columns")
        yield from self._count_faults()
        yield from self._label_faults()
        yield from self._column_faults()
        if self.examples is not None and (not is_whole(self.examples) or self.examples < 0):
            yield fault("examples", self.examples, "a whole number from 0, or null")
        if self.positive is not None and not (is_whole(self.positive) and 0 <= self.positive < 2):
            yield fault("positive", self.positive, "0 or 1, which of two classes, or null")

    def _label_faults(self) -> Iterator[str]:
        """Faults of class names that are not labels of type `labels`."""
        if self.labels == "text":
            return
        for number, name in enumerate(self.classes):
            try:
                self.label(number)
            except (ValueError, KeyError):
                yield f"labels = '{self.labels}', but the class {shown(name)} is none"

    def _count_faults(self) -> Iterator[str]:
        """Faults of counts: names that are too few, too many or doubled."""
        is_classification = self.task == "classification"
        if is_classification and len(self.classes) != self.outputs:
            yield f"classes has {len(self.classes):,} names, but outputs = {self.outputs:,}"
        if not is_classification and self.classes:
            yield f"classes has {len(self.classes):,} names, but task = 'regression' has no classes"
        if len(set(self.classes)) < len(self.classes):
            yield "classes has one name twice"
        targets = 1 if is_classification else self.outputs
        for key, count in (("features", self.inputs), ("targets", targets)):
            if len(getattr(self, key)) not in (0, count):
                yield f"{key} has {len(getattr(self, key)):,} names; expected {count:,}, or none"

    def _column_faults(self) -> Iterator[str]:
        """Faults of columns that do not make these inputs."""
        if not self.columns:
            return
        counts = Counter(column.name for column in self.columns)
        for name in [name for name, count in counts.items() if count > 1]:
            yield f"columns has the name {shown(name)} twice"
        # Before anything is made of them: columns of a stranger may stand for billions of inputs.
        if len(self.features) != self.inputs or sum(column.buckets for column in self.columns) > self.inputs:
            yield f"features has {len(self.features):,} names, but the columns make another number of inputs"
        if self.shape != (self.encoding.width,):
            yield f"shape = {shown(self.shape)}, but the columns make {self.encoding.width:,} inputs"
        if self.features != self.encoding.names:
            yield "features are not the names of the inputs that the columns make"


def _is_shape(value) -> bool:
    return (
        isinstance(value, tuple)
        and 1 <= len(value) <= MOST_DIMENSIONS
        and all(is_whole(n) and n >= 1 for n in value)
    )
