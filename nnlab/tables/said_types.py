"""Columns as the user says that they are, by `data.types.COLUMN=TYPE`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from nnlab.data.columns import SAID_BY_USER, Column
from nnlab.errors import UserError, shortened
from nnlab.tables.cells import as_text, can_be_numbers, numbers_of, refuse_first, without_missing_numbers
from nnlab.tables.dates import fitting_forms, is_date_type, likelier_order, parse_dates
from nnlab.tables.judged import (
    Judged,
    ReadingSettings,
    boolean_column,
    category_column,
    constant,
    date_column,
    number_column,
)
from nnlab.tables.judgement import boolean_words
from nnlab.tables.numerals import PLAIN_NOTATION, find_notation, parse_numbers
from nnlab.tables.user_types import DAY_MONTH_ORDERS

NGRAM_BUCKETS = 256


def column_as(
    name: str,
    cells: pa.Array,
    type_: str,
    settings: ReadingSettings,
    where: Callable[[int], str],
    why: str = "which data.types says",
) -> Judged:
    """The column as one of `USER_TYPES`.

    Raises `UserError` for a cell that cannot be that; `where(row)` says in which line it stands, and `why`
    who says that it is of this type.
    """
    if type_ == "identifier":
        return Judged(Column(name, "identifier", SAID_BY_USER))
    if type_ == "number":
        return _number(name, cells, settings, where, why)
    if type_ in ("date", *DAY_MONTH_ORDERS):
        return _date(name, cells, type_, settings, where, why)
    if pa.types.is_nested(cells.type):
        raise UserError(f"data.types.{shortened(name)} = '{type_}': the column has lists; leave it out")
    text = as_text(cells, settings.missing)
    if type_ == "category":
        return category_column(name, text, SAID_BY_USER, settings)
    if type_ == "boolean":
        return _boolean(name, text, settings)
    return Judged(Column(name, "text", SAID_BY_USER, buckets=NGRAM_BUCKETS, markers=settings.missing))


def _boolean(name: str, text: pa.Array, settings: ReadingSettings) -> Judged:
    words = sorted(text.drop_null().unique().to_pylist())
    judged = boolean_words(name, text, settings, SAID_BY_USER)
    if judged is None and len(words) != 2:
        raise UserError(
            f"data.types.{shortened(name)} = 'boolean': the column has {len(words):,} different values, "
            f"expected two"
        )
    return judged or boolean_column(name, text, tuple(words), SAID_BY_USER, settings)


def _number(name: str, cells: pa.Array, settings: ReadingSettings, where, why: str) -> Judged:
    if can_be_numbers(cells.type):
        return number_column(name, numbers_of(cells), SAID_BY_USER, settings)
    text = without_missing_numbers(as_text(cells, settings.missing))
    distinct = text.drop_null().unique()
    if not len(distinct):
        return constant(name, [])
    reading = find_notation(distinct, settings.decimal)
    notation = reading.notation if reading else PLAIN_NOTATION
    numbers = parse_numbers(text, notation)
    refuse_first(name, text, np.isfinite(numbers), f"a number, {why}", where)
    return number_column(name, numbers, SAID_BY_USER, settings, notation)


def _date(name: str, cells: pa.Array, type_: str, settings: ReadingSettings, where, why: str) -> Judged:
    if is_date_type(cells.type):
        return date_column(name, cells, "", SAID_BY_USER, settings)
    text = without_missing_numbers(as_text(cells, settings.missing))
    fitting = fitting_forms(text.drop_null().unique())
    form = type_ if type_ in DAY_MONTH_ORDERS else likelier_order(text, fitting or ["ymd"])
    what = f"a date with the {DAY_MONTH_ORDERS[type_]}" if type_ in DAY_MONTH_ORDERS else "a date"
    refuse_first(name, text, np.isfinite(parse_dates(text, form)["days"]), f"{what}, {why}", where)
    return date_column(name, text, form, SAID_BY_USER, settings)
