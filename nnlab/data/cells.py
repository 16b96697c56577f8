"""What stands in a cell that should be a number, and what to do about it."""

from __future__ import annotations

import re

from nnlab.errors import shortened

# A label may well be called "-" or "nil", so fewer words count as a missing label than as a missing number.
MISSING_LABELS = ("nan", "na", "n/a", "null", "none", "?")
MISSING_CELLS = (*MISSING_LABELS, "-", "--", ".", "<na>", "nil", "missing", "#n/a", "nat")  # in lower case
# A longer cell is taken for text: to match it against the patterns below may take long.
LONGEST_SHAPED_CELL = 40  # characters
_DATE_SHAPE = re.compile(
    r"(\d{4}([-/.])\d\d?(\2\d\d?)?|\d\d?([-/.])\d\d?\4\d{2,4})([T ].*)?|\d\d?:\d\d(:\d\d.*)?"
)
# Three digits after a comma are more likely thousands, except after a zero.
_DECIMAL_COMMA = re.compile(
    r"[+-]?\d{1,3}([. '’\u00a0\u202f]\d{3})+,\d+|[+-]?\d+,(\d{1,2}|\d{4,})|[+-]?0,\d+"
)
_THOUSANDS_SEPARATED = re.compile(r"[+-]?\d{1,3}([,. '’\u00a0\u202f])\d{3}(\1\d{3})*(\.\d+)?")
_NUMBER_WITH_UNIT = re.compile(
    r"[^\w.+-]*\s*[+-]?[\d.,]*\d\s*([^\d\s]{1,3}|[^\w\s]+)|[^\w\s.+-]{1,3}\s*[+-]?\d[\d.,]*"
)
SHAPE_OF_KIND = {
    "date": _DATE_SHAPE,
    "comma": _DECIMAL_COMMA,
    "thousands": _THOUSANDS_SEPARATED,
    "unit": _NUMBER_WITH_UNIT,
}
REMEDY_OF_KIND = {
    "missing": "fill it, with the column's median say, or drop such rows",
    "date": "make a number of it, such as the days since the first, or remove the column",
    "comma": "write a decimal point, {plain}",
    "thousands": "write {plain}, without separators",
    "unit": "write the number without its unit",
    "text": "replace it by columns of 0 and 1, as pandas.get_dummies does with dtype=int, or remove it",
    "slip": "correct or drop such rows",
}
REMEDY_FOR_TARGET = {"missing": "drop such rows", "text": "or data.task=classification"}


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def kind(cell: str) -> str:
    """What stands in the cell: missing, date, comma, thousands, unit, text, or number.

    >>> [kind(cell) for cell in ("NA", "2026-01-31", "1.234,5", "1,234", "12 %", "red", "1e3")]
    ['missing', 'date', 'comma', 'thousands', 'unit', 'text', 'number']
    """
    cell = cell.strip()
    if not cell or cell.lower() in MISSING_CELLS:
        return "missing"
    if is_number(cell):
        return "number"
    if len(cell) > LONGEST_SHAPED_CELL:
        return "text"
    return next((name for name, shape in SHAPE_OF_KIND.items() if shape.fullmatch(cell)), "text")


def sentence(cell: str, alike: int, count: int, of_target: bool, of_classes: bool) -> str:
    """What the cell is, how many of the column's `count` cells are of its kind, and what to do about it."""
    cell_kind = kind(cell)
    quoted = f"'{shortened(cell)}'"
    if cell_kind == "number":
        return f"{quoted} is not finite; expected a number: correct or drop such rows"
    if cell_kind in ("text", "unit") and 2 * alike <= count:
        # Most cells of the column are numbers, so this one is a mistake, not another kind of column.
        cell_kind = "slip"
    remedy = REMEDY_OF_KIND[cell_kind].format(plain=_plain(cell))
    if of_target:
        remedy = REMEDY_FOR_TARGET.get(cell_kind, remedy)
    wanted = "class" if of_classes else "number"
    return f"{_what(cell, quoted)}{_how_many_more(alike, count)}; expected a {wanted}: {remedy}"


def _what(cell: str, quoted: str) -> str:
    if not cell:
        return "is empty"
    if cell.lower() == "nan":
        return "is missing"
    return f"{quoted} is not a number"


def _how_many_more(alike: int, count: int) -> str:
    if alike < 2:
        return ""
    verb = "is" if alike == 2 else "are"
    return f", as {verb} {alike - 1:,} more of {count:,}"


def _plain(cell: str) -> str:
    """`1.234,5` as `1234.5`, `1,234,567` as `1234567`."""
    whole, point, decimals = cell, "", ""
    if kind(cell) == "comma":
        whole, point, decimals = cell.rpartition(",")
    elif kind(cell) == "thousands" and _THOUSANDS_SEPARATED.fullmatch(cell)[3]:
        whole, point, decimals = cell.rpartition(".")
    digits = re.sub(r"[^\d+-]", "", whole)
    return f"{digits}.{decimals}" if point else digits + decimals


def of_first_line(first: list[str]) -> str:
    """What may be wrong with a table whose first line does not fit the others: a hint, or nothing."""
    line = first[0].strip()
    if re.fullmatch(r"sep=.?", line):
        return ": remove the first line, sep=, which only a spreadsheet reads"
    if line.startswith("#"):
        return ": remove the first line, which begins with '#', if it is a comment"
    if len(first) == 1 and re.search(r"\S[ |]+\S", line):
        separator = "'|'" if "|" in line else "spaces"
        return f": if {separator} separate its columns, write commas instead"
    return ""
