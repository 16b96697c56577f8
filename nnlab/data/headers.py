"""Whether the first line of a table has the names of the columns, which may be numbers too."""

from __future__ import annotations

import csv
import gzip
import os
import re
import stat

from nnlab.data.cells import is_number, kind

CELL_DELIMITERS = "\t;,"
LINES_COMPARED = 100  # below the first line, to see what each column holds
WHOLE_NUMBER = re.compile(r"\s*\d+\s*", re.ASCII)
BYTES_FOR_NAMES = 2**16  # read from a file for the names of its columns
# 0, 1 may be an example; 0, 1, 2 above numbers with a point is a line of pandas' default names.
FEWEST_COUNTED_COLUMNS = 3
# Above a column of numbers, text is a name. A date or a unit is one too if the line's numbers are different
# whole numbers, as years are; among other numbers, the line may be an example.
NAME_KINDS = {"text"}
NAME_KINDS_AMONG_DISTINCT_NUMBERS = {"text", "date", "unit", "missing"}


def columns(path: str) -> list[str]:
    """The names of a table's columns, by its first bytes alone; [] if it has none, or is not a table."""
    # This answers a TAB, so it must not wait for a pipe.
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return []
            is_gzip = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            with gzip.open(file) if is_gzip else file as content:
                text = content.read1(BYTES_FOR_NAMES).decode("utf-8-sig", errors="replace")
        lines = [line for line in text.splitlines()[: LINES_COMPARED + 1] if line.strip()]
        delimiter = max(CELL_DELIMITERS, key=lambda d: len(next(csv.reader(lines[:1], delimiter=d))))
        first, *below = (next(csv.reader([line], delimiter=delimiter)) for line in lines)
        below = [row for row in below if len(row) == len(first)]  # the last line may be cut off
    except (OSError, EOFError, ValueError, csv.Error, LookupError, StopIteration):
        return []
    if not is_header(first, below, None):
        return []
    return [name.strip() for name in first]


def names_target(first: list[str], target) -> bool:
    """Whether data.target is a cell of the first line, and not the number of a column."""
    in_range = isinstance(target, int) and -len(first) <= target < len(first)
    return target is not None and not in_range and [c.strip() for c in first].count(str(target)) == 1


def is_header(first: list[str], below: list[list[str]], target) -> bool:
    """Whether `first` is certainly a line of names; `below` are some of the next lines.

    It is if it has no number, or has the target's name, or has a word above a column of numbers, or counts
    the columns (0, 1, 2, ...) above numbers that do not.
    """
    numbers = [cell for cell in first if is_number(cell)]
    if not numbers or names_target(first, target) or counts(first) and not first[0].strip():
        return True
    kinds = NAME_KINDS
    if all(map(WHOLE_NUMBER.fullmatch, numbers)) and len(set(numbers)) == len(numbers):
        kinds = NAME_KINDS_AMONG_DISTINCT_NUMBERS
    for i, cell in enumerate(first):
        # In the target's column, a word above numbers may be a class.
        is_target = isinstance(target, int) and i == target % len(first)
        if not is_target and cell.strip() and kind(cell) in kinds and _are_numbers([row[i] for row in below]):
            return True
    if not FEWEST_COUNTED_COLUMNS <= len(numbers) == len(first) or not counts(first):
        return False
    return any(is_number(cell) and not WHOLE_NUMBER.fullmatch(cell) for row in below[:1] for cell in row)


def _are_numbers(column: list[str]) -> bool:
    """Whether the cells are numbers, apart from missing ones."""
    return {"number"} <= set(map(kind, column)) <= {"number", "missing"}


def may_be_header(first: list[str], target: int) -> bool:
    """Whether only the target's column can tell: `0, 1, 2, word` above lines of the same kind."""
    return [i for i, cell in enumerate(first) if not is_number(cell)] == [target]


def is_odd(first: list[str], target) -> bool:
    """Whether the user should hear that this line is taken for names: it has numbers, for no known reason."""
    numbers = [cell for cell in first if is_number(cell)]
    has_typed_name = names_target(first, target) and not (isinstance(target, str) and is_number(target))
    has_pandas_names = counts(first) and len(numbers) < len(first)
    return bool(numbers) and not has_typed_name and not has_pandas_names


def counts(first: list[str]) -> bool:
    """Whether the numbers of the line are 0, 1, 2, ...: pandas' default names of columns."""
    numbers = [cell.strip() for cell in first if is_number(cell)]
    return numbers == [str(i) for i in range(len(numbers))]
