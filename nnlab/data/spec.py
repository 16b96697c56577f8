"""A description of a data set apart from its examples: what a network, a loss and a report need to know.

Every `Dataset` carries one, and a run folder keeps it as spec.json, so that a trained network can be built
again, and its answers named, where the data are not at hand.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field, fields

from nnlab.arguments import typed
from nnlab.errors import UserError, nearest, shortened

SPEC_FILE = "spec.json"  # its name in a run folder
TASK_NAMES = ("classification", "regression")
# A spec may be a stranger's: these bound what a network built from it costs.
MOST_NUMBERS = 10**9  # in an example, or outputs of a network
MOST_DIMENSIONS = 8  # of a shape
# How the name of a class becomes the label that the data have.
LABEL_TYPES = {"text": str, "integer": int, "real": float, "boolean": {"0": False, "1": True}.__getitem__}


@typed(but=("shape", "outputs", "task", "classes", "labels", "features", "targets", "examples"))
@dataclass(frozen=True)
class DataSpec:
    """A data set without its examples.

    shape     the shape of an example: (64,), or (1, 28, 28) for an image: channels, rows, columns
    outputs   how many numbers to predict: one for each class, or for each target of a regression
    task      classification or regression
    classes   the names of the classes, in the order of their numbers; none in a regression
    labels    the type of the labels in the data, before they had names: text, integer, real or boolean
    features  the names of the inputs, one for each number of an example; or none
    targets   the name of the label, or the names of a regression's targets; or none
    examples  how many there were. It is information only: specs that differ in nothing else are equal

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

    def __post_init__(self):
        for fault in self._faults():
            raise UserError(fault)

    @property
    def inputs(self) -> int:
        """How many numbers an example has."""
        return math.prod(self.shape)

    @property
    def size(self) -> str:
        """`1797 x 64, 10 classes`."""
        if self.classes:
            return f"{self.dimensions}, {len(self.classes)} classes"
        if self.outputs == 1:
            return f"{self.dimensions}, one number to predict"
        return f"{self.dimensions}, {self.outputs} numbers to predict"

    @property
    def dimensions(self) -> str:
        """`1797 x 64`: the number of examples, if it is known, and the shape of one."""
        return " x ".join(str(n) for n in (self.examples, *self.shape) if n is not None)

    def label(self, number: int) -> str | int | float | bool:
        """The label of a class in the data: the number 1 for the name "1", if labels are integers."""
        return LABEL_TYPES[self.labels](self.classes[number])

    def to_json(self) -> dict:
        """As plain values, from which `from_json` makes the same spec."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}

    @classmethod
    def from_json(cls, tree, where: str = SPEC_FILE) -> DataSpec:
        """The spec that a tree of plain values describes; `where` names its place in errors.

        Somebody else may have written it: raises `UserError` for anything that is wrong with it.
        """
        if not isinstance(tree, dict):
            raise UserError(f"{where}: expected a description of data, keys and values in braces")
        known = {f.name: f for f in fields(cls)}
        for key in tree:
            # A later nnlab may have written the key, and without it inputs might mean something else.
            if key not in known:
                raise UserError(f"{where}: unknown key '{shortened(str(key))}'{nearest(key, known)}")
        for key, f in known.items():
            if key not in tree and f.default is MISSING:
                raise UserError(f"{where}: the key '{key}' is missing")
        values = {key: tuple(v) if isinstance(v, list) else v for key, v in tree.items()}
        try:
            return cls(**values)
        except UserError as e:
            raise UserError(f"{where}: {e}") from e

    def _faults(self) -> Iterator[str]:
        """What is wrong, each a sentence. The order matters: later checks rely on earlier ones."""
        if not _is_shape(self.shape):
            yield _fault("shape", self.shape, f"1 to {MOST_DIMENSIONS} whole numbers from 1, such as [64]")
        if self.inputs > MOST_NUMBERS:
            yield _fault("shape", self.shape, f"at most {MOST_NUMBERS:,} numbers in an example")
        if not _is_whole(self.outputs) or not 1 <= self.outputs <= MOST_NUMBERS:
            yield _fault("outputs", self.outputs, f"a whole number from 1 to {MOST_NUMBERS:,}")
        for key, allowed in (("task", TASK_NAMES), ("labels", tuple(LABEL_TYPES))):
            value = getattr(self, key)
            if not isinstance(value, str) or value not in allowed:
                yield f"{key} = {_shown(value)}{nearest(value, allowed)}"
        for key in ("classes", "features", "targets"):
            if not _are_names(getattr(self, key)):
                yield _fault(key, getattr(self, key), "a list of names, each a text")
        yield from self._faults_of_counts()
        yield from self._faults_of_labels()
        if self.examples is not None and (not _is_whole(self.examples) or self.examples < 0):
            yield _fault("examples", self.examples, "a whole number from 0, or null")

    def _faults_of_labels(self) -> Iterator[str]:
        """Classes whose names are not labels of the type that `labels` says."""
        if self.labels == "text":
            return
        for number, name in enumerate(self.classes):
            try:
                self.label(number)
            except (ValueError, KeyError):
                yield f"labels = '{self.labels}', but the class {_shown(name)} is none"

    def _faults_of_counts(self) -> Iterator[str]:
        """Counts of names that do not match."""
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


def _fault(key: str, value, expected: str) -> str:
    return f"{key} = {_shown(value)}: expected {expected}"


def _shown(value) -> str:
    if isinstance(value, tuple):
        value = list(value)
    try:
        return reprlib.repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        return "that number"


def _is_whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _is_shape(value) -> bool:
    return (
        isinstance(value, tuple)
        and 1 <= len(value) <= MOST_DIMENSIONS
        and all(_is_whole(n) and n >= 1 for n in value)
    )


def _are_names(value) -> bool:
    """Whether it is a tuple of text that a file can hold, so without half a surrogate pair."""
    if not isinstance(value, tuple) or not all(isinstance(name, str) for name in value):
        return False
    try:
        "".join(value).encode()
    except UnicodeEncodeError:
        return False
    return True
