"""Whether the first line of a table has the columns' names, also where these are numbers."""

from __future__ import annotations

import csv
import gzip
import os
import re
import stat

from nnlab.data.cells import is_number, kind

DELIMITERS = "\t;,"
LOOK = 100  # lines below the first one that tell what a column holds
WHOLE = re.compile(r"\s*\d+\s*", re.ASCII)
LOOKED_AT = 2**16  # bytes of a file, for its columns' names
SURE = 3  # columns: 0, 1 may be an example, 0, 1, 2 above numbers with a point hardly


def columns(path: str) -> list[str]:
    """The names of a table's columns as far as its first bytes tell: nothing else is read, and a pipe is not
    waited for. None of a file that is no table."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return []
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            with gzip.open(file) if packed else file as content:
                text = content.read1(LOOKED_AT).decode("utf-8-sig", errors="replace")
        lines = [line for line in text.splitlines()[: LOOK + 1] if line.strip()]
        delimiter = max(DELIMITERS, key=lambda d: len(next(csv.reader(lines[:1], delimiter=d))))
        first, *below = (next(csv.reader([line], delimiter=delimiter)) for line in lines)
        below = [row for row in below if len(row) == len(first)]  # the last line may be cut
    except (OSError, EOFError, ValueError, csv.Error, LookupError, StopIteration):
        return []
    return [name.strip() for name in first] if is_header(first, below, None) else []


def names_target(first: list[str], target) -> bool:
    """Whether data.target is a cell of the first line, and cannot be a column's number."""
    in_range = isinstance(target, int) and -len(first) <= target < len(first)
    return target is not None and not in_range and [c.strip() for c in first].count(str(target)) == 1


def is_header(first: list[str], below: list[list[str]], target) -> bool:
    """Whether `first` is surely a line of names: it has no number, or the target's name, or a word above a
    column of numbers, or counts the columns above numbers that do not. `below` are some of the next lines.
    A word above the target's numbers may be a class."""
    numbers = [cell for cell in first if is_number(cell)]
    if not numbers or names_target(first, target) or counts(first) and not first[0].strip():
        return True
    different = all(map(WHOLE.fullmatch, numbers)) and len(set(numbers)) == len(numbers)
    own = target % len(first) if isinstance(target, int) else None
    kinds = {"text", "date", "unit", "missing"} if different else {"text"}
    for i, cell in enumerate(first):
        if i != own and cell.strip() and kind(cell) in kinds and _of_numbers([line[i] for line in below]):
            return True
    with_point = any(is_number(cell) and not WHOLE.fullmatch(cell) for line in below[:1] for cell in line)
    return SURE <= len(numbers) == len(first) and counts(first) and with_point


def _of_numbers(column: list[str]) -> bool:
    """Whether the column has numbers, and nothing else but gaps."""
    return {"number"} <= set(map(kind, column)) <= {"number", "missing"}


def may_be_header(first: list[str], target: int) -> bool:
    """Whether only the target can tell: 0, 1, 2, word above lines of the same kind."""
    return [i for i, cell in enumerate(first) if not is_number(cell)] == [target]


def is_odd(first: list[str], target) -> bool:
    """Whether it deserves a word that this line is taken for names."""
    numbers = [cell for cell in first if is_number(cell)]
    typed = names_target(first, target) and not (isinstance(target, str) and is_number(target))
    known = typed or counts(first) and len(numbers) < len(first)
    return bool(numbers) and not known


def counts(first: list[str]) -> bool:
    """Whether the numbers of the line are 0, 1, 2, ...: the names that pandas gives to columns."""
    numbers = [cell.strip() for cell in first if is_number(cell)]
    return numbers == [str(i) for i in range(len(numbers))]
