"""What `nnlab data` shows of a table: of each column its values, and what is to be predicted from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nnlab.data.columns import Column
from nnlab.tables.cells import as_text
from nnlab.tables.dates import is_date_type, parse_dates, seconds_since_1970
from nnlab.tables.examined import Examined, examine
from nnlab.tables.grave_doubts import is_part_column
from nnlab.tables.judgement import judge
from nnlab.tables.roles import reading_of
from nnlab.tables.settings import Tabular
from nnlab.tables.source import Source

TARGET_NAMES = ("target", "label", "class", "y", "outcome")
MOST_CLASSES_OF_GUESS = 20
VALUES_SHOWN = 3


@dataclass(frozen=True)
class ColumnFacts:
    """What the cells of a column are."""

    column: Column
    missing: float  # share of the examples
    numbers: np.ndarray | None = None  # (N,) of a number
    counts: tuple[tuple[str, int], ...] = ()  # of a category: the most frequent values first
    ends: tuple[str, str] | None = None  # of dates: the first and the last
    samples: tuple[str, ...] = ()  # of any other: some cells


@dataclass(frozen=True)
class Profile:
    """A table, its columns and its target."""

    table: Examined
    settings: Tabular  # with the target, if it was guessed
    is_guess: bool

    @cached_property
    def facts(self) -> tuple[ColumnFacts, ...]:
        """Of every column but the target, in the order of the table."""
        source = self.table.source
        return tuple(_facts(column, source, self.table.raw_of) for column in self.table.columns)

    @property
    def class_counts(self) -> list[int]:
        """The examples of each class; none in a regression."""
        y, classes, _ = self.table.targets
        return np.bincount(y, minlength=len(classes)).tolist() if classes else []


def profile(source: Source, settings: Tabular, tests: int = 0) -> Profile:
    """The profile of a table; where no target is said, one is guessed. Raises `UserError`."""
    is_guess = settings.target is None and source.table.num_columns > 1
    if is_guess:
        settings = replace(settings, target=guess_target(source, settings))
    return Profile(examine(source, settings, tests), settings, is_guess)


def guess_target(source: Source, settings: Tabular) -> str:
    """A column that is called like a target; else the last that may be one."""
    named = {str(value) for value in (*settings.drop, settings.group, settings.weight, settings.part)}
    names = [name for name in source.table.column_names if name not in named] or source.table.column_names
    by_lower = {name.lower(): name for name in names}
    for name in TARGET_NAMES:
        if name in by_lower:
            return by_lower[name]
    for name in reversed(names):
        column = judge(name, source.column(name), reading_of(settings)).column
        if is_part_column(column):
            continue
        if column.type in ("number", "boolean") or 2 <= len(column.categories) <= MOST_CLASSES_OF_GUESS:
            return name
    return names[-1]


def _facts(column: Column, source: Source, raw_of) -> ColumnFacts:
    cells = source.column(column.name)
    count = max(1, len(cells))
    if column.type == "number":
        numbers = raw_of(column)[:, 0]
        return ColumnFacts(column, np.isnan(numbers).sum() / count, numbers)
    if pa.types.is_nested(cells.type):
        return ColumnFacts(column, cells.null_count / count)
    text = as_text(cells, column.markers)
    missing = text.null_count / count
    if column.parts:
        return _date_facts(column, cells, text)
    if column.type in ("category", "boolean"):
        counts = pc.value_counts(text.drop_null()).to_pylist()
        frequent = sorted(((c["values"], c["counts"]) for c in counts), key=lambda c: (-c[1], c[0]))
        return ColumnFacts(column, missing, counts=tuple(frequent))
    samples = text.drop_null().unique().slice(0, VALUES_SHOWN).to_pylist()
    return ColumnFacts(column, missing, samples=tuple(samples))


def _date_facts(column: Column, cells: pa.Array, text: pa.Array) -> ColumnFacts:
    values = parse_dates(cells) if is_date_type(cells.type) else parse_dates(text, column.form)
    seconds = seconds_since_1970(values)
    ends = tuple(text[int(choose(seconds))].as_py() for choose in (np.nanargmin, np.nanargmax))
    return ColumnFacts(column, float(np.isnan(seconds).mean()), ends=ends)
