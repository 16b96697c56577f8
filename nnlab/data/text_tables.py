"""Tables of numbers in text files: one example a line, one column the target."""

from __future__ import annotations

import math
import warnings
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import ClassVar

import numpy as np

from nnlab.data import cells, labels
from nnlab.data.cells import is_number
from nnlab.data.csv_rows import long_cells, rows
from nnlab.data.dataset import Data, Dataset
from nnlab.data.files import file_of, opened_text
from nnlab.data.headers import LINES_COMPARED, counts, is_header, is_odd, may_be_header
from nnlab.data.normalization import NORMALIZATION_NAMES
from nnlab.errors import Advice, UserError, nearest, shortened
from nnlab.hyperparameters import static

MOST_NAMES_LISTED = 20  # in an error


@dataclass(frozen=True)
class Csv(Data):
    """A text file of numbers, separated by commas, semicolons or tabs, .gz or not.

    `target` is the name of a column, or its number from 0 (or from -1, at the end). The first line is a
    header if it has no number, or if the other lines show that its numbers are names, as pandas writes them.
    Text in the target column is a class, as it is written; with `task: auto`, so are whole numbers with at
    most 20 values.
    """

    name: ClassVar[str] = "csv"
    needs: ClassVar[tuple[str, ...]] = ("path", "target")
    path: str | None = static(None)
    target: str | int | None = static(None)
    task: str = static("auto", choices=labels.TASK_CHOICES)
    target_normalization: str = static("standard", choices=NORMALIZATION_NAMES)

    def read(self):
        path = file_of(self.path, "FILE, one of numbers between commas, semicolons or tabs")
        with opened_text(path) as file, long_cells():
            lines = rows(path, file)
            first_lines = list(islice(lines, 1 + LINES_COMPARED))
            if not first_lines:
                raise UserError(f"{path} is empty")
            first, *below = [row for _, row in first_lines]
            if is_header(first, below, self.target):
                if is_odd(first, self.target):
                    _advise_header(path, first)
                table = Table(path, column_names(first), True)
                column = table.column(self.target)
                return table.dataset(chain(first_lines[1:], lines), column, self.task)
            table = Table(path, [str(i) for i in range(len(first))], False)
            column = table.column(self.target)
            if may_be_header(first, column):
                table = replace(table, possible_names=column_names(first))
            return table.dataset(chain(first_lines, lines), column, self.task)


def _advise_header(path: Path, first: list[str]) -> None:
    line = shortened(", ".join(first))
    advice = f"{path}: the first line, {line}, is taken for the names of the columns"
    warnings.warn(advice, Advice, stacklevel=2)


def column_names(first: list[str]) -> list[str]:
    """The names of the columns, by a header."""
    return [name.strip() or f"column {i}" for i, name in enumerate(first)]


@dataclass(frozen=True)
class Table:
    """The columns of a file, without its cells."""

    path: Path
    names: list[str]
    has_header: bool
    possible_names: list[str] | None = None  # the first example, if it may be a header

    def column(self, target: str | int | None) -> int:
        """The number of the target column."""
        count, names = len(self.names), self.names
        if count < 2:
            raise UserError(
                f"{self.path} has only one column, '{shortened(names[0])}': expected inputs and a target"
                f"{cells.of_first_line(names)}"
            )
        if isinstance(target, int) and -count <= target < count:
            self._advise_number(target)
            return target % count
        if names.count(str(target)) == 1 and self.has_header:
            return names.index(str(target))
        if names.count(str(target)) > 1:
            raise UserError(f"data.target = '{target}': {self.path} has several columns of that name")
        raise UserError(f"data.target = {_shown(target)}: {self.path} {self._allowed(target)}")

    def _advise_number(self, target: int) -> None:
        """Advice, if a column has the number for its name: the number of a column takes precedence."""
        count, name = len(self.names), str(target)
        if self.has_header and self.names.count(name) == 1 and self.names.index(name) != target % count:
            warnings.warn(
                f"data.target = {target}: taken for the number of column '{shortened(self.names[target])}'; "
                f"the column named {name} is number {self.names.index(name)}",
                Advice,
                stacklevel=2,
            )

    def _allowed(self, target) -> str:
        names, count = self.names, len(self.names)
        if not self.has_header:
            return (
                f"has no header (its first line has numbers); allowed: a column's number, 0 to {count - 1}, "
                f"or the target's name if that line has names after all"
            )
        if target is None:
            allowed = nearest("", names) if count <= MOST_NAMES_LISTED else ""
            return f"needs the name of its target column{allowed}"
        hint = nearest(str(target), names)
        if "mean" not in hint and count > MOST_NAMES_LISTED:
            hint = f"; it has {count}, from '{names[0]}' to '{names[-1]}'"
        return f"has no such column{hint}"

    def dataset(self, lines: Iterator[tuple[int, list[str]]], target: int, task: str) -> Dataset:
        """The examples; `lines` are (line number, cells)."""
        # Arrays of machine numbers, since a list of Python's takes four times the memory.
        x, line_numbers = array("d"), array("q")
        targets = []
        for line_number, row in lines:
            targets.append(row.pop(target).strip())
            try:
                x.extend(map(float, row))
            except ValueError:
                above = np.frombuffer(x)[: len(line_numbers) * len(row)].reshape(-1, len(row))
                raise self._wrong_input(line_number, row, above, lines, target) from None
            line_numbers.append(line_number)
        if not targets:
            raise UserError(f"{self.path} has no examples, only a header")
        x = np.frombuffer(x).reshape(len(targets), len(self.names) - 1)
        if self.possible_names and self._begins_with_names(targets):
            table = replace(self, names=self.possible_names, has_header=True, possible_names=None)
            return table._dataset(x[1:], targets[1:], line_numbers[1:], target, task)
        return self._dataset(x, targets, line_numbers, target, task)

    def _wrong_input(self, line_number: int, row: list[str], above: np.ndarray, lines, target: int):
        """The error for a row of inputs that are not all numbers; `lines` are those below it.

        How many more cells of the column are like it decides what to advise, so the rest of the file is read.
        """
        bad = next(i for i, cell in enumerate(row) if not is_number(cell))
        cells_below = _column(lines, bad + (bad >= target))
        missing_above = int(np.isnan(above[:, bad]).sum())
        alike = [row[bad], *cells_below, *["nan"] * missing_above]
        return self._wrong(line_number, self._inputs(target)[bad], alike, len(above) - missing_above)

    def _inputs(self, target: int) -> list[str]:
        return [name for i, name in enumerate(self.names) if i != target]

    def _begins_with_names(self, targets: list[str]) -> bool:
        """Whether the possible names are names: a label comes again, a name does not.

        Raises `UserError` where they may be either.
        """
        first, *below = targets
        if first in below:
            return False
        if counts(self.possible_names):
            return True
        if below and all(map(is_number, below)):
            _advise_header(self.path, self.possible_names)
            return True
        if below and min(Counter(below).values()) > 1:
            raise UserError(
                f"{self.path}: its first line, {shortened(', '.join(self.possible_names))}, may be the names "
                f"of the columns or an example: say data.target='{shortened(first)}' if they are names, "
                f"else put names above it"
            )
        return False

    def _dataset(self, x: np.ndarray, targets: list[str], line_numbers, target: int, task: str) -> Dataset:
        inputs = self._inputs(target)
        for i, j in np.argwhere(~np.isfinite(x))[:1]:
            column = [f"{value:g}" for value in [x[i, j], *x[i + 1 :, j]]]
            raise self._wrong(line_numbers[i], inputs[j], column, int(i))
        name = self.names[target]
        y, classes, kind = self._targets(targets, line_numbers, name, task)
        return Dataset(x, y, classes, tuple(inputs), labels=kind, target_names=(name,))

    def _targets(self, found: list[str], line_numbers, name: str, task: str) -> labels.Targets:
        """The targets; their cells may be text if they are classes."""
        distinct, where = set(found), f"{self.path}: column '{name}'"
        value = {label: _number_or_nan(label) for label in distinct}
        has_text = not all(map(is_number, distinct))
        # Text among many different numbers is a mistake in a regression.
        has_few_numbers = len({v for v in value.values() if v == v}) <= labels.MOST_INFERRED_CLASSES
        if has_text and (task == "classification" or task == "auto" and has_few_numbers):
            self._refuse(found, line_numbers, name, lambda label: not label, of_classes=True)
            return labels.of_words(found, where)
        self._refuse(found, line_numbers, name, lambda label: not math.isfinite(value[label]))
        y = np.array([value[label] for label in found])
        are_classes = task == "classification" or task == "auto" and labels.are_classes(y)
        if are_classes and not labels.are_numbers(distinct):
            return labels.of_words(found, where)
        return labels.targets(y, task, where)

    def _refuse(self, targets: list[str], line_numbers, name: str, is_wrong, of_classes=False) -> None:
        for i, (line_number, label) in enumerate(zip(line_numbers, targets, strict=True)):
            if is_wrong(label):
                raise self._wrong(line_number, name, targets[i:], i, True, of_classes)

    def _wrong(
        self, line: int, column: str, below: list[str], above: int, of_target=False, of_classes=False
    ) -> UserError:
        """The error for a wrong cell, the first of `below`, with `above` numbers above it in its column."""
        cell, kind = below[0].strip(), cells.kind(below[0])
        alike = sum(cells.kind(other) == kind for other in below)
        where = f"{self.path}, line {line}, column '{shortened(column)}'"
        if not cell and column == f"column {len(self.names) - 1}" and alike == len(below):
            return UserError(f"{where}: is empty: remove the delimiter at the end of each line")
        return UserError(f"{where}: {cells.sentence(cell, alike, above + len(below), of_target, of_classes)}")


def _number_or_nan(label: str) -> float:
    return float(label) if is_number(label) else math.nan


def _column(lines: Iterator[tuple[int, list[str]]], place: int) -> list[str]:
    """A column of the remaining lines, up to one that cannot be read."""
    column = []
    with suppress(UserError):
        for _, row in lines:
            column.append(row[place])
    return column


def _shown(target) -> str:
    if target is None:
        return "null"
    return f"'{target}'" if isinstance(target, str) else str(target)
