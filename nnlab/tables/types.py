"""Which type each column of a table has: number, category, boolean, date, text, identifier or constant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from nnlab.data.columns import Column
from nnlab.data.identifiers import find_identifiers
from nnlab.tables.cells import as_array
from nnlab.tables.judged import Judged, ReadingSettings
from nnlab.tables.judgement import judge
from nnlab.tables.numerals import Notation, parse_numbers
from nnlab.tables.said_types import column_as

# Parts of a date that the future has not in common with the past.
PARTS_BEYOND_TRAINING = ("year", "days")


@dataclass(frozen=True)
class TypeSettings:
    """What a user says of the columns of a table.

    types    name -> one of `USER_TYPES`
    drop     columns that are left out
    roles    name -> the key that takes the column, which is then not an input: data.target, data.group, ...
    time     the column of data.time
    reading  how cells are read
    """

    types: Mapping[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)
    time: str | None = None
    reading: ReadingSettings = ReadingSettings()


def infer_columns(table: pa.Table, settings: TypeSettings, y=None) -> tuple[Column, ...]:
    """The type of each column of the table, and why; see `judge_columns`."""
    return tuple(judged.column for judged in judge_columns(table, settings, y))


def judge_columns(
    table: pa.Table,
    settings: TypeSettings,
    y: np.ndarray | None = None,
    where: Callable[[int], str] = lambda row: f"row {row + 1}",
) -> tuple[Judged, ...]:
    """Judge all columns of a table; `y` are its targets, by which sorted row numbers show.

    Raises `UserError` for cells that are not of the type that the user says; `where(row)` names the line.
    """
    judged = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name in settings.drop:
            judged.append(Judged(Column(name, "dropped", "data.drop")))
        elif name in settings.roles:
            judged.append(Judged(Column(name, "dropped", settings.roles[name])))
        elif name in settings.types:
            type_ = settings.types[name]
            judged.append(column_as(name, as_array(column), type_, settings.reading, where))
        else:
            judged.append(judge(name, as_array(column), settings.reading))
    judged = _by_decimal_of_table(table, judged, settings)
    judged = _without_identifiers(judged, settings, y)
    return tuple(_of_time(one, settings) for one in judged)


def _by_decimal_of_table(table, judged: list[Judged], settings: TypeSettings) -> list[Judged]:
    """Columns whose marks have two meanings, read as the other columns of the table are."""
    sure = {j.column.decimal for j in judged if j.column.type == "number" and _has_sure_decimal(j)}
    if settings.reading.decimal != "auto" or len(sure) != 1:
        return judged
    decimal = sure.pop()
    reading = replace(settings.reading, decimal=decimal)
    return [
        judge(j.column.name, as_array(table[j.column.name]), reading)
        if _may_have_other_decimal(j, table, decimal)
        else j
        for j in judged
    ]


def _has_sure_decimal(judged: Judged) -> bool:
    """Whether a column can be read in one way only: it has a decimal comma, or thousands with a comma."""
    column = judged.column
    return not judged.doubt and (column.decimal == "," or column.thousands == ",")


def _may_have_other_decimal(judged: Judged, table: pa.Table, decimal: str) -> bool:
    column = judged.column
    if column.type != "number" or judged.numbers is None or column.decimal == decimal:
        return False
    if judged.doubt:
        return True
    cells = as_array(table[column.name])
    if decimal != "," or column.thousands or not pa.types.is_string(cells.type):
        return False
    # Plain numbers, all of which might have thousands in them: 1.234, 12.500
    has_point = judged.numbers != np.floor(judged.numbers)
    grouped = parse_numbers(cells, Notation(",", ".", column.form))
    present = np.isfinite(judged.numbers)
    return bool(has_point[present].any() and np.isfinite(grouped[present]).all())


def _without_identifiers(judged: list[Judged], settings: TypeSettings, y) -> list[Judged]:
    """Numbers that only number the rows are identifiers."""
    candidates = [
        i for i, j in enumerate(judged)
        if j.column.type == "number" and not j.column.missing and j.column.name not in settings.types
    ]  # fmt: skip
    if not candidates or len(judged) - len(settings.roles) < 2:  # nothing else that the target can depend on
        return judged
    # A column beside them, since of a single one the judgement is that it must be the input.
    x = np.stack([judged[i].numbers for i in candidates] + [np.zeros(len(judged[candidates[0]].numbers))], 1)
    names = tuple(judged[i].column.name for i in candidates)
    for k, description in find_identifiers(x, (*names, "other"), y).items():
        i = candidates[k]
        judged[i] = Judged(Column(names[k], "identifier", description))
    return judged


def _of_time(judged: Judged, settings: TypeSettings) -> Judged:
    """The column of data.time, without what no training example has: later years and days."""
    column = judged.column
    if column.name != settings.time or column.name in settings.types or not column.is_input:
        return judged
    parts = tuple(part for part in column.parts if part not in PARTS_BEYOND_TRAINING)
    if parts:
        return replace(judged, column=replace(column, parts=parts, reason="data.time, without year and days"))
    return replace(judged, column=Column(column.name, "dropped", "data.time"))
