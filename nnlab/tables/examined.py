"""A table whose columns have been judged: what `nnlab data` shows, and what data sets are made of."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nnlab.data.columns import Column
from nnlab.data.labels import Targets
from nnlab.tables.judged import Judged
from nnlab.tables.raw import to_raw
from nnlab.tables.roles import Roles, reading_of
from nnlab.tables.settings import Tabular
from nnlab.tables.source import Source
from nnlab.tables.targets import encode, read_target
from nnlab.tables.types import judge_columns


@dataclass(frozen=True)
class Examined:
    """The rows of a table that have a target, and what its columns were judged to be."""

    source: Source
    roles: Roles
    targets: Targets
    target_doubt: str  # what else the targets may be
    judged: tuple[Judged, ...]
    left_out: np.ndarray  # numbers of the rows without a target, in the table as it was
    tests: int  # rows at the end that are a test set of their own

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Those beside the target."""
        return tuple(j.column for j in self.judged if j.column.name != self.roles.target)

    @property
    def texts(self) -> tuple[Judged, ...]:
        """The columns of which nothing can be learnt as they are."""
        return tuple(j for j in self.judged if j.column.type == "text" and not j.column.buckets)

    @cached_property
    def raw(self) -> np.ndarray:
        """(N, d_raw) of the inputs."""
        return to_raw(self.source.table, self.columns, self.source.place)

    def raw_of(self, column: Column) -> np.ndarray:
        """(N, n) of one input."""
        start = self._starts[column.name]
        return self.raw[:, start : start + len(column.raw)]

    @cached_property
    def _starts(self) -> dict[str, int]:
        """Where the raw inputs of each column begin."""
        ends = itertools.accumulate(len(column.raw) for column in self.columns)
        return dict(zip((column.name for column in self.columns), [0, *ends], strict=False))


def examine(source: Source, settings: Tabular, tests: int = 0) -> Examined:
    """Judge a table, of which the last `tests` rows are a test set of their own. Raises `UserError`."""
    roles = Roles.of(settings, source)
    cells, reading = source.column(roles.target), reading_of(settings)
    target = read_target(roles.target, cells, reading, settings.task, source.name, source.place)
    rows, left_out = np.flatnonzero(target.present), np.flatnonzero(~target.present)
    kept = source if len(rows) == len(source) else source.select(rows)
    targets, doubt = encode(target, settings.task)
    judged = judge_columns(kept.table, roles.type_settings(settings), targets.y, kept.place)
    kept_tests = int((rows >= len(source) - tests).sum())
    return Examined(kept, roles, targets, doubt, judged, left_out, kept_tests)
