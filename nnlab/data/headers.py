"""Detects whether the first line of a table is a header, even if its column names are numbers."""

from __future__ import annotations

import csv
import gzip
import os
import re
import stat
import zlib

from nnlab.data.cells import cell_kind, is_number

CELL_DELIMITERS = "\t;,"
LINES_COMPARED = 100  # read below the first line to see what each column holds
WHOLE_NUMBER = re.compile(r"\s*\d+\s*", re.ASCII)
BYTES_FOR_NAMES = 2**16  # read from a file to complete the names of its columns
# 0, 1 may be an example; 0, 1, 2 above numbers with a point is a line of pandas' default names.
FEWEST_COUNTED_COLUMNS = 3
# The kinds of cell that, above a column of numbers, make the line a header. A date or a unit does so only if
# the line's numbers are distinct whole numbers, as years are; otherwise the line may be an example.
NAME_KINDS = {"text"}
NAME_KINDS_AMONG_DISTINCT_NUMBERS = {"text", "date", "unit", "missing"}


def header_names(path: str) -> list[str]:
    """The column names of a table file, read from its first bytes; [] if it has none or is not a table."""
    # This answers a TAB, so it must not wait for a pipe.
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return []
            is_gzip = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            with gzip.open(file) if is_gzip else file as content:
                text = content.read1(BYTES_FOR_NAMES).decode("utf-8-sig", errors="replace")
        lines = [line for line in text.splitlines()[: LINES_COMPARED + 1] if line.strip()]
        delimiter = max(CELL_DELIMITERS, key=lambda d: len(next(csv.reader(lines[:1], delimiter=d))))
        first_row, *next_rows = (next(csv.reader([line], delimiter=delimiter)) for line in lines)
        next_rows = [row for row in next_rows if len(row) == len(first_row)]  # the last line may be cut off
    except (OSError, EOFError, zlib.error, ValueError, csv.Error, LookupError, StopIteration):
        return []
    if not is_header(first_row, next_rows, None):
        return []
    return [name.strip() for name in first_row]


def has_target_name(first_row: list[str], target) -> bool:
    """Whether data.target is a cell of the first row rather than a column index."""
    in_range = isinstance(target, int) and -len(first_row) <= target < len(first_row)
    return target is not None and not in_range and [c.strip() for c in first_row].count(str(target)) == 1


def is_header(first_row: list[str], next_rows: list[list[str]], target) -> bool:
    """Whether `first_row` is certainly a header, judging by some of the rows below it.

    It is if it has no number, or has the target's name, or has a word above a column of numbers, or is
    0, 1, 2, ... above numbers that are not whole.
    """
    numbers = [cell for cell in first_row if is_number(cell)]
    if (
        not numbers
        or has_target_name(first_row, target)
        or has_default_names(first_row)
        and not first_row[0].strip()
    ):
        return True
    kinds = NAME_KINDS
    if all(map(WHOLE_NUMBER.fullmatch, numbers)) and len(set(numbers)) == len(numbers):
        kinds = NAME_KINDS_AMONG_DISTINCT_NUMBERS
    for i, cell in enumerate(first_row):
        # In the target's column, a word above numbers may be a class.
        is_target = isinstance(target, int) and i == target % len(first_row)
        if (
            not is_target
            and cell.strip()
            and cell_kind(cell) in kinds
            and _are_numbers([row[i] for row in next_rows])
        ):
            return True
    if not FEWEST_COUNTED_COLUMNS <= len(numbers) == len(first_row) or not has_default_names(first_row):
        return False
    return any(is_number(cell) and not WHOLE_NUMBER.fullmatch(cell) for row in next_rows[:1] for cell in row)


def _are_numbers(column: list[str]) -> bool:
    """Whether the cells are numbers, apart from missing ones."""
    return {"number"} <= set(map(cell_kind, column)) <= {"number", "missing"}


def may_be_header(first_row: list[str], target: int) -> bool:
    """Whether the only non-number is in the target column: `0, 1, 2, word` is a header or an example."""
    return [i for i, cell in enumerate(first_row) if not is_number(cell)] == [target]


def is_doubtful_header(first_row: list[str], target) -> bool:
    """Whether to tell the user that the row is read as a header: it has unexplained numbers."""
    numbers = [cell for cell in first_row if is_number(cell)]
    has_typed_name = has_target_name(first_row, target) and not (
        isinstance(target, str) and is_number(target)
    )
    has_pandas_names = has_default_names(first_row) and len(numbers) < len(first_row)
    return bool(numbers) and not has_typed_name and not has_pandas_names


def has_default_names(first_row: list[str]) -> bool:
    """Whether the row's numbers are 0, 1, 2, ...: pandas' default column names."""
    numbers = [cell.strip() for cell in first_row if is_number(cell)]
    return numbers == [str(i) for i in range(len(numbers))]
