"""The cells of a column as text without spaces around, null where they are missing, and as numbers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nnlab.errors import UserError, shortened

# What stands for a missing cell. `Na` is sodium and a name, so among words the spelling counts.
MISSING_WORDS = (
    "", "NA", "na", "N/A", "n/a", "NaN", "nan", "-nan", "NULL", "null", "?", "<NA>", "NaT", "#N/A", "#NA",
    "-", "--", "n.a.", "N.A.", "n/a.", "\\N",
)  # fmt: skip
# Further ones in a column of numbers or dates, in lower case: elsewhere `none` is a category.
MISSING_NUMBERS = (
    "none", "nil", "missing", ".", "..", "...", "---", "n/d", "nd", "unknown", "not available", "undefined",
    "inf", "+inf", "-inf", "infinity", "-infinity", "+infinity", "∞", "#div/0!", "#value!", "#ref!", "#num!",
    "#name?", "#null!", "0000-00-00", "0000-00-00 00:00:00", "no data", "tba", "tbd",
    *(word.lower() for word in MISSING_WORDS),
)  # fmt: skip
NUMBER_TYPES = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_duration)
CELLS_SAMPLED, MOST_DIFFERENT = 2000, 0.25  # cells that show how many are different, and which share is few


def as_array(column) -> pa.Array:
    """A column of a table or of a batch as one array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def trimmed(column: pa.Array, markers: tuple[str, ...] = ()) -> pa.Array:
    """Cells of text without spaces around; null where they say that something is missing.

    `markers` are further texts that say so.
    """
    if (encoded := encoded_if_few(column)) is not None:
        return trimmed(encoded.dictionary, markers).take(encoded.indices)
    cells = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return _null_where(cells, cells, (*MISSING_WORDS, *markers) if "+" not in _signs(cells) else markers)


def encoded_if_few(cells: pa.Array) -> pa.DictionaryArray | None:
    """The different cells, and where each is, if these are few: what depends on a cell is then quicker."""
    if (
        len(cells) < CELLS_SAMPLED
        or len(cells.slice(0, CELLS_SAMPLED).unique()) > MOST_DIFFERENT * CELLS_SAMPLED
    ):
        return None
    encoded = cells.dictionary_encode()
    return encoded if len(encoded.dictionary) <= MOST_DIFFERENT * len(cells) else None


def _signs(cells: pa.Array) -> set[str]:
    """Which of + and - are cells: beside a `+`, a `-` is not missing."""
    return {sign for sign in "+-" if pc.index(cells, sign).as_py() >= 0}


def without_missing_numbers(cells: pa.Array) -> pa.Array:
    """The same, null also where they are missing only among numbers and dates."""
    if (encoded := encoded_if_few(cells)) is not None:
        return without_missing_numbers(encoded.dictionary).take(encoded.indices)
    return _null_where(cells, pc.utf8_lower(cells), MISSING_NUMBERS)


def refuse_first(
    name: str, cells: pa.Array, fits: np.ndarray, what: str, where: Callable[[int], str]
) -> None:
    """Raise `UserError` for the first cell that is there and does not fit; `what` it is not."""
    for row in np.flatnonzero(~fits & np.asarray(cells.is_valid()))[:1].tolist():
        cell = shortened(cells[row].as_py())
        raise UserError(f"{where(row)}, column '{shortened(name)}': '{cell}' is not {what}")


def without_empty_rows(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with some cell in them: spreadsheets end in rows of separators alone."""
    empty = pa.scalar(True)
    for column in batch.columns:
        empty = pc.and_(empty, pc.equal(pc.fill_null(column.cast(pa.string()), ""), ""))
        if not pc.any(empty).as_py():
            return batch
    return batch.filter(pc.invert(empty))


def is_number_type(type_: pa.DataType) -> bool:
    """Whether a typed format says that a column has numbers."""
    return any(is_type(type_) for is_type in NUMBER_TYPES)


def can_be_numbers(type_: pa.DataType) -> bool:
    """Whether cells of the type are numbers as they are, which those of text must be read as."""
    return is_number_type(type_) or pa.types.is_boolean(type_)


def numbers_of(cells: pa.Array, markers: tuple[str, ...] = ()) -> np.ndarray:
    """(n,) float64 of a typed column of numbers, truth values, or durations in seconds; NaN where missing."""
    if pa.types.is_duration(cells.type):
        per_second = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[cells.type.unit]
        return numbers_of(cells.cast(pa.int64())) / per_second
    if pa.types.is_boolean(cells.type):
        cells = cells.cast(pa.int8())
    return without_markers(cells.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), markers)


def without_markers(numbers: np.ndarray, markers: tuple[str, ...]) -> np.ndarray:
    """NaN also where a number is infinite, or one that stands for a missing cell: -999 is -999.0."""
    marked = []
    for marker in markers:
        with suppress(ValueError):
            marked.append(float(marker))
    return np.where(np.isfinite(numbers) & ~np.isin(numbers, marked), numbers, np.nan)


def _null_where(cells: pa.Array, compared: pa.Array, markers: tuple[str, ...]) -> pa.Array:
    is_missing = pc.is_in(compared, pa.array(markers, pa.string()))
    return pc.if_else(is_missing, pa.scalar(None, pa.string()), cells)


def as_text(column: pa.Array, markers: tuple[str, ...] = ()) -> pa.Array:
    """Cells of any type as text: whole numbers without a point, so 7 and 7.0 are one category.

    Raises `pyarrow.ArrowInvalid` or `ArrowNotImplementedError` for lists and other nested values.
    """
    type_ = column.type
    if pa.types.is_dictionary(type_):
        return as_text(column.dictionary_decode(), markers)
    if pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        numbers = column.cast(pa.float64())
        is_whole = pc.and_(pc.equal(numbers, pc.floor(numbers)), pc.less(pc.abs(numbers), 2.0**53))
        whole = pc.if_else(is_whole, numbers, None).cast(pa.int64()).cast(pa.string())
        text = pc.coalesce(whole, numbers.cast(pa.string()))
        return trimmed(text, markers)
    return trimmed(column.cast(pa.string()), markers)
