"""Tables of numbers in text files: one example a line, one column the target."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import ClassVar

import numpy as np

from nnlab.data.dataset import Data, Dataset
from nnlab.data.files import CLASSES, TASKS, file_of, opened, targets
from nnlab.data.normalization import CHOICES
from nnlab.errors import UserError, nearest
from nnlab.fields import static

DELIMITERS = "\t;,"


@dataclass(frozen=True)
class Csv(Data):
    """A text file of numbers between commas, semicolons or tabs, .gz or not; a header if its first line
    has no number. `target` is a column's name or its number, from 0, or from -1 at the end.

    The target may be text, and is then a class; `task: auto` takes whole numbers of at most 20 values for
    classes too.
    """

    name: ClassVar[str] = "csv"
    path: str | None = static(None)
    target: str | int | None = static(None)
    task: str = static("auto", choices=TASKS)
    target_normalization: str = static("standard", choices=CHOICES)

    def read(self):
        path = file_of(self.path, "FILE, one of numbers between commas, semicolons or tabs")
        with opened(path, "rt") as file:
            lines = rows(path, file)
            number, first = next(lines, (0, []))
            if not first:
                raise UserError(f"{path} is empty")
            header = not any(map(is_number, first))
            names = [name.strip() or f"column {i}" for i, name in enumerate(first)]
            table = Table(path, names if header else [str(i) for i in range(len(first))], header)
            column = table.column(self.target)
            return table.dataset(lines if header else chain([(number, first)], lines), column, self.task)


@dataclass(frozen=True)
class Table:
    """The columns of a file."""

    path: Path
    names: list[str]
    header: bool

    def column(self, target: str | int | None) -> int:
        """The number of the target column."""
        count, names = len(self.names), self.names
        if count < 2:
            raise UserError(f"{self.path} has only one column, '{names[0]}': expected inputs and a target")
        if isinstance(target, int) and -count <= target < count:
            return target % count
        if names.count(str(target)) == 1 and self.header:
            return names.index(str(target))
        if names.count(str(target)) > 1:
            raise UserError(f"data.target = '{target}': {self.path} has several columns of that name")
        raise UserError(f"data.target = {_shown(target)}: {self.path} {self._allowed(target)}")

    def _allowed(self, target) -> str:
        names, count = self.names, len(self.names)
        if not self.header:
            return f"has no header (its first line has numbers); allowed: a column's number, 0 to {count - 1}"
        if target is None:
            return f"needs the name of its target column{nearest('', names) if count <= 20 else ''}"
        hint = nearest(str(target), names)
        if "mean" not in hint and count > 20:
            hint = f"; it has {count}, from '{names[0]}' to '{names[-1]}'"
        return f"has no such column{hint}"

    def dataset(self, lines: Iterator[tuple[int, list[str]]], target: int, task: str) -> Dataset:
        """The examples; `lines` are (line number, cells)."""
        x, labels, numbers = array("d"), [], array("q")
        inputs = [name for i, name in enumerate(self.names) if i != target]
        for number, cells in lines:
            labels.append(cells.pop(target).strip())
            try:
                x.extend(map(float, cells))
            except ValueError:
                bad = next(i for i, cell in enumerate(cells) if not is_number(cell))
                raise self._wrong(number, inputs[bad], cells[bad].strip()) from None
            numbers.append(number)
        if not labels:
            raise UserError(f"{self.path} has no examples, only a header")
        x = np.frombuffer(x).reshape(len(labels), len(inputs))
        for i, j in np.argwhere(~np.isfinite(x))[:1]:
            raise self._wrong(numbers[i], inputs[j], f"{x[i, j]:g}")
        y, classes = self._targets(labels, numbers, self.names[target], task)
        return Dataset(x, y, classes, tuple(inputs))

    def _targets(self, labels: list[str], numbers, name: str, task: str):
        """y and classes of the target column, whose cells may be text if they are classes."""
        numeric = np.array([is_number(label) for label in labels])
        values = np.array([float(v) if ok else np.nan for v, ok in zip(labels, numeric, strict=True)])
        few = task == "classification" or task == "auto" and len(np.unique(values[numeric])) <= CLASSES
        text = few and not numeric.all()
        missing = np.where(numeric, ~np.isfinite(values), [not label for label in labels])
        for i in np.flatnonzero(missing if text else missing | ~numeric)[:1]:
            raise self._wrong(numbers[i], name, labels[i])
        y = np.array(labels) if text else values
        return targets(y, task, f"{self.path}: column '{name}'")

    def _wrong(self, line: int, column: str, cell: str) -> UserError:
        what = "is empty" if not cell else "is missing" if cell.lower() == "nan" else f"'{cell}' is no number"
        what = f"'{cell}' is not finite" if "inf" in cell.lower() and is_number(cell) else what
        return UserError(f"{self.path}, line {line}, column '{column}': {what}; expected a number")


def rows(path: Path, file) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of every line that is not empty; all have as many cells as the first."""
    start = next((line for line in file if line.strip()), "")
    delimiter = max(DELIMITERS, key=lambda d: len(next(csv.reader([start], delimiter=d), [])))
    file.seek(0)
    reader, width = csv.reader(file, delimiter=delimiter), 0
    for cells in reader:
        if not "".join(cells).strip():
            continue
        width = width or len(cells)
        if len(cells) != width:
            where = f"{path}, line {reader.line_num}"
            raise UserError(f"{where}: {len(cells)} cells, but the first line has {width}")
        yield reader.line_num, cells


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _shown(target) -> str:
    return "null" if target is None else f"'{target}'" if isinstance(target, str) else str(target)
