"""Columns that say of each example its weight, group or time, or its part of a split."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nnlab.data.columns import Column
from nnlab.data.example_arrays import PARTS
from nnlab.errors import UserError, nearest, shortened
from nnlab.tables.cells import as_text
from nnlab.tables.dates import is_date_type, parse_dates, seconds_since_1970
from nnlab.tables.judgement import judge
from nnlab.tables.roles import reading_of
from nnlab.tables.said_types import column_as
from nnlab.tables.settings import Tabular
from nnlab.tables.source import Source

PART_WORDS = {
    "train": 0, "training": 0, "learn": 0, "tr": 0, "0": 0,
    "validation": 1, "valid": 1, "val": 1, "dev": 1, "1": 1,
    "test": 2, "testing": 2, "holdout": 2, "te": 2, "2": 2,
}  # fmt: skip


def weights_of(source: Source, name: str, settings: Tabular) -> np.ndarray:
    """(N,) numbers at least 0."""
    why = "which data.weight takes"
    judged = column_as(name, source.column(name), "number", reading_of(settings), source.place, why)
    weights = _numbers(source, name, judged.numbers, "data.weight")
    for row in np.flatnonzero(weights < 0)[:1]:
        raise _wrong(source, name, row, f"{weights[row]:g} is below 0, and data.weight takes weights from 0")
    return weights


def groups_of(source: Source, name: str, settings: Tabular) -> np.ndarray:
    """(N,) whole numbers, equal in each group. An example without a group is one of its own."""
    encoded = as_text(source.column(name), settings.missing).dictionary_encode()
    groups = pc.fill_null(encoded.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False).copy()
    alone = np.flatnonzero(groups < 0)
    groups[alone] = len(encoded.dictionary) + np.arange(len(alone))
    return groups


def times_of(source: Source, name: str, settings: Tabular) -> np.ndarray:
    """(N,) numbers, or seconds since 1970, in the order of time."""
    cells, reading = source.column(name), reading_of(settings)
    type_ = settings.types.get(name)
    judged = column_as(name, cells, type_, reading, source.place) if type_ else judge(name, cells, reading)
    if judged.numbers is not None:
        return _numbers(source, name, judged.numbers, "data.time")
    if judged.column.type != "date":
        raise UserError(
            f"data.time = '{shortened(name)}': {source.name} has {judged.column.reason} there, expected "
            f"numbers or dates"
        )
    values = parse_dates(cells if is_date_type(cells.type) else as_text(cells), judged.column.form)
    return _numbers(source, name, seconds_since_1970(values), "data.time")


def parts_of(source: Source, name: str) -> np.ndarray:
    """(N,) numbers of `PARTS`."""
    cells = pc.utf8_lower(as_text(source.column(name)))
    for row in np.flatnonzero(np.asarray(cells.is_null()))[:1]:
        raise _wrong(source, name, row, "the cell is empty, and data.part takes train, validation or test")
    words = pa.array(list(PART_WORDS))
    index = pc.fill_null(pc.index_in(cells, words), -1).to_numpy(zero_copy_only=False)
    for row in np.flatnonzero(index < 0)[:1]:
        word = source.column(name)[int(row)].as_py()
        raise _wrong(
            source, name, row, f"'{shortened(str(word))}' is not a part of a split{nearest(str(word), PARTS)}"
        )
    return np.array(list(PART_WORDS.values()))[index]


def keys_of(source: Source, columns: tuple[Column, ...]) -> dict[str, object]:
    """What identifies the rows: the (N,) texts of the first column that does, and its name; else nothing."""
    for column in columns:
        if column.type == "identifier":
            texts = pc.fill_null(as_text(source.column(column.name)), "")
            return {"keys": np.asarray(texts.to_pylist(), str), "key_name": column.name}
    return {}


def _numbers(source: Source, name: str, numbers: np.ndarray | None, key: str) -> np.ndarray:
    """The numbers of a column, all of which must be there."""
    present = np.zeros(len(source), bool) if numbers is None else np.isfinite(numbers)
    for row in np.flatnonzero(~present)[:1]:
        raise _wrong(source, name, row, f"the cell is empty, and {key} needs one in every row")
    return numbers


def _wrong(source: Source, name: str, row: int, fault: str) -> UserError:
    return UserError(f"{source.place(int(row))}, column '{shortened(name)}': {fault}")
