"""New examples in files of tables, with columns of any type, for a run that was trained on such a table."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np

from nnlab.data.dataset import Data
from nnlab.data.identifiers import key_column
from nnlab.data.spec import DataSpec
from nnlab.errors import UserError, advise, shortened
from nnlab.prediction.blocks import Block, block_size
from nnlab.suggestions import hint
from nnlab.tables.cells import as_array, as_text
from nnlab.tables.files import iterate_batches, place
from nnlab.tables.new_rows import NewRows, readable
from nnlab.tables.new_targets import labels_of, target_column
from nnlab.tables.options import ReadOptions
from nnlab.tables.raw import to_raw


class TableExamples:
    """The examples of a table's file, or of all files of a glob, batch by batch.

    Columns are found by name, in any order; `training_data` says how files are read and which texts stand for
    empty cells. `target` names the column of the true labels, where they are `labelled`; by default that of
    the run. Examples without a label are left out then.
    """

    def __init__(
        self, path: str, spec: DataSpec, training_data: Data, labelled: bool, target: str | int | None = None
    ):
        self.path, self.spec = path, spec
        self._markers = tuple(getattr(training_data, "missing", ()))
        self._decimal = getattr(training_data, "decimal_mark", "auto")
        names = [column.name for column in spec.columns]
        self._options = ReadOptions(
            getattr(training_data, "separator", "auto"),
            getattr(training_data, "encoding", "auto"),
            # A table without a line of names has numbers for them.
            header=not all(name.isdecimal() for name in names),
        )
        batches = iterate_batches(path, self._options)
        first = next(batches)
        self._batches = chain([first], batches)
        self._names = self._names_of(first.schema.names, labelled)
        self.target = self._find_target(target) if labelled else ""
        self.identifier = self._find_identifier()
        ignored = {*spec.targets, self.target, self.identifier}
        self._rows = NewRows(spec.columns, self._names, path, ignored)
        if self.target in {column.name for column in self._rows.inputs}:
            raise UserError(f"target = '{shortened(self.target)}': that is an input of the run")
        self._number_column = None  # how numbers of the target are written

    def where(self, line: int, column: str = "") -> str:
        return place(self.path, line, self._options) + f", column '{shortened(column)}'" * bool(column)

    def blocks(self) -> Iterator[Block]:
        size, start, left_out, read = block_size(self.spec.encoding.raw_width), 0, 0, 0
        for batch in self._batches:
            batch = batch.rename_columns(self._names)
            for offset in range(0, batch.num_rows, size):
                block = self._block(batch.slice(offset, size), start + offset)
                count = min(size, batch.num_rows - offset)
                left_out += count - len(block.x)
                read += len(block.x)
                if len(block.x):
                    yield block
            start += batch.num_rows
        if not read:
            raise UserError(f"{self.path}: no example has a label in the column '{shortened(self.target)}'")
        if left_out:
            advise(f"{self.path}: {left_out:,} of {start:,} examples have no label, and are left out")
        self._rows.advise()

    def _block(self, batch, start: int) -> Block:
        numbers, targets = np.arange(batch.num_rows), None
        if self.target:
            targets = self._targets(batch, start)
            numbers = np.flatnonzero([value is not None and value == value for value in targets.tolist()])
            batch, targets = batch.take(numbers), targets[numbers]
            if not self.spec.classes:
                targets = targets[:, None]
        x = self._rows.raw(batch, lambda row: self.where(start + int(numbers[row])))
        identifiers = None
        if self.identifier is not None:
            with readable(self.path, self.identifier):
                cells = as_text(as_array(batch.column(self.identifier)))
            identifiers = ["" if cell is None else cell for cell in cells.to_pylist()]
        return Block(x, targets, identifiers, (start + numbers).tolist())

    def _targets(self, batch, start: int) -> np.ndarray:
        """(n,) labels or numbers; None or NaN where there is none."""
        cells = as_array(batch.column(self.target))
        with readable(self.path, self.target):
            if self.spec.classes:
                return labels_of(cells, self._markers)
            if self._number_column is None:
                self._number_column = target_column(self.target, cells, self._decimal, self._markers)
            return to_raw(batch, [self._number_column], lambda row: self.where(start + row))[:, 0]

    def _names_of(self, names: list[str], labelled: bool) -> list[str]:
        """The names of the columns. Where no line has them, they are the numbers of training, in whose table
        there was a target."""
        known = {column.name for column in self.spec.columns} | {*self.spec.targets}
        trained = sorted(known, key=lambda name: (len(name), name))
        if self._options.header or labelled or len(names) != len(trained) - 1:
            return names
        return [name for name in trained if name not in self.spec.targets]

    def _find_target(self, target: str | int | None) -> str:
        names = self._names
        if isinstance(target, int) and str(target) not in names:
            if not -len(names) <= target < len(names):
                raise UserError(
                    f"target = {target}: {self.path} has {len(names)} columns, 0 to {len(names) - 1}"
                )
            return names[target]
        name = str(target) if target is not None else next(iter(self.spec.targets), None)
        if name is None:
            raise UserError(f"{self.path}: the run does not know the name of its target; say it, target=NAME")
        if name not in names:
            whose = ", the run's target" * (target is None)
            inputs = {column.name for column in self.spec.columns}
            near = hint(shortened(name), [other for other in names if other not in inputs])
            raise UserError(
                f"{self.path} has no column '{shortened(name)}'{whose}{near}"
                + "; target=NAME says which column it is" * (target is None)
            )
        return name

    def _find_identifier(self) -> str | None:
        """The column that identifies an example: one that did in training, or one with such a name."""
        known = {column.name: column for column in self.spec.columns}
        for name in self._names:
            if name in known and known[name].type == "identifier":
                return name
        others = [name for name in self._names if name not in known and name != self.target]
        index = key_column(others)
        return None if index is None else others[index]
