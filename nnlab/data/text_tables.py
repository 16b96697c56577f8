"""`Csv`: data sets in text files, with one example per line and one target column."""

from __future__ import annotations

import math
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
from nnlab.data.csv_rows import allow_long_cells, read_rows
from nnlab.data.dataset import Data, Dataset
from nnlab.data.files import data_file, open_text
from nnlab.data.headers import LINES_COMPARED, has_default_names, is_doubtful_header, is_header, may_be_header
from nnlab.data.image_shapes import NORMALIZED_PER
from nnlab.data.normalization import NORMALIZATION_NAMES
from nnlab.data.spec import MOST_ELEMENTS
from nnlab.errors import UserError, advise, nearest, shortened
from nnlab.hyperparameters import static

MOST_NAMES_LISTED = 20  # in an error


@dataclass(frozen=True)
class Csv(Data):
    """A text file of numbers, separated by commas, semicolons or tabs, .gz or not.

    `target` is the name of a column, or its number from 0 (or from -1, at the end). The first line is a
    header if it has no number, or if the other lines show that its numbers are names, as pandas writes them.
    Text in the target column is a class, as it is written; with `task: auto`, so are whole numbers with at
    most 20 values.

    shape  of an example, where the columns in their order are its numbers: (1, 28, 28) for grey images,
           (channels, length) for signals
    """

    name: ClassVar[str] = "csv"
    needs: ClassVar[tuple[str, ...]] = ("path", "target")
    path: str | None = static(None)
    target: str | int | None = static(None)
    task: str = static("auto", choices=labels.TASK_CHOICES)
    target_normalization: str = static("standard", choices=NORMALIZATION_NAMES)
    shape: tuple[int, ...] | None = static(None, low=1, high=MOST_ELEMENTS)
    normalization_per: str = static("auto", choices=NORMALIZED_PER)

    def read(self):
        dataset = self._read()
        if self.shape is None:
            return dataset
        columns, size = dataset.x.shape[1], math.prod(self.shape)
        if len(self.shape) not in (2, 3) or size != columns:
            expected = "[channels,rows,columns] or [channels,length]"
            raise UserError(
                f"data.shape = {list(self.shape)}, {size:,} numbers: expected {expected} of the {columns:,} "
                f"columns of {self.path} beside the target"
            )
        return replace(dataset, shape=self.shape)

    def _read(self) -> Dataset:
        path = data_file(self.path, "FILE, one of numbers between commas, semicolons or tabs")
        with open_text(path) as file, allow_long_cells():
            lines = read_rows(path, file)
            first_lines = list(islice(lines, 1 + LINES_COMPARED))
            if not first_lines:
                raise UserError(f"{path} is empty")
            first_row, *next_rows = [row for _, row in first_lines]
            if is_header(first_row, next_rows, self.target):
                if is_doubtful_header(first_row, self.target):
                    _advise_header(path, first_row)
                table = Table(path, column_names(first_row), True)
                column = table.column(self.target)
                return table.dataset(chain(first_lines[1:], lines), column, self.task)
            table = Table(path, [str(i) for i in range(len(first_row))], False)
            column = table.column(self.target)
            if may_be_header(first_row, column):
                table = replace(table, possible_names=column_names(first_row))
            return table.dataset(chain(first_lines, lines), column, self.task)


def _advise_header(path: Path, first_row: list[str]) -> None:
    line = shortened(", ".join(first_row))
    advice = f"{path}: the first line, {line}, is taken for the names of the columns"
    advise(advice)


def column_names(first_row: list[str]) -> list[str]:
    """The column names in a header row; unnamed columns get their index."""
    return [name.strip() or f"column {i}" for i, name in enumerate(first_row)]


@dataclass(frozen=True)
class Table:
    """The columns of a CSV file, and how to parse its lines into a `Dataset`."""

    path: Path
    names: list[str]
    has_header: bool
    possible_names: list[str] | None = None  # the first row, if it may be a header after all

    def column(self, target: str | int | None) -> int:
        """The index of the target column."""
        count, names = len(self.names), self.names
        if count < 2:
            raise UserError(
                f"{self.path} has only one column, '{shortened(names[0])}': expected inputs and a target"
                f"{cells.first_line_hint(names)}"
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
        """Advice, if another column is named like the index: the index takes precedence."""
        count, name = len(self.names), str(target)
        if self.has_header and self.names.count(name) == 1 and self.names.index(name) != target % count:
            advise(
                f"data.target = {target}: taken for the number of column '{shortened(self.names[target])}'; "
                f"the column named {name} is number {self.names.index(name)}"
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
        """Parse the examples from `lines` of (line number, cells)."""
        # Typed arrays, since lists of Python numbers take four times the memory.
        x, line_numbers = array("d"), array("q")
        targets = []
        for line_number, row in lines:
            targets.append(row.pop(target).strip())
            try:
                x.extend(map(float, row))
            except ValueError:
                above = np.frombuffer(x)[: len(line_numbers) * len(row)].reshape(-1, len(row))
                raise self._input_error(line_number, row, above, lines, target) from None
            line_numbers.append(line_number)
        if not targets:
            raise self._no_examples_error()
        x = np.frombuffer(x).reshape(len(targets), len(self.names) - 1)
        if self.possible_names and self._first_row_is_header(targets):
            if len(targets) == 1:
                raise self._no_examples_error()
            table = replace(self, names=self.possible_names, has_header=True, possible_names=None)
            return table._dataset(x[1:], targets[1:], line_numbers[1:], target, task)
        return self._dataset(x, targets, line_numbers, target, task)

    def _no_examples_error(self) -> UserError:
        return UserError(f"{self.path} has no examples, only a header")

    def _input_error(self, line_number: int, row: list[str], above: np.ndarray, lines, target: int):
        """The error for a row of inputs that are not all numbers; `lines` are those below it.

        The advice depends on how many more cells of the column are like it, so the rest of the file is read.
        """
        bad = next(i for i, cell in enumerate(row) if not is_number(cell))
        cells_below = _rest_of_column(lines, bad + (bad >= target))
        missing_above = int(np.isnan(above[:, bad]).sum())
        cells_from_here = [row[bad], *cells_below, *["nan"] * missing_above]
        column = self._inputs(target)[bad]
        return self._cell_error(line_number, column, cells_from_here, len(above) - missing_above)

    def _inputs(self, target: int) -> list[str]:
        return [name for i, name in enumerate(self.names) if i != target]

    def _first_row_is_header(self, targets: list[str]) -> bool:
        """Whether the first row is a header: a label occurs again further down, a column name does not.

        Raises `UserError` where they may be either.
        """
        first, *below = targets
        if first in below:
            return False
        if has_default_names(self.possible_names):
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
            raise self._cell_error(line_numbers[i], inputs[j], column, int(i))
        name = self.names[target]
        y, classes, kind = self._targets(targets, line_numbers, name, task)
        return Dataset(x, y, classes, tuple(inputs), labels=kind, target_names=(name,))

    def _targets(self, target_cells: list[str], line_numbers, name: str, task: str) -> labels.Targets:
        """The encoded targets; their cells may be text if they are classes."""
        distinct, where = set(target_cells), f"{self.path}: column '{name}'"
        value = {label: _number_or_nan(label) for label in distinct}
        has_text = not all(map(is_number, distinct))
        # Text among many different numbers is a mistake in a regression.
        has_few_numbers = len({v for v in value.values() if v == v}) <= labels.MOST_INFERRED_CLASSES
        if has_text and (task == "classification" or task == "auto" and has_few_numbers):
            self._refuse_targets(
                target_cells, line_numbers, name, lambda label: not label, is_classification=True
            )
            return labels.encode_labels(target_cells, where)
        self._refuse_targets(target_cells, line_numbers, name, lambda label: not math.isfinite(value[label]))
        y = np.array([value[label] for label in target_cells])
        are_classes = task == "classification" or task == "auto" and labels.are_classes(y)
        if are_classes and not labels.are_comparable_by_value(distinct):
            return labels.encode_labels(target_cells, where)
        return labels.encode_targets(y, task, where)

    def _refuse_targets(self, targets: list[str], line_numbers, name: str, is_bad, is_classification=False):
        """Raise the error for the first target that `is_bad`."""
        for i, (line_number, label) in enumerate(zip(line_numbers, targets, strict=True)):
            if is_bad(label):
                raise self._cell_error(line_number, name, targets[i:], i, True, is_classification)

    def _cell_error(
        self, line: int, column: str, below: list[str], above: int, is_target=False, is_classification=False
    ) -> UserError:
        """The error for a bad cell, the first of `below`, with `above` good cells above it in its column."""
        cell, kind = below[0].strip(), cells.cell_kind(below[0])
        same_kind = sum(cells.cell_kind(other) == kind for other in below)
        where = f"{self.path}, line {line}, column '{shortened(column)}'"
        if not cell and column == f"column {len(self.names) - 1}" and same_kind == len(below):
            return UserError(f"{where}: the cell is empty: remove the delimiter at the end of each line")
        expected = "class" if is_classification else "number"
        remedies = cells.REMEDY_FOR_TARGET if is_target else cells.REMEDY_FOR_INPUT
        return UserError(
            f"{where}: {cells.cell_error(cell, same_kind, above + len(below), expected, remedies)}"
        )


def _number_or_nan(label: str) -> float:
    return float(label) if is_number(label) else math.nan


def _rest_of_column(lines: Iterator[tuple[int, list[str]]], column_index: int) -> list[str]:
    """The column in the remaining lines, up to one that cannot be read."""
    column = []
    with suppress(UserError):
        for _, row in lines:
            column.append(row[column_index])
    return column


def _shown(target) -> str:
    if target is None:
        return "null"
    return f"'{target}'" if isinstance(target, str) else str(target)
