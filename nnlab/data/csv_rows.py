"""Splits a CSV file into rows of cells, and refuses overlong lines and rows of unequal length."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from nnlab.data.cells import first_line_hint
from nnlab.data.headers import CELL_DELIMITERS
from nnlab.errors import UserError

LONGEST_LINE = 2**26  # characters in a line or a cell


def read_rows(path: Path, file) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of every non-empty line; all have as many cells as the first."""
    lines = bounded_lines(path, file)
    # The first line that is not empty shows the delimiter. The empty ones before it count as lines too.
    first_lines = []
    for line in lines:
        first_lines.append(line)
        if line.strip():
            break
    delimiter = _delimiter(first_lines[-1] if first_lines else "")
    reader = csv.reader(chain(first_lines, lines), delimiter=delimiter, strict=True)
    first_row: list[str] = []
    row_start_line = 1  # a row with quotes may have several lines
    try:
        for row in reader:
            row_start_line = reader.line_num + 1
            if not "".join(row).strip():
                continue
            first_row = first_row or list(row)
            if len(row) != len(first_row):
                where, hint = f"{path}, line {reader.line_num}", first_line_hint(first_row)
                if len(row) == len(first_row) + 1 and not row[-1].strip():
                    hint = f": remove the '{delimiter}' at the end of the line"
                count = "1 cell" if len(row) == 1 else f"{len(row)} cells"
                raise UserError(f"{where}: {count}, but the first line has {len(first_row)}{hint}")
            yield reader.line_num, row
    except csv.Error as e:
        raise UserError(f"{path}, line {row_start_line}: {explain_csv_error(str(e))}") from e


def _delimiter(line: str) -> str:
    """The delimiter that splits the line into the most cells."""
    return max(CELL_DELIMITERS, key=lambda d: len(next(csv.reader([line], delimiter=d), [])))


def bounded_lines(path: Path, file) -> Iterator[str]:
    """The lines of a text file, none longer than `LONGEST_LINE`."""
    for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), ""), 1):
        if len(line) == LONGEST_LINE:
            raise UserError(f"{path}, line {number} has {LONGEST_LINE:,} characters or more: is it a table?")
        yield line


def explain_csv_error(error: str) -> str:
    """An error message of Python's csv module, in plain words."""
    if "unexpected end" in error or "field limit" in error:
        return "a quote begins a cell and is never closed"
    if "expected after" in error:
        return "a cell continues after its closing quote; write quotes inside a cell twice"
    return error


@contextmanager
def allow_long_cells():
    """Raise the limit of Python's csv module, 131,072 characters in a cell."""
    # Until the delimiter is known, a whole line is one cell.
    previous_limit = csv.field_size_limit(LONGEST_LINE)
    try:
        yield
    finally:
        csv.field_size_limit(previous_limit)
