"""Doubts that make a result too good: columns that tell the target, and splits that the rows do not suit.

`nnlab data` shows them first, with its other doubts; `nnlab train` gives them as advice. Where a remedy is
sure, the words to train that `nnlab data` prints have it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from nnlab.data.columns import SAID_BY_USER, Column
from nnlab.data.identifiers import CAMEL_CASE_KEY, TIME_NAME, YEAR_NAME, ranks
from nnlab.data.leaks import FEWEST_EXAMPLES, find_leaks
from nnlab.errors import Advice, CheckedAdvice, UserError, shortened
from nnlab.tables.cells import as_text
from nnlab.tables.examined import Examined
from nnlab.tables.example_columns import PART_WORDS, times_of
from nnlab.tables.settings import Tabular

# Least share of the steps from row to row that go in one direction, if rows are in the order of time: those
# of one store may follow those of another, each in their order.
FORWARD_SHARE, FEWEST_STEPS = 0.95, 10
FEWEST_GROUPS = 10  # of which a test set can have some
PERSON_NAME = re.compile(
    r"(patient|subject|participant|person|client|customer|user|member|passenger|student|employee|player|pupil"
    r"|household|family|animal|speaker|author|kunde|kunden|proband|probanden|patienten|sujet|cliente|paciente"
    r"|usuario)s?([ _.-]?(id|idx|key|no|nr|num|number|nummer|code|uuid|name))?",
    re.IGNORECASE,
)
THING_NAME = re.compile(rf".+[ _.-](id|key|uuid|guid)|{CAMEL_CASE_KEY.pattern}")  # which store, which product
SPLIT_NAME = re.compile(
    r"(k[ _-]?)?folds?|(cv|data)?[ _-]?split|partition|subset|is[ _-]?(train|test|val|valid|validation)(ing)?"
    r"|(train|test)(ing)?[ _-](set|test|flag)",
    re.IGNORECASE,
)
# Of a correlation by chance: below so many a row number tells nothing.
UNRELATED_DEVIATIONS = 3


@dataclass(frozen=True)
class Doubt:
    """A sentence about a table, and settings of `data=table` that mend what it says; none unless that is
    sure."""

    sentence: str
    remedy: dict[str, str | list[str]] = field(default_factory=dict)
    kind: type[Advice] = Advice  # how it is said while a table is read


def grave_doubts(table: Examined, settings: Tabular) -> list[Doubt]:
    """Leaks, row numbers, and what a split should respect; of several splits the first has the remedy."""
    found = [*_leaks(table), *_row_numbers(table)]
    if settings.part is None and not table.tests:  # else the test set is as the user wants it
        found += _parts(table)
        if settings.time is None and settings.group is None:
            found += [*_times(table, settings), *_groups(table)]
    is_split, doubts = False, []
    for doubt in found:
        splits = {"part", "time", "group"} & {*doubt.remedy}
        doubts.append(replace(doubt, remedy={}) if splits and is_split else doubt)
        is_split |= bool(splits)
    return doubts


def _leaks(table: Examined) -> Iterator[Doubt]:
    y, classes, _ = table.targets
    leaks = find_leaks(table.columns, table.raw, y, bool(classes))
    if not leaks:
        return
    names = [leak.name for leak in leaks]
    copies = [leak.name for leak in leaks if leak.is_copy]
    what = f"'{shortened(table.roles.target, 30)}' almost exactly"
    if classes:
        what = f"the class of {100 * min(leak.share for leak in leaks):.4g}%"
    alone = "alone tells" if len(leaks) == 1 else "each alone tell"
    known = "it is" if len(leaks) == 1 else "they are"
    is_rest = len(copies) < sum(column.is_input for column in table.columns)
    yield Doubt(
        f"{' and '.join(map(quoted, names))} {alone} {what}: {_drop(names)}, unless {known} known before",
        {"drop": copies} if copies and is_rest else {},
        CheckedAdvice,
    )


def _row_numbers(table: Examined) -> Iterator[Doubt]:
    """Numbers that count the rows, whatever they are called."""
    y, classes, _ = table.targets
    n = len(table.source)
    if n < FEWEST_EXAMPLES or len(table.columns) < 2:
        return
    targets = [y == c for c in range(len(classes))] if classes else list(y.T)
    limit = UNRELATED_DEVIATIONS / np.sqrt(n)
    for column in table.columns:
        if column.type != "number" or column.missing or column.reason == SAID_BY_USER:
            continue
        values = table.raw_of(column)[:, 0]
        if values[0] not in (0, 1) or (np.diff(values) != 1).any():
            continue
        related = max((abs(_correlation(values, target)) for target in targets), default=0.0)
        name = quoted(column.name)
        yield Doubt(
            f"{name} counts the rows, {values[0]:g} to {values[-1]:g}: {_drop([column.name])}, or "
            f"data.time='{column.name}' if that is the order of time",
            {"drop": [column.name]} if related < limit else {},
        )


def _correlation(values: np.ndarray, target: np.ndarray) -> float:
    target = ranks(target)
    return float(np.corrcoef(values, target)[0, 1]) if np.ptp(target) else 0.0


def is_part_column(column: Column) -> bool:
    """Whether a column says of each row train or test, and perhaps validation."""
    parts = {PART_WORDS.get(word.lower(), -1) for word in column.categories if not word.isdigit()}
    return len(column.categories) > 1 and parts in ({0, 1}, {0, 2}, {0, 1, 2})


def _parts(table: Examined) -> Iterator[Doubt]:
    for column in table.columns:
        name = column.name
        if is_part_column(column) and not column.missing:
            words = ", ".join(map(quoted, column.categories))
            yield Doubt(
                f"{quoted(name)} says {words}: data.part={name} makes the split of it", {"part": name}
            )
        elif column.type in ("number", "boolean") and SPLIT_NAME.fullmatch(name):
            yield Doubt(
                f"{quoted(name)} divides the rows, by its name: {_drop([name])}, or data.part={name} if 0 "
                f"is train, 1 validation and 2 test"
            )


def _times(table: Examined, settings: Tabular) -> Iterator[Doubt]:
    """Columns of dates or times in whose order the rows are."""
    if len(table.source) < FEWEST_EXAMPLES:
        return
    for column in table.columns:
        times, is_sure = _times_in(column, table, settings)
        if times is None or not _is_in_order(times):
            continue
        name = column.name
        sentence = f"the rows are in the order of {quoted(name)}: data.time={name} tests on the latest"
        yield Doubt(sentence, {"time": name} if is_sure else {})
        return


def _times_in(column: Column, table: Examined, settings: Tabular) -> tuple[np.ndarray | None, bool]:
    """(N,) the times that a column has, and whether they are times for sure; (None, False) if it has none."""
    name = column.name
    if "days" in column.parts:
        return table.raw_of(column)[:, -1], True
    if column.type == "number" and (TIME_NAME.fullmatch(name) or YEAR_NAME.fullmatch(name)):
        return table.raw_of(column)[:, 0], False
    if column.type == "identifier" and TIME_NAME.fullmatch(name):
        try:
            return times_of(table.source, name, settings), True
        except UserError:
            pass
    return None, False


def _is_in_order(times: np.ndarray) -> bool:
    steps = np.diff(times[np.isfinite(times)])
    steps = steps[steps != 0]
    if len(steps) < FEWEST_STEPS:
        return False
    forward = (steps > 0).mean()
    return bool(max(forward, 1 - forward) >= FORWARD_SHARE)  # the newest may come first


def _groups(table: Examined) -> Iterator[Doubt]:
    """Keys that several rows have in common, as those of one patient do."""
    for column in table.columns:
        if is_group_key(column, table):
            name, count = column.name, _distinct_count(column, table)
            yield Doubt(
                f"{quoted(name)} has {count:,} values in {len(table.source):,} rows: data.group={name} keeps "
                f"the rows of each together, either in training or in test",
                {"group": name} if PERSON_NAME.fullmatch(name) else {},
            )


def is_group_key(column: Column, table: Examined) -> bool:
    """Whether a column seems to say to whom, or to what, each row belongs."""
    is_key = PERSON_NAME.fullmatch(column.name) or THING_NAME.fullmatch(column.name)
    if column.type not in ("number", "category", "identifier") or not is_key or column.reason == SAID_BY_USER:
        return False
    n = len(table.source)
    return n >= FEWEST_EXAMPLES and FEWEST_GROUPS <= _distinct_count(column, table) < n


def _distinct_count(column: Column, table: Examined) -> int:
    if column.type == "identifier":
        return len(as_text(table.source.column(column.name)).drop_null().unique())
    return len(np.unique(table.raw_of(column)[:, 0]))


def quoted(name: str) -> str:
    """As sentences have a name from a table."""
    return f"'{shortened(name, 30)}'"


def _drop(names: list[str]) -> str:
    listed = ",".join(f"'{name}'" for name in names)
    return f"data.drop=[{listed}]"
