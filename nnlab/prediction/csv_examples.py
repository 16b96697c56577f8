"""New examples in a text file: the run's inputs are found by the names of the columns."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np

from nnlab.data.cells import REMEDY_FOR_TARGET, REMEDY_FOR_TRAINED_RUN, cell_error, is_number, missing_columns
from nnlab.data.csv_rows import read_rows
from nnlab.data.headers import LINES_COMPARED, is_header
from nnlab.data.identifiers import key_column
from nnlab.data.spec import DataSpec
from nnlab.data.text_tables import column_names
from nnlab.errors import UserError, advise, quote_names, shortened
from nnlab.prediction.blocks import Block, block_size
from nnlab.suggestions import hint


@dataclass(frozen=True)
class Columns:
    """Which columns of a file, by index, are inputs, targets, and the identifier of an example."""

    names: list[str]
    inputs: list[int]
    targets: list[int]
    identifier: int | None


class CsvExamples:
    """The examples of a file that is open as text.

    `target` names the column of the true labels (None: by the spec's names), where they are `labelled`.
    """

    def __init__(self, path: Path, file, spec: DataSpec, labelled: bool, target: str | int | None = None):
        self.path, self.spec = path, spec
        rows = read_rows(path, file)
        first_rows = list(islice(rows, 1 + LINES_COMPARED))
        if not first_rows:
            raise UserError(f"{path} is empty")
        has_header, self.columns = _Matching(path, spec, labelled, target).columns(first_rows)
        self._rows = chain(first_rows[has_header:], rows)
        if has_header:
            _advise_ignored(path, self.columns, spec)

    @property
    def identifier(self) -> str | None:
        index = self.columns.identifier
        return None if index is None else self.columns.names[index]

    @property
    def target(self) -> str:
        return self.columns.names[self.columns.targets[0]] if self.columns.targets else ""

    def where(self, line: int, column: str = "") -> str:
        return f"{self.path}, line {line}" + f", column '{shortened(column)}'" * bool(column)

    def blocks(self) -> Iterator[Block]:
        size, count = block_size(self.spec.inputs), 0
        while rows := list(islice(self._rows, size)):
            yield self._block(rows)
            count += len(rows)
        if not count:
            raise UserError(f"{self.path} has no examples, only a header")

    def _block(self, rows: list[tuple[int, list[str]]]) -> Block:
        columns = self.columns
        x = self._numbers(rows, columns.inputs)
        targets = identifiers = None
        if columns.targets and self.spec.classes:
            (index,) = columns.targets
            targets = [row[index].strip() for _, row in rows]
            for (line, _), label in zip(rows, targets, strict=True):
                if not label:
                    raise self._wrong_cell(line, index, label, is_target=True)
        elif columns.targets:
            targets = self._numbers(rows, columns.targets, are_targets=True)
        if columns.identifier is not None:
            identifiers = [row[columns.identifier] for _, row in rows]
        return Block(x, targets, identifiers, [line for line, _ in rows])

    def _numbers(self, rows, indices: list[int], are_targets: bool = False) -> np.ndarray:
        """(n, indices) finite numbers."""
        try:
            cells = (float(row[index]) for _, row in rows for index in indices)
            x = np.fromiter(cells, np.float64, len(rows) * len(indices)).reshape(len(rows), len(indices))
        except ValueError:
            x = None
        if x is None or not np.isfinite(x).all():
            raise next(
                self._wrong_cell(line, index, row[index], are_targets)
                for line, row in rows
                for index in indices
                if not is_number(row[index]) or not math.isfinite(float(row[index]))
            )
        return x

    def _wrong_cell(self, line: int, index: int, cell: str, is_target: bool) -> UserError:
        expected = "class" if is_target and self.spec.classes else "number"
        remedies = (REMEDY_FOR_TARGET if is_target else {}) | REMEDY_FOR_TRAINED_RUN
        where = self.where(line, self.columns.names[index])
        return UserError(f"{where}: {cell_error(cell.strip(), 1, 1, expected, remedies)}")


@dataclass(frozen=True)
class _Matching:
    """Finds the columns that a run needs, in a file that may have them in any order, and others."""

    path: Path
    spec: DataSpec
    labelled: bool
    target: str | int | None

    def columns(self, first_rows: list[tuple[int, list[str]]]) -> tuple[bool, Columns]:
        """Whether the first line has names, and the columns. Raises `UserError`."""
        first, *others = [row for _, row in first_rows]
        names, features = column_names(first), self.spec.features
        has_header = is_header(first, others, None)
        has_names = bool(features) and not _are_numbers(features)
        if {*features} <= {*names} and (has_names or features and has_header):
            return True, self._by_name(names)
        if has_names:
            if not has_header:
                raise UserError(
                    f"{self.path} has no line with the names of its columns, and the run knows its inputs by "
                    f"name: put a line above, with {quote_names(features)}"
                )
            raise UserError(f"{self.path} {missing_columns(names, list(features))}")
        return has_header, self._by_position(names, has_header)

    def _by_name(self, names: list[str]) -> Columns:
        inputs = self._indices_of(self.spec.features, names)
        targets = self._targets(names, inputs) if self.labelled else []
        return Columns(names, inputs, targets, _identifier(names, inputs, targets))

    def _indices_of(self, wanted: Iterable[str], names: list[str]) -> list[int]:
        """Where the columns of these names are."""
        indices, counts = {name: index for index, name in enumerate(names)}, Counter(names)
        for name in wanted:
            if counts[name] > 1:
                raise UserError(f"{self.path} has several columns of the name '{shortened(name)}'")
        return [indices[name] for name in wanted]

    def _targets(self, names: list[str], inputs: list[int]) -> list[int]:
        if isinstance(self.target, int):
            if not -len(names) <= self.target < len(names):
                raise UserError(
                    f"target = {self.target}: {self.path} has {len(names)} columns, 0 to {len(names) - 1}"
                )
            return self._refuse_inputs([self.target % len(names)], inputs, names)
        wanted = [self.target] if self.target is not None else list(self.spec.targets)
        if not wanted:
            raise UserError(
                f"{self.path}: the run does not know the name of its target; say which column it is, "
                f"target=NAME, of {quote_names([n for i, n in enumerate(names) if i not in inputs] or names)}"
            )
        for name in wanted:
            if name not in names:
                others = [names[index] for index in range(len(names)) if index not in inputs]
                near = hint(shortened(name), others) or f"; it has {quote_names(others)} beside the inputs"
                more = "" if self.target is not None else ", the run's target"
                raise UserError(
                    f"{self.path} has no column '{shortened(name)}'{more}{near}"
                    + "; target=NAME says which column it is" * (self.target is None)
                )
        return self._refuse_inputs(self._indices_of(wanted, names), inputs, names)

    def _refuse_inputs(self, targets: list[int], inputs: list[int], names: list[str]) -> list[int]:
        for index in {*targets} & {*inputs}:
            raise UserError(f"target = '{shortened(names[index])}': that is an input of the run")
        return targets

    def _by_position(self, names: list[str], has_header: bool) -> Columns:
        """The inputs of a run whose own have no names: all columns in their order, but the target's."""
        count, wanted = len(names), self.spec.inputs
        numbers = [*map(int, self.spec.features)] or [*range(wanted)]
        target = next((index for index in range(wanted + 1) if index not in numbers), wanted)
        if isinstance(self.target, int):
            target = self.target % max(1, count)
        elif self.target in names and has_header:
            target = names.index(self.target)
        elif self.target is not None:
            raise UserError(f"target = '{self.target}': {self.path} has no column of that name")
        if count == wanted + 1:
            inputs = [index for index in range(count) if index != target]
            return Columns(names, inputs, [target] if self.labelled else [], None)
        if count == wanted and not self.labelled:
            return Columns(names, [*range(wanted)], [], None)
        raise UserError(
            f"{self.path} has {count} columns, and the run {wanted} inputs, whose columns have no names: "
            f"expected {f'{wanted} and the target' if self.labelled else wanted}"
        )


def _are_numbers(features: tuple[str, ...]) -> bool:
    """Whether the inputs are called by the numbers of their columns: their file had no header."""
    return all(name in (str(index), str(index + 1)) for index, name in enumerate(features))


def _identifier(names: list[str], inputs: list[int], targets: list[int]) -> int | None:
    """The column that identifies an example: one that is not an input, rather than one that is."""
    used = {*inputs, *targets}
    others = [index for index in range(len(names)) if index not in used]
    for indices in (others, inputs):
        key = key_column(_blank(names[index]) for index in indices)
        if key is not None:
            return indices[key]
    return None


def _blank(name: str) -> str:
    return "" if name.startswith("column ") and name[7:].isdecimal() else name


def _advise_ignored(path: Path, columns: Columns, spec: DataSpec) -> None:
    used = {*columns.inputs, *columns.targets, columns.identifier}
    names = [n for index, n in enumerate(columns.names) if index not in used and n not in spec.targets]
    if names:
        advise(
            f"{path}: {'columns' if len(names) > 1 else 'column'} {quote_names(names)} "
            f"{'are' if len(names) > 1 else 'is'} not among the run's inputs, and ignored"
        )
