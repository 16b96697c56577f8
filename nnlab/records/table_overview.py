"""The screen of `nnlab data`, 80 columns wide: a table's columns, target and doubts; how to train on it."""

from __future__ import annotations

import re
import textwrap
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from nnlab.errors import visible
from nnlab.records.text_columns import COLUMN_GAP, LABEL_WIDTH, LINE_WIDTH, command_lines, labelled_lines

if TYPE_CHECKING:  # it imports pyarrow
    from nnlab.tables.profile import ColumnFacts, Profile

# A screen has some 24 lines. Of more columns, those of which there is nothing to say are listed by type.
MOST_COLUMNS_LISTED = 16
SCREEN_LINES, LEAST_DOUBT_LINES = 23, 5  # of a terminal, without its prompt; of doubts in any case
MISSING_COLUMN = 2  # the third column
VALUES_WIDTH, LEAST_REASON_WIDTH, LEAST_NAME_WIDTH = 28, 15, 12
MOST_CLASSES_SHOWN = 6
LEAST_OF_TWO_DIGITS = 0.095  # a share that rounds to 10%
LARGEST_WHOLE = 1e7  # beyond it numbers have an exponent
ZERO_FRACTION = re.compile(r"(?<=:\d\d)\.0+(?!\d)")  # of a second
MIDNIGHT_TIME = re.compile(r"[T ]00:00(:00)?(Z| ?[+-]00:?00)?$")
ORDINARY_TYPES = ("number", "category", "boolean", "date")


def overview_lines(profile: Profile, doubts: list[str], train: str) -> list[str]:
    """All lines; `train` is the shell line that trains on the table."""
    table = profile.table
    count = len(table.source) + len(table.left_out)
    title = f"{table.source.name}: {count:,} rows, {len(profile.facts) + 1:,} columns"
    above = [visible(title), "", *_column_lines(profile.facts), "", *_target_lines(profile)]
    below = ["", *command_lines("to train", train)]
    room = SCREEN_LINES - len(above) - len(below)
    return [*above, *_doubt_lines(doubts, max(room, LEAST_DOUBT_LINES)), *below]


def _column_lines(facts: tuple[ColumnFacts, ...]) -> list[str]:
    listed, summarised = list(facts), []
    if len(facts) > MOST_COLUMNS_LISTED:
        listed = [one for one in facts if _is_remarkable(one)][:MOST_COLUMNS_LISTED]
        summarised = [one for one in facts if one not in listed]
    rows = [["column", "type", "missing", "values", "because"]]
    rows += [[f.column.name, f.column.type, _percent(f.missing), _values(f), f.column.reason] for f in listed]
    return [*_lay_out(rows), *_summary_lines(summarised)]


def _is_remarkable(facts: ColumnFacts) -> bool:
    return facts.column.type not in ORDINARY_TYPES or facts.missing > 0 or facts.column.embedded


def _lay_out(rows: list[list[str]]) -> list[str]:
    """The rows in columns, what is too long cut at its end; the reason takes what is left of its lines."""
    if len(rows) == 1:
        return []
    rows = [[visible(cell) for cell in row] for row in rows]
    if not any(row[MISSING_COLUMN] for row in rows[1:]):
        rows = [[cell for i, cell in enumerate(row) if i != MISSING_COLUMN] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[-2] = min(widths[-2], VALUES_WIDTH)
    # What is too wide becomes narrower: the reason first, down to its least width, then the name.
    for i, least in ((-1, LEAST_REASON_WIDTH), (0, LEAST_NAME_WIDTH), (-1, 1)):
        excess = sum(widths) + len(COLUMN_GAP) * len(widths) - LINE_WIDTH
        widths[i] = max(min(widths[i], least), widths[i] - max(0, excess))
    return [line for row in rows for line in _row_lines(row, widths)]


def _row_lines(row: list[str], widths: list[int]) -> list[str]:
    """A row, in several lines if its reason needs them."""
    reason = textwrap.wrap(row[-1], widths[-1], break_on_hyphens=False) or [""]
    begin = "".join(f"{COLUMN_GAP}{_cut(cell, w):<{w}}" for cell, w in zip(row[:-1], widths, strict=False))
    begins = [begin, *[" " * len(begin)] * (len(reason) - 1)]
    return [f"{begin}{COLUMN_GAP}{part}".rstrip() for begin, part in zip(begins, reason, strict=True)]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 2]}.."


def _percent(share: float) -> str:
    if not share:
        return ""
    return f"{100 * share:.0f}%" if share >= LEAST_OF_TWO_DIGITS else f"{100 * share:.1g}%"


def _values(facts: ColumnFacts) -> str:
    if facts.numbers is not None:
        present = facts.numbers[np.isfinite(facts.numbers)]
        return _range(present.min(), present.max(), np.median(present))
    if facts.ends is not None:
        return " to ".join(_without_midnight(facts.ends))
    if facts.counts:
        return _frequent(facts)
    return ", ".join(facts.samples) + ", ..." * (len(facts.samples) > 1)


def _range(low: float, high: float, middle: float) -> str:
    """Both ends, and the median in as many digits as have room."""
    ends = f"{_number(low)} to {_number(high)}"
    medians = (f"{ends}, median {_number(middle, digits)}" for digits in (3, 2, 1))
    return next((text for text in medians if len(text) <= VALUES_WIDTH), ends)


def _number(value: float, digits: int = 3) -> str:
    if abs(value) < LARGEST_WHOLE and (value == round(value) or abs(value) >= 1000):
        return f"{value:.0f}"
    return f"{value:.{digits}g}"


def _without_midnight(times: tuple[str, ...]) -> list[str]:
    """The times as they are written, without 00:00:00 if all have it, and without a fraction of zero."""
    shown = [ZERO_FRACTION.sub("", time) for time in times]
    if all(MIDNIGHT_TIME.search(time) for time in shown):
        return [MIDNIGHT_TIME.sub("", time) for time in shown]
    return shown


def _frequent(facts: ColumnFacts) -> str:
    """The most frequent values with their shares, as many as have room, and how many more there are."""
    total = sum(count for _, count in facts.counts)
    text = ""
    for i, (value, count) in enumerate(facts.counts):
        more = len(facts.counts) - i - 1
        one = f"{', ' * (i > 0)}{value} {_percent(count / total)}"
        rest = f" +{more}" if more else ""
        if len(text + one + rest) > VALUES_WIDTH and i:
            return f"{text} +{more + 1}"
        text += one
    return text


def _summary_lines(facts: list[ColumnFacts]) -> list[str]:
    names = defaultdict(list)
    for one in facts:
        names[one.column.type].append(visible(one.column.name))
    lines = []
    for type_, of_type in names.items():
        label = f"{len(of_type):,} more {type_}"
        lines += labelled_lines(label, textwrap.shorten(", ".join(of_type), 3 * 50, placeholder=" ..."))
    return ["", *lines] if lines else []


def _target_lines(profile: Profile) -> list[str]:
    table = profile.table
    y, classes, _ = table.targets
    name = table.roles.target
    if classes:
        counts = np.bincount(y, minlength=len(classes))
        order = np.argsort(-counts, kind="stable")
        shown = [f"{classes[i]} {100 * counts[i] / len(y):.3g}%" for i in order[:MOST_CLASSES_SHOWN]]
        more = f", {len(classes) - len(shown)} more" * (len(classes) > len(shown))
        what = f"{len(classes)} classes: {', '.join(shown)}{more}"
    else:
        ends = [_number(v) for v in (y.min(), y.max(), np.median(y))]
        what = f"numbers from {ends[0]} to {ends[1]}, median {ends[2]}"
    guess = "; a guess, target=COLUMN says which" if profile.is_guess else ""
    left_out = len(table.left_out)
    without = f"; {left_out:,} rows have none and are left out" if left_out else ""
    return labelled_lines("target", visible(f"{name}, {what}{without}{guess}"))


def _doubt_lines(doubts: list[str], room: int) -> list[str]:
    """The doubts, as many as have room in so many lines; and how many there are beyond these."""
    margin, lines = " " * (LABEL_WIDTH + 2), []
    for i, doubt in enumerate(doubts):
        more = len(doubts) - i
        if lines and more > 1 and len(lines) > room - 3:
            lines.append(f"{margin}and {more:,} more")
            break
        lines += textwrap.wrap(
            visible(doubt),
            LINE_WIDTH,
            initial_indent=margin,
            subsequent_indent=margin,
            break_on_hyphens=False,
        )
    return [f"  {'doubts':{LABEL_WIDTH}}{lines[0].lstrip()}", *lines[1:]] if lines else []
