"""Writes CSV tables safely: no cell of text is a formula to a spreadsheet.

Names of columns, classes and files may be a stranger's. A spreadsheet that opens the table computes whatever
begins like a formula, and a formula may start programs and send cells elsewhere:
https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import csv
import math
import unicodedata
from collections.abc import Iterable

from nnlab.errors import visible

FORMULA_STARTS = ("=", "+", "-", "@")  # the full-width ones too, which some spreadsheets take for these
TEXT_MARK = "'"  # in front of a cell: spreadsheets know text by it


class CsvTable:
    """The lines of a table in a file that is open for writing text with `newline=""`.

    Numbers are written as they are, None as null and truth values as true and false, as in a configuration;
    text by `csv_cell`.
    """

    def __init__(self, file):
        self._writer = csv.writer(file, lineterminator="\n")

    def line(self, cells: Iterable) -> None:
        self._writer.writerow(map(csv_cell, cells))

    def lines(self, lines: Iterable[Iterable]) -> None:
        self._writer.writerows(map(csv_cell, cells) for cells in lines)


def csv_cell(value):
    """A value as a cell. Text that a spreadsheet would compute gets an apostrophe in front, and so does text
    that looks as if it had got one: so no two labels have the same cell. Numbers stay, as text too.

    >>> csv_cell("=1+1"), csv_cell("'=1+1"), csv_cell("-1.5"), csv_cell("=" + chr(27)), csv_cell(None)
    ("'=1+1", "''=1+1", '-1.5', "'=\\\\x1b", 'null')
    """
    if isinstance(value, str):
        return TEXT_MARK * gets_mark(value) + visible(value)
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else value


def label_of_cell(cell: str) -> str:
    """The label that `csv_cell` has written, but for letters that are not visible.

    >>> label_of_cell("'=1+1"), label_of_cell("'s-Hertogenbosch")
    ('=1+1', "'s-Hertogenbosch")
    """
    is_marked = cell.startswith(TEXT_MARK) and _is_formula(cell.lstrip(TEXT_MARK))
    return cell.removeprefix(TEXT_MARK) if is_marked else cell


def gets_mark(text: str) -> bool:
    """Whether the text as a cell has an apostrophe in front."""
    return _is_formula(text.lstrip(TEXT_MARK))


def _is_formula(text: str) -> bool:
    """Whether a spreadsheet would compute it, were it to leave out the white space in front."""
    first = unicodedata.normalize("NFKC", text.lstrip()[:1])
    return first.startswith(FORMULA_STARTS) and not _is_number(text)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
