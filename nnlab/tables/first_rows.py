"""The names of a table's columns, judged by its first rows; titles on top."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

from nnlab.data.cells import cell_kind, is_number
from nnlab.data.headers import is_doubtful_header, is_header
from nnlab.errors import advise, shortened

MOST_TITLE_ROWS = 10
NUMBERS_AND_DATES = ("comma", "thousands", "date")  # kinds of cells that are seldom names above their like
YEAR_PATTERN = re.compile(r"(1[5-9]|20)\d\d")


def title_and_names(path: Path, rows: list[list[str]], header: bool | str, target) -> tuple[int, list[str]]:
    """How many of the first rows are a title; and the names in the row below, or [] if that is an example."""
    title = _title_rows(rows)
    if title:
        shown = shortened(" ".join(cell for row in rows[:title] for cell in row if cell))
        advise(f"{path}: the text on top, '{shown}', is taken for a title and left out")
    first_row, *next_rows = rows[title:]
    named = header is True or header == "auto" and _is_header(path, first_row, next_rows, target)
    return title, first_row if named else []


def _title_rows(rows: list[list[str]]) -> int:
    """How many rows on top have nothing but their first cell, above rows of several."""
    filled = [sum(bool(cell.strip()) for cell in row) for row in rows]
    title = next((i for i, row in enumerate(rows) if filled[i] != 1 or not row[0].strip()), len(rows))
    below = filled[title:]
    is_table = len(below) > 1 and 2 * sum(count > 1 for count in below) > len(below)
    return title if title <= MOST_TITLE_ROWS and is_table else 0


def _is_header(path: Path, first_row: list[str], next_rows: list[list[str]], target) -> bool:
    """Whether the first row has names; says so where that is doubtful."""
    shown = shortened(", ".join(first_row))
    below = [row for row in next_rows if len(row) == len(first_row)]
    if not is_header(first_row, below, target) and not _are_years(first_row):
        return False
    kinds = [cell_kind(cell) for cell in first_row]
    for kind, column in zip(kinds, zip(*below, strict=True), strict=bool(below)):
        if kind in NUMBERS_AND_DATES and 2 * [cell_kind(cell) for cell in column].count(kind) > len(column):
            return False
    # Files that were joined have the line of names again and again.
    examples = [row for row in below if row != first_row]
    columns = [(cell.strip(), {row[i].strip() for row in examples}) for i, cell in enumerate(first_row)]
    again = sum(cell in column for cell, column in columns if cell)
    if 2 * again > sum(bool(cell) for cell, _ in columns):
        advise(
            f"{path}: the first line, {shown}, is taken for an example, since its words come again "
            f"below; if it names the columns, write data.header=true"
        )
        return False
    if is_doubtful_header(first_row, target):
        advise(
            f"{path}: the first line, {shown}, is taken for the names of the columns; if it is an example, "
            f"write data.header=false"
        )
    return True


def _are_years(row: list[str]) -> bool:
    """Whether the numbers of a row are years that follow each other: names of columns, seldom an example."""
    years = [int(cell) for cell in row if YEAR_PATTERN.fullmatch(cell.strip())]
    numbers = sum(map(is_number, row))
    return len(years) == numbers >= 2 and {abs(a - b) for a, b in pairwise(years)} == {1}


def unique_names(path: Path, names: list[str]) -> tuple[str, ...]:
    """The names of columns: one without a name gets its number, a second 'a' becomes 'a.1', as in pandas."""
    names = [name.strip() or f"column {i}" for i, name in enumerate(names)]
    taken, unique, doubled = set(names), [], []
    seen: Counter[str] = Counter()
    for name in names:
        new, number = name, seen[name]
        seen[name] += 1
        if number:
            while (new := f"{name}.{number}") in taken:
                number += 1
            taken.add(new)
            seen[name] = number + 1
            doubled.append((name, new))
        unique.append(new)
    if doubled:
        first, new = map(shortened, doubled[0])
        advise(f"{path} has the column '{first}' more than once: the second is called '{new}'")
    return tuple(unique)


def complete_names(names: list[str], rows: list[list[str]]) -> list[str]:
    """Names for rows that have a cell more: R's row names at the left, or a separator at the lines' ends."""
    long = [row for row in rows if len(row) == len(names) + 1]
    at_end = all(not row[-1].strip() for row in long)
    return [*names, ""] if at_end else ["", *names]
