"""The rows of a text file: lines divided into cells, none of them too long."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from nnlab.data.cells import of_first_line
from nnlab.data.headers import CELL_DELIMITERS
from nnlab.errors import UserError

LONGEST_LINE = 2**26  # characters, of a line or a cell


def rows(path: Path, file) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of every line that is not empty; all have as many cells as the first."""
    lines = bounded_lines(path, file)
    # The first line that is not empty shows the delimiter. The empty ones before it count as lines too.
    first_lines = []
    for line in lines:
        first_lines.append(line)
        if line.strip():
            break
    delimiter = _delimiter(first_lines[-1] if first_lines else "")
    reader = csv.reader(chain(first_lines, lines), delimiter=delimiter, strict=True)
    first: list[str] = []
    row_begins = 1  # a row with quotes may have several lines
    try:
        for row in reader:
            row_begins = reader.line_num + 1
            if not "".join(row).strip():
                continue
            first = first or list(row)
            if len(row) != len(first):
                where, hint = f"{path}, line {reader.line_num}", of_first_line(first)
                if len(row) == len(first) + 1 and not row[-1].strip():
                    hint = f": remove the '{delimiter}' at the end of the line"
                raise UserError(f"{where}: {len(row)} cells, but the first line has {len(first)}{hint}")
            yield reader.line_num, row
    except csv.Error as e:
        raise UserError(f"{path}, line {row_begins}: {_in_words(str(e))}") from e


def _delimiter(line: str) -> str:
    """The delimiter that divides the line into the most cells."""
    return max(CELL_DELIMITERS, key=lambda d: len(next(csv.reader([line], delimiter=d), [])))


def bounded_lines(path: Path, file) -> Iterator[str]:
    """The lines of a text file, none longer than `LONGEST_LINE`."""
    for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), ""), 1):
        if len(line) == LONGEST_LINE:
            raise UserError(f"{path}, line {number} has {LONGEST_LINE:,} characters or more: is it a table?")
        yield line


def _in_words(error: str) -> str:
    """An error of Python's csv module in a user's words."""
    if "unexpected end" in error or "field limit" in error:
        return "a quote begins a cell and is never closed"
    if "expected after" in error:
        return "a cell continues after its closing quote; write quotes inside a cell twice"
    return error


@contextmanager
def long_cells():
    """Raise the limit of Python's csv module, 131,072 characters in a cell."""
    # A line whose delimiter is not known is one cell.
    before = csv.field_size_limit(LONGEST_LINE)
    try:
        yield
    finally:
        csv.field_size_limit(before)
