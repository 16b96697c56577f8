"""`Frame`: a data frame of a Python session as a data set, with columns of any type."""

from __future__ import annotations

import copy
import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from nnlab.allowed import Allowed
from nnlab.data.dataset import Dataset
from nnlab.errors import Advice, UserError, advise
from nnlab.hyperparameters import static
from nnlab.tables.settings import Tabular


@contextmanager
def _words_of_python():
    """Errors and advice that name settings as Python does, and not as a command line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", Advice)
        try:
            yield
        except UserError as e:
            raise UserError(_in_python(str(e))) from e
    for warning in caught:
        advise(_in_python(str(warning.message)))


def _in_python(sentence: str) -> str:
    """
    >>> _in_python("data.types.zip=category, or data.drop=['zip']")
    "types={'zip': 'category'}, or drop=['zip']"
    """
    sentence = re.sub(r"data\.types\.([^=;:,]+)=(\w+)", r"types={'\1': '\2'}", sentence)
    return re.sub(r"\bdata\.(?=[a-z_]+( ?=|\b))", "", sentence)


@dataclass(frozen=True, repr=False)
class Frame(Tabular):
    """A data frame of pandas, polars, pyarrow or others, or a dict of columns: as `Table`, but in memory.

    frame   numbers, categories, truth values, dates and text, with holes
    target  the name of its target column, or its number
    test    another data frame with the same columns: its own test set

    The types of its columns are taken as they are, and judged only where they are text. The data are copied,
    and two frames with equal content are equal.

    >>> data = Frame({"age": [31, 42, None, 25], "plan": ["a", "b", "a", "b"], "left": [0, 1, 1, 0]}, "left")
    >>> data
    Frame(4 x 2 columns, 2 classes)
    """

    name: ClassVar[str] = "frame"
    frame: Any = field(compare=False)
    target: str | int | None = static(None)
    test: Any = field(default=None, compare=False)
    content: str = field(init=False, default="", metadata={"kind": "static", "allowed": Allowed()})

    def __post_init__(self):
        from nnlab.tables.assembly import make_dataset
        from nnlab.tables.data_frames import arrow_table
        from nnlab.tables.source import Source

        super().__post_init__()
        source = Source(arrow_table(self.frame, "frame"), "frame", lambda row: f"frame, row {row}")
        tests = 0
        if self.test is not None:
            if self.part is not None:
                raise UserError("test and part both say what the test set is: leave one of them out")
            other = Source(arrow_table(self.test, "test"), "test", lambda row: f"test, row {row}")
            source, tests = source.followed_by(other), len(other)
        with _words_of_python():
            dataset = make_dataset(source, self, tests)
        for array in (dataset.x, dataset.y):
            array.flags.writeable = False  # data are keys of a cache, so they must not change
        self._keep(dataset)

    def _keep(self, dataset: Dataset) -> None:
        """Have the data set, and the settings that say the same as `auto` and as the number of a column."""
        for key, value in {
            "_dataset": dataset, "content": f"{dataset.fingerprint()} {dataset.labels}",
            "task": dataset.spec.task, "target": dataset.target_names[0],
        }.items():  # fmt: skip
            object.__setattr__(self, key, value)

    def with_classes(self, classes: tuple[str, ...], labels: str) -> Frame:
        """The same with other names of its classes, and another type of their labels."""
        other = copy.copy(self)
        other._keep(replace(self._dataset, classes=classes, labels=labels))
        return other

    def __repr__(self):
        return f"Frame({self._dataset.spec.size})"

    def read(self):
        return self._dataset
