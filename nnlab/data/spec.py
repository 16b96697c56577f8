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

FILE = "spec.json"  # its name in a run folder
TASKS = ("classification", "regression")
LARGEST = 10**9  # numbers in an example's inputs, or outputs of a network
DIMENSIONS = 8  # the most of a shape
LABELS = {"text": str, "integer": int, "real": float, "boolean": {"0": False, "1": True}.__getitem__}


@typed(but=("shape", "outputs", "task", "classes", "labels", "features", "targets", "examples"))
@dataclass(frozen=True)
class DataSpec:
    """What there is to know of a data set without its examples.

    shape     of one example's inputs: (64,), or (1, 28, 28) for an image: channels, rows, columns
    outputs   how many numbers are to be answered: one for each class, or for each target of a regression
    task      classification or regression
    classes   the classes' names, in the order of their numbers; none in a regression
    labels    what the classes were in the data, before they had names: text, integer, real or boolean
    features  names of the inputs, one for each number of `shape`; none where the data have none
    targets   names of what is to be answered: one for all classes, or one for each output; or none
    examples  how many there were. It is information only: specs that differ in nothing else are equal

    Raises `UserError` for what does not go together.

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
        numbers = "one number" if self.outputs == 1 else f"{self.outputs} numbers"
        kind = f"{len(self.classes)} classes" if self.classes else f"{numbers} to predict"
        return f"{self.dimensions}, {kind}"

    @property
    def dimensions(self) -> str:
        """`1797 x 64`: of all inputs, the examples first where their number is known."""
        return " x ".join(str(n) for n in (self.examples, *self.shape) if n is not None)

    def label(self, number: int) -> str | int | float | bool:
        """The class of that number as the data have it: 1, where its name is "1"."""
        return LABELS[self.labels](self.classes[number])

    def to_json(self) -> dict:
        """As plain values, which `from_json` makes the same spec of."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}

    @classmethod
    def from_json(cls, tree, where: str = FILE) -> DataSpec:
        """The spec that a tree of plain values describes, as somebody may have written it; `where` it stands.

        Raises `UserError` for whatever is wrong with it. A key that is not known is refused: a later nnlab
        may have written it, and without it inputs might mean something else.
        """
        if not isinstance(tree, dict):
            raise UserError(f"{where}: expected a description of data, keys and values in braces")
        known = {f.name: f for f in fields(cls)}
        for key in tree:
            if key not in known:
                raise UserError(f"{where}: unknown key '{shortened(str(key))}'{nearest(key, known)}")
        for key, f in known.items():
            if key not in tree and f.default is MISSING:
                raise UserError(f"{where}: the key '{key}' is missing")
        try:
            return cls(**{key: tuple(v) if isinstance(v, list) else v for key, v in tree.items()})
        except UserError as e:
            raise UserError(f"{where}: {e}") from e

    def _faults(self) -> Iterator[str]:
        """What is wrong, each a sentence; what comes later may rely on what came before."""
        if not _is_shape(self.shape):
            yield _fault("shape", self.shape, f"1 to {DIMENSIONS} whole numbers from 1, such as [64]")
        if self.inputs > LARGEST:
            yield _fault("shape", self.shape, f"at most {LARGEST:,} numbers in an example")
        if not _is_whole(self.outputs) or not 1 <= self.outputs <= LARGEST:
            yield _fault("outputs", self.outputs, f"a whole number from 1 to {LARGEST:,}")
        for key, allowed in (("task", TASKS), ("labels", tuple(LABELS))):
            value = getattr(self, key)
            if not isinstance(value, str) or value not in allowed:
                yield f"{key} = {_shown(value)}{nearest(value, allowed)}"
        for key in ("classes", "features", "targets"):
            if not _are_names(getattr(self, key)):
                yield _fault(key, getattr(self, key), "a list of names, which are text")
        yield from self._faults_of_counts()
        for number in range(len(self.classes) if self.labels != "text" else 0):
            try:
                self.label(number)
            except (ValueError, KeyError):
                yield f"labels = '{self.labels}', but the class {_shown(self.classes[number])} is none"
        if self.examples is not None and (not _is_whole(self.examples) or self.examples < 0):
            yield _fault("examples", self.examples, "a whole number from 0, or null")

    def _faults_of_counts(self) -> Iterator[str]:
        """Where there are not as many of one as of another."""
        classifies = self.task == "classification"
        if classifies and len(self.classes) != self.outputs:
            yield f"classes has {len(self.classes):,} names, but outputs = {self.outputs:,}"
        if not classifies and self.classes:
            yield f"classes has {len(self.classes):,} names, but task = 'regression' has no classes"
        if len(set(self.classes)) < len(self.classes):
            yield "classes has one name twice"
        each = 1 if classifies else self.outputs
        for key, count in (("features", self.inputs), ("targets", each)):
            if len(getattr(self, key)) not in (0, count):
                yield f"{key} has {len(getattr(self, key)):,} names; expected {count:,}, or none"


def _fault(key: str, value, expected: str) -> str:
    return f"{key} = {_shown(value)}: expected {expected}"


def _shown(value) -> str:
    try:
        return reprlib.repr(list(value) if isinstance(value, tuple) else value)
    except ValueError:  # a whole number of more digits than Python writes
        return "that number"


def _is_whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _is_shape(value) -> bool:
    return (
        isinstance(value, tuple)
        and 1 <= len(value) <= DIMENSIONS
        and all(_is_whole(n) and n >= 1 for n in value)
    )


def _are_names(value) -> bool:
    """Whether it is a tuple of text that a file can hold: without halves of a surrogate pair."""
    if not isinstance(value, tuple) or not all(isinstance(name, str) for name in value):
        return False
    try:
        "".join(value).encode()
    except UnicodeEncodeError:
        return False
    return True
