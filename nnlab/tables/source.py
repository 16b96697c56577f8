"""A table, and where each of its rows stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from nnlab.errors import UserError, shortened
from nnlab.tables.cells import as_array


@dataclass(frozen=True)
class Source:
    """A table, what sentences call it, and where one of its rows stands."""

    table: pa.Table
    name: str
    place: Callable[[int], str]

    def __len__(self):
        return self.table.num_rows

    def column(self, name: str) -> pa.Array:
        return as_array(self.table[name])

    def followed_by(self, other: Source) -> Source:
        """The rows of both. Raises `UserError` unless the other has the same columns, in any order."""
        names = self.table.column_names
        lacking = [name for name in names if name not in other.table.column_names]
        for name in lacking[:1]:
            raise UserError(f"{other.name} has no column '{shortened(name)}', which {self.name} has")
        try:
            tables = [self.table, other.table.select(names)]
            table = pa.concat_tables(tables, promote_options="permissive")
        except pa.ArrowException as e:
            raise UserError(f"{other.name} has other types of columns than {self.name}: {e}") from e
        count = len(self)
        return Source(
            table, self.name, lambda row: self.place(row) if row < count else other.place(row - count)
        )

    def select(self, rows: np.ndarray) -> Source:
        """Some of the rows, which keep their places."""
        return Source(self.table.take(pa.array(rows)), self.name, lambda row: self.place(int(rows[row])))
