"""Rows of new examples, read as the columns of the table that a network was trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

from nnlab.data.cells import missing_columns
from nnlab.data.columns import MISSING_CODE, Column
from nnlab.errors import UserError, advise, quote_names, shortened
from nnlab.tables.raw import to_raw
from nnlab.tables.unknown_cells import UnknownCells


class NewRows:
    """Batches of a table with the columns of a trained network, in any order, as raw numbers.

    columns  of the network's data, the target not among them
    names    of the table's columns
    where    what sentences call the table
    ignored  further columns that nobody need be told of, such as the target

    Raises `UserError` for a column that is missing. `advise` says at the end what was not as in training.
    """

    def __init__(
        self, columns: Iterable[Column], names: Sequence[str], where: str, ignored: Iterable[str] = ()
    ):
        columns = tuple(columns)
        self.inputs = tuple(column for column in columns if column.is_input)
        self.where, self.count = where, 0
        self._unknown = {column.name: UnknownCells(column) for column in self.inputs if column.categories}
        self._missing_counts = Counter[str]()
        self._refuse_missing([*names], where)
        further = [name for name in names if name not in {c.name for c in columns} | {*ignored}]
        if further:
            verb = "is no input" if len(further) == 1 else "are no inputs"
            advise(f"{where}: {quote_names(further)} {verb} of the run, and ignored")

    def _refuse_missing(self, names: list[str], where: str) -> None:
        wanted = [column.name for column in self.inputs]
        if not {*wanted} <= {*names}:
            raise UserError(f"{where} {missing_columns(names, wanted)}")

    def raw(self, batch: pa.RecordBatch | pa.Table, place: Callable[[int], str]) -> np.ndarray:
        """(n, d_raw); `place(row)` says where a row stands, for the `UserError` of a cell that is wrong."""
        self.count += batch.num_rows
        blocks = []
        for column in self.inputs:
            with readable(self.where, column.name):
                block = to_raw(batch, [column], place)
                self._count(column, batch, block[:, 0])
            blocks.append(block)
        return np.concatenate(blocks, axis=1)

    def _count(self, column: Column, batch, first: np.ndarray) -> None:
        """Count what training did not have in a column, of which `first` is the first raw number."""
        kind = column.raw[0][1]
        if kind == "code":
            self._unknown[column.name].add(batch.column(column.name), first)
        if kind != "plain" and not column.missing:
            is_missing = first == MISSING_CODE if kind == "code" else np.isnan(first)
            self._missing_counts[column.name] += int(is_missing.sum())

    def advise(self) -> None:
        """One sentence for each column with cells that training did not have, and how many.

        Raises `UserError` where most cells of a column are known, but written in another way.
        """
        of_all = f"of {self.count:,} examples"
        for cells in self._unknown.values():
            if cells.fault:
                raise UserError(f"{self.where}: {cells.fault}")
        for cells in self._unknown.values():
            if sentence := cells.advice(self.count):
                advise(f"{self.where}: {sentence}")
        for name, count in self._missing_counts.items():
            if count:
                advise(
                    f"{self.where}: {count:,} {of_all} have no '{shortened(name)}', which every one had in "
                    f"training; they get its median, or no category"
                )


@contextmanager
def readable(where: str, column: str) -> Iterator[None]:
    """Turn what pyarrow raises into a `UserError`: the column is of a type that it was not in training."""
    try:
        yield
    except pa.ArrowException as e:
        raise UserError(
            f"{where}, column '{shortened(column)}': its cells are of another kind than in training: "
            f"{' '.join(str(e).split())}"
        ) from e
