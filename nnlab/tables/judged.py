"""Columns of each type, made of their cells: numbers, categories, truth values, dates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nnlab.data.columns import DATE_PARTS, Column
from nnlab.errors import shortened
from nnlab.tables.cells import without_markers
from nnlab.tables.dates import TIME_ONLY, parse_dates
from nnlab.tables.numerals import PLAIN_NOTATION, Notation
from nnlab.tables.user_types import DAY_MONTH_ORDERS


@dataclass(frozen=True)
class Judged:
    """A column, and what goes with it only while its table is read.

    numbers    (n,) its cells, if it has numbers
    doubt      a sentence: what else its cells may mean, and how to say so
    odd        a cell that does not fit the others, so that the column is text: its row, and itself
    odd_words  all such cells, if they are few
    """

    column: Column
    numbers: np.ndarray | None = None
    doubt: str = ""
    odd: tuple[int, str] | None = None
    odd_words: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReadingSettings:
    """How cells are read: `decimal_mark`, `one_hot` and `missing` of `data=table`."""

    decimal: str = "auto"
    one_hot: int | None = 9
    missing: tuple[str, ...] = ()


def constant(name: str, values: list[str], numbers: np.ndarray | None = None) -> Judged:
    """A column of one value, or of none."""
    reason = f"always '{shortened(values[0], 20)}'" if values else "empty"
    return Judged(Column(name, "constant", reason), numbers)


def number_column(
    name: str,
    numbers: np.ndarray,
    reason: str,
    settings: ReadingSettings,
    notation: Notation = PLAIN_NOTATION,
) -> Judged:
    """A column of numbers, NaN where they are missing."""
    numbers = without_markers(numbers, settings.missing)
    is_missing = np.isnan(numbers)
    present = numbers[~is_missing]
    if not len(present) or present.min() == present.max() and not is_missing.any():
        return constant(name, [f"{value:g}" for value in present[:1]], numbers)
    if reason == "numbers" and (present == np.floor(present)).all():
        reason = "whole numbers"
    column = Column(
        name, "number", reason, missing=bool(is_missing.any()), decimal=notation.decimal,
        thousands=notation.thousands, form=notation.sign, markers=settings.missing,
    )  # fmt: skip
    return Judged(column, numbers)


def boolean_column(
    name: str, cells: pa.Array, words: tuple[str, str], reason: str, settings: ReadingSettings
) -> Judged:
    """A column of two words, false and true, in capital or small letters."""
    present = pc.utf8_lower(cells.drop_null()).unique().to_pylist()
    if len(present) < 2 and not cells.null_count or not present:
        return constant(name, present)
    return Judged(Column(name, "boolean", reason, words, bool(cells.null_count), markers=settings.missing))


def category_column(name: str, cells: pa.Array, reason: str, settings: ReadingSettings) -> Judged:
    """A column of words, each of which is a category."""
    names = sorted(cells.drop_null().unique().to_pylist())
    if len(names) < 2 and not cells.null_count or not names:
        return constant(name, names)
    embedded = settings.one_hot is not None and len(names) > settings.one_hot
    reason = reason or ("one word" if len(names) == 1 else f"{len(names):,} words")
    column = Column(
        name, "category", reason, tuple(names), bool(cells.null_count), embedded, markers=settings.missing
    )
    return Judged(column)


def date_column(name: str, cells: pa.Array, form: str, reason: str, settings: ReadingSettings) -> Judged:
    """A column of dates or times in this form, or of a type of dates."""
    values = parse_dates(cells, form)
    is_missing = ~np.isfinite(values["days"])
    is_time = form == TIME_ONLY or pa.types.is_time(cells.type)
    possible = ("hour", "minute") if is_time else DATE_PARTS
    parts = [part for part in possible if len(np.unique(values[part][~is_missing])) > 1]
    if "day" not in parts and "weekday" in parts:  # of months or years: that of their first day means nothing
        parts.remove("weekday")
    if not parts:
        return constant(name, cells.drop_null().slice(0, 1).cast(pa.string()).to_pylist())
    kind, order = "times" if is_time else "dates", DAY_MONTH_ORDERS.get(form)
    reason = reason or (f"{kind}, {order}" if order else kind)
    column = Column(
        name, "date", reason, missing=bool(is_missing.any()), parts=tuple(parts), form=form,
        markers=settings.missing,
    )  # fmt: skip
    return Judged(column)
