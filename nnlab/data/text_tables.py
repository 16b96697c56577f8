"""Tables of numbers in text files: one example a line, one column the target."""

from __future__ import annotations

import csv
import math
import warnings
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import ClassVar

import numpy as np

from nnlab.data import cells, labels
from nnlab.data.cells import is_number
from nnlab.data.dataset import Data, Dataset
from nnlab.data.files import file_of, opened_text
from nnlab.data.headers import DELIMITERS, LOOK, counts, is_header, is_odd, may_be_header
from nnlab.data.normalization import CHOICES
from nnlab.errors import Advice, UserError, nearest, shortened
from nnlab.hyperparameters import static

LONGEST = 2**26  # characters in a line, or in a cell


@dataclass(frozen=True)
class Csv(Data):
    """A text file of numbers between commas, semicolons or tabs, .gz or not. `target` is a column's name or
    its number, from 0, or from -1 at the end.

    The first line is a header if it has no number, or if the file shows it: names may be numbers too, as
    pandas gives them. The target may be text, and is then a class, as it is written; `task: auto` takes whole
    numbers of at most 20 values for classes too.
    """

    name: ClassVar[str] = "csv"
    needs: ClassVar[tuple[str, ...]] = ("path", "target")
    path: str | None = static(None)
    target: str | int | None = static(None)
    task: str = static("auto", choices=labels.TASKS)
    target_normalization: str = static("standard", choices=CHOICES)

    def read(self):
        path = file_of(self.path, "FILE, one of numbers between commas, semicolons or tabs")
        with opened_text(path) as file, long_cells():
            lines = rows(path, file)
            begin = list(islice(lines, 1 + LOOK))
            if not begin:
                raise UserError(f"{path} is empty")
            first, *below = [row for _, row in begin]
            header = is_header(first, below, self.target)
            if header and is_odd(first, self.target):
                _say_of_names(path, first)
            table = Table(path, names(first) if header else [str(i) for i in range(len(first))], header)
            column = table.column(self.target)
            if not header and may_be_header(first, column):
                table = replace(table, doubtful=names(first))
            return table.dataset(chain(begin[header:], lines), column, self.task)


def _say_of_names(path: Path, first: list[str]) -> None:
    said = shortened(", ".join(first))
    note = f"{path}: the first line, {said}, is taken for the names of the columns"
    warnings.warn(note, Advice, stacklevel=2)


def names(first: list[str]) -> list[str]:
    """The columns' names, by a header."""
    return [name.strip() or f"column {i}" for i, name in enumerate(first)]


@dataclass(frozen=True)
class Table:
    """The columns of a file."""

    path: Path
    names: list[str]
    header: bool
    doubtful: list[str] | None = None  # the first example, if it may be a header

    def column(self, target: str | int | None) -> int:
        """The number of the target column."""
        count, names = len(self.names), self.names
        if count < 2:
            raise UserError(
                f"{self.path} has only one column, '{shortened(names[0])}': expected inputs and a target"
                f"{cells.of_first_line(names)}"
            )
        if isinstance(target, int) and -count <= target < count:
            self._say_of_which(target)
            return target % count
        if names.count(str(target)) == 1 and self.header:
            return names.index(str(target))
        if names.count(str(target)) > 1:
            raise UserError(f"data.target = '{target}': {self.path} has several columns of that name")
        raise UserError(f"data.target = {_shown(target)}: {self.path} {self._allowed(target)}")

    def _say_of_which(self, target: int) -> None:
        """A column's number goes before a column of that name."""
        count, name = len(self.names), str(target)
        if self.header and self.names.count(name) == 1 and self.names.index(name) != target % count:
            warnings.warn(
                f"data.target = {target}: taken for the number of column '{shortened(self.names[target])}'; "
                f"the column named {name} is number {self.names.index(name)}",
                Advice,
                stacklevel=2,
            )

    def _allowed(self, target) -> str:
        names, count = self.names, len(self.names)
        if not self.header:
            return (
                f"has no header (its first line has numbers); allowed: a column's number, 0 to {count - 1}, "
                f"or the target's name if that line has names after all"
            )
        if target is None:
            return f"needs the name of its target column{nearest('', names) if count <= 20 else ''}"
        hint = nearest(str(target), names)
        if "mean" not in hint and count > 20:
            hint = f"; it has {count}, from '{names[0]}' to '{names[-1]}'"
        return f"has no such column{hint}"

    def dataset(self, lines: Iterator[tuple[int, list[str]]], target: int, task: str) -> Dataset:
        """The examples; `lines` are (line number, cells)."""
        x, found, numbers = array("d"), [], array("q")
        inputs = [name for i, name in enumerate(self.names) if i != target]
        for number, row in lines:
            found.append(row.pop(target).strip())
            try:
                x.extend(map(float, row))
            except ValueError:
                bad = next(i for i, cell in enumerate(row) if not is_number(cell))
                rest = [row[bad], *_column(lines, bad + (bad >= target))]
                above = np.frombuffer(x)[: len(numbers) * len(inputs)].reshape(len(numbers), len(inputs))
                missing = ["nan"] * int(np.isnan(above[:, bad]).sum())
                raise self._wrong(
                    number, inputs[bad], [*rest, *missing], len(numbers) - len(missing)
                ) from None
            numbers.append(number)
        if not found:
            raise UserError(f"{self.path} has no examples, only a header")
        x = np.frombuffer(x).reshape(len(found), len(inputs))
        if self.doubtful and self._begins_with_names(found):
            table = replace(self, names=self.doubtful, header=True, doubtful=None)
            return table._dataset(x[1:], found[1:], numbers[1:], target, task)
        return self._dataset(x, found, numbers, target, task)

    def _begins_with_names(self, targets: list[str]) -> bool:
        """Whether a doubtful first line has names: a label comes again, a name does not. Raises `UserError`
        where it may be either."""
        first, *below = targets
        if first in below:
            return False
        if counts(self.doubtful):
            return True
        if below and all(map(is_number, below)):
            _say_of_names(self.path, self.doubtful)
            return True
        if below and min(Counter(below).values()) > 1:
            raise UserError(
                f"{self.path}: its first line, {shortened(', '.join(self.doubtful))}, may be the names of "
                f"the columns or an example: say data.target='{shortened(first)}' if they are names, "
                f"else put names above it"
            )
        return False

    def _dataset(self, x: np.ndarray, found: list[str], numbers, target: int, task: str) -> Dataset:
        inputs = [name for i, name in enumerate(self.names) if i != target]
        for i, j in np.argwhere(~np.isfinite(x))[:1]:
            column = [f"{value:g}" for value in [x[i, j], *x[i + 1 :, j]]]
            raise self._wrong(numbers[i], inputs[j], column, int(i))
        name = self.names[target]
        y, classes, kind = self._targets(found, numbers, name, task)
        return Dataset(x, y, classes, tuple(inputs), labels=kind, target_names=(name,))

    def _targets(self, found: list[str], numbers, name: str, task: str) -> labels.Targets:
        """Those of the target column, whose cells may be text if they are classes."""
        distinct, where = set(found), f"{self.path}: column '{name}'"
        value = {label: float(label) if is_number(label) else np.nan for label in distinct}
        text = not all(map(is_number, distinct))
        few = len({v for v in value.values() if v == v}) <= labels.CLASSES
        if text and (task == "classification" or task == "auto" and few):
            self._refuse(found, numbers, name, lambda label: not label, of_classes=True)
            return labels.of_words(found, where)
        self._refuse(found, numbers, name, lambda label: not math.isfinite(value[label]))
        y = np.array([value[label] for label in found])
        classes = task == "classification" or task == "auto" and labels.are_classes(y)
        if classes and not labels.are_numbers(distinct):
            return labels.of_words(found, where)
        return labels.targets(y, task, where)

    def _refuse(self, found: list[str], numbers, name: str, wrong, of_classes=False) -> None:
        for i, (number, label) in enumerate(zip(numbers, found, strict=True)):
            if wrong(label):
                raise self._wrong(number, name, found[i:], i, True, of_classes)

    def _wrong(
        self, line: int, column: str, below: list[str], above: int, of_target=False, of_classes=False
    ) -> UserError:
        """`below` are the column's cells from the wrong one on; so many are `above` it, and numbers."""
        cell, what = below[0].strip(), cells.kind(below[0])
        alike = sum(cells.kind(other) == what for other in below)
        where = f"{self.path}, line {line}, column '{shortened(column)}'"
        if not cell and column == f"column {len(self.names) - 1}" and alike == len(below):
            return UserError(f"{where}: is empty: take out the delimiter at the end of each line")
        return UserError(f"{where}: {cells.sentence(cell, alike, above + len(below), of_target, of_classes)}")


def _column(lines: Iterator[tuple[int, list[str]]], place: int) -> list[str]:
    """A column of what is left of a table, up to a line that cannot be read."""
    found = []
    with suppress(UserError):
        for _, row in lines:
            found.append(row[place])
    return found


def rows(path: Path, file) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of every line that is not empty; all have as many cells as the first."""
    lines, before = pieces(path, file), []
    for line in lines:
        before.append(line)
        if line.strip():
            break
    start = before[-1] if before else ""
    delimiter = max(DELIMITERS, key=lambda d: len(next(csv.reader([start], delimiter=d), [])))
    reader, first, begins = csv.reader(chain(before, lines), delimiter=delimiter, strict=True), [], 1
    try:
        for row in reader:
            begins = reader.line_num + 1
            if not "".join(row).strip():
                continue
            first = first or list(row)
            if len(row) != len(first):
                where, why = f"{path}, line {reader.line_num}", cells.of_first_line(first)
                if len(row) == len(first) + 1 and not row[-1].strip():
                    why = f": take out the '{delimiter}' at the end of the line"
                raise UserError(f"{where}: {len(row)} cells, but the first line has {len(first)}{why}")
            yield reader.line_num, row
    except csv.Error as e:
        raise UserError(f"{path}, line {begins}: {_in_words(str(e))}") from e


def pieces(path: Path, file) -> Iterator[str]:
    """The lines of a text file, each of a length that memory can bear."""
    for number, line in enumerate(iter(lambda: file.readline(LONGEST), ""), 1):
        if len(line) == LONGEST:
            raise UserError(f"{path}, line {number} has {LONGEST:,} characters or more: is it a table?")
        yield line


def _in_words(error: str) -> str:
    """What Python's csv module says."""
    if "unexpected end" in error or "field limit" in error:
        return "a quote begins a cell and is never closed"
    if "expected after" in error:
        return "a cell in quotes goes on behind them; write quotes inside of it twice"
    return error


@contextmanager
def long_cells():
    """Python's csv module refuses cells of 131,072 characters; so long is a line without its delimiter."""
    before = csv.field_size_limit(LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _shown(target) -> str:
    return "null" if target is None else f"'{target}'" if isinstance(target, str) else str(target)
