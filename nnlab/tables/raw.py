"""Cells of a table to raw numbers: what `Encoding` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nnlab.data.columns import FIRST_CODE, MISSING_CODE, UNKNOWN_CODE, Column
from nnlab.errors import UserError, shortened
from nnlab.tables.cells import (
    as_array,
    as_text,
    can_be_numbers,
    numbers_of,
    refuse_first,
    without_markers,
    without_missing_numbers,
)
from nnlab.tables.dates import (
    DATE_PATTERNS,
    FORM_EXAMPLES,
    TIME_ONLY,
    fitting_forms,
    is_date_type,
    parse_dates,
)
from nnlab.tables.numerals import Notation, parse_numbers

LONGEST_NGRAM = 2  # words


def to_raw(
    batch: pa.RecordBatch | pa.Table,
    columns: Iterable[Column],
    where: Callable[[int], str] = lambda row: f"row {row + 1}",
) -> np.ndarray:
    """(n, d_raw) float64: the raw numbers of all columns side by side, as `Column.raw` says.

    Numbers are NaN where they are missing; codes of categories are 0 where they are missing, and 1 where they
    are not among the column's categories. Raises `UserError` for a cell that is not of its column's type;
    `where(row)` says where the row stands: its file and line.

    >>> table = pa.table({"age": ["31", "NA"], "plan": ["gold", "silver"]})
    >>> columns = Column("age", "number", missing=True), Column("plan", "category", categories=("gold",))
    >>> to_raw(table, columns).tolist()
    [[31.0, 2.0], [nan, 1.0]]
    """
    blocks = [
        _raw_column(as_array(batch.column(column.name)), column, where) for column in columns if column.raw
    ]
    return np.concatenate([np.zeros((batch.num_rows, 0)), *blocks], axis=1)


def _raw_column(cells: pa.Array, column: Column, where) -> np.ndarray:
    if column.type == "number":
        return _numbers(cells, column, where)[:, None]
    if column.type == "date":
        return _dates(cells, column, where)
    if column.type == "text":
        return _ngrams(cells, column)
    return _codes(cells, column)[:, None]


def _numbers(cells: pa.Array, column: Column, where) -> np.ndarray:
    if can_be_numbers(cells.type):
        return numbers_of(cells, column.markers)
    cells = _present(cells, column)
    notation = Notation(column.decimal, column.thousands, column.form)
    numbers = parse_numbers(cells, notation)
    what = f"a number as this column writes them, such as {notation.example}"
    refuse_first(column.name, cells, np.isfinite(numbers), what, where)
    return without_markers(numbers, column.markers)


def _dates(cells: pa.Array, column: Column, where) -> np.ndarray:
    if is_date_type(cells.type):
        values = parse_dates(cells)
    else:
        cells = _present(cells, column)
        form = column.form or next(iter(fitting_forms(cells.drop_null())), "ymd")
        if form not in DATE_PATTERNS:  # a stranger may have written the column
            raise UserError(f"column '{shortened(column.name)}': a date has no form '{shortened(form)}'")
        values = parse_dates(cells, form)
        kind = "a time" if form == TIME_ONLY else "a date"
        what = f"{kind} as this column writes them, such as {FORM_EXAMPLES[form]}"
        refuse_first(column.name, cells, np.isfinite(values["days"]), what, where)
    return np.stack([values[part] for part in column.parts], 1)


def _present(cells: pa.Array, column: Column) -> pa.Array:
    """The cells as text, null where a number or a date is missing."""
    return without_missing_numbers(as_text(cells, column.markers))


def _codes(cells: pa.Array, column: Column) -> np.ndarray:
    text, categories = as_text(cells, column.markers), pa.array(column.categories, pa.string())
    if column.type == "boolean":
        text, categories = pc.utf8_lower(text), pc.utf8_lower(categories)
    index = pc.fill_null(pc.index_in(text, categories), UNKNOWN_CODE - FIRST_CODE)
    codes = index.to_numpy(zero_copy_only=False).astype(np.float64) + FIRST_CODE
    return np.where(np.asarray(text.is_null()), MISSING_CODE, codes)


def _ngrams(cells: pa.Array, column: Column) -> np.ndarray:
    """(n, buckets) counts of words and pairs of words, hashed into buckets; each row has length 1 or 0."""
    from sklearn.feature_extraction.text import HashingVectorizer  # takes a second

    hashing = HashingVectorizer(n_features=column.buckets, ngram_range=(1, LONGEST_NGRAM))
    text = pc.fill_null(as_text(cells, column.markers), "")
    return hashing.transform(text.to_pylist()).toarray()
