"""Whether the first line of a table has the columns' names, also where these are numbers."""

from __future__ import annotations

import csv
import gzip
import os
import re
import stat

DELIMITERS = "\t;,"
WHOLE = re.compile(r"\s*\d+\s*", re.ASCII)
LOOKED_AT = 2**16  # bytes of a file, for its columns' names
SURE = 3  # columns: 0, 1 may be an example, 0, 1, 2 above numbers with a point hardly


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


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
        lines = [line for line in text.splitlines() if line.strip()][:2]
        delimiter = max(DELIMITERS, key=lambda d: len(next(csv.reader(lines[:1], delimiter=d))))
        first, second = (next(csv.reader([line], delimiter=delimiter)) for line in (lines[0], lines[-1]))
    except (OSError, EOFError, ValueError, csv.Error, LookupError, StopIteration):
        return []
    return [name.strip() for name in first] if is_header(first, second, None) else []


def names_target(first: list[str], target) -> bool:
    """Whether data.target is a cell of the first line, and cannot be a column's number."""
    in_range = isinstance(target, int) and -len(first) <= target < len(first)
    return not in_range and not _is_text_number(target) and [c.strip() for c in first].count(str(target)) == 1


def _is_text_number(target) -> bool:
    return target is None or isinstance(target, str) and is_number(target)


def is_header(first: list[str], second: list[str], target) -> bool:
    """Whether `first` is surely a line of names: it has no number, or the target's name, or a word above a
    number, or counts the columns above numbers that do not."""
    numbers = [cell for cell in first if is_number(cell)]
    if not numbers or names_target(first, target) or counts(first) and not first[0].strip():
        return True
    different = all(map(WHOLE.fullmatch, numbers)) and len(set(numbers)) == len(numbers)
    above = zip(first, second, strict=False)
    if different and any(a.strip() and not is_number(a) and is_number(b) for a, b in above):
        return True
    with_point = any(is_number(cell) and not WHOLE.fullmatch(cell) for cell in second)
    return SURE <= len(numbers) == len(first) and counts(first) and with_point


def may_be_header(first: list[str], target: int) -> bool:
    """Whether only the target can tell: 0, 1, 2, word above lines of the same kind."""
    return counts(first) and [i for i, cell in enumerate(first) if not is_number(cell)] == [target]


def is_odd(first: list[str], target) -> bool:
    """Whether it deserves a word that this line is taken for names."""
    numbers = [cell for cell in first if is_number(cell)]
    known = names_target(first, target) or counts(first) and len(numbers) < len(first)
    return bool(numbers) and not known


def counts(first: list[str]) -> bool:
    """Whether the numbers of the line are 0, 1, 2, ...: the names that pandas gives to columns."""
    numbers = [cell.strip() for cell in first if is_number(cell)]
    return numbers == [str(i) for i in range(len(numbers))]
