"""What a cell is that should be a number, and the way out: many tables come from spreadsheets."""

from __future__ import annotations

import re

from nnlab.errors import shortened

MISSING = ("nan", "na", "n/a", "null", "none", "?")  # what may stand for a label that is not there
ABSENT = (*MISSING, "-", "--", ".", "<na>", "nil", "missing", "#n/a", "nat")  # in lower case
LONGEST = 40  # letters of a cell whose shape is looked at
_DATE = re.compile(r"(\d{4}([-/.])\d\d?(\2\d\d?)?|\d\d?([-/.])\d\d?\4\d{2,4})([T ].*)?|\d\d?:\d\d(:\d\d.*)?")
_COMMA = re.compile(r"[+-]?\d{1,3}([. '’\u00a0\u202f]\d{3})+,\d+|[+-]?\d+,(\d{1,2}|\d{4,})|[+-]?0,\d+")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}([,. '’\u00a0\u202f])\d{3}(\1\d{3})*(\.\d+)?")
_UNIT = re.compile(r"[^\w.+-]*\s*[+-]?[\d.,]*\d\s*([^\d\s]{1,3}|[^\w\s]+)|[^\w\s.+-]{1,3}\s*[+-]?\d[\d.,]*")
WAYS = {
    "missing": "fill it, with the column's median say, or drop such rows",
    "date": "make a number of it, such as the days since the first, or take the column out",
    "comma": "write a decimal point, {plain}",
    "thousands": "write {plain}, without separators",
    "unit": "write the number without its unit",
    "text": "make columns of 0 and 1 of it, as pandas.get_dummies does, or take it out",
    "slip": "mend or drop such rows",
}


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
    if not cell or cell.lower() in ABSENT:
        return "missing"
    if is_number(cell):
        return "number"
    if len(cell) > LONGEST:
        return "text"
    shapes = {"date": _DATE, "comma": _COMMA, "thousands": _THOUSANDS, "unit": _UNIT}
    return next((name for name, shape in shapes.items() if shape.fullmatch(cell)), "text")


def sentence(cell: str, alike: int, count: int, of_target: bool, of_classes: bool) -> str:
    """What the cell is, how many of the column's `count` cells are of its kind, and what to do about it."""
    found, said = kind(cell), f"'{shortened(cell)}'"
    what = "is empty" if not cell else "is missing" if cell.lower() == "nan" else f"{said} is no number"
    if found == "number":
        return f"{said} is not finite; expected a number: mend or drop such rows"
    if found in ("text", "unit") and 2 * alike <= count:
        found = "slip"
    more = f", as {'is' if alike == 2 else 'are'} {alike - 1:,} more of {count:,}" if alike > 1 else ""
    way = WAYS[found].format(plain=_plain(cell))
    if of_target:
        way = {"missing": "drop such rows", "text": "or data.task=classification"}.get(found, way)
    return f"{what}{more}; expected a {'class' if of_classes else 'number'}: {way}"


def _plain(cell: str) -> str:
    """`1.234,5` as `1234.5`, `1,234,567` as `1234567`."""
    whole, point, decimals = cell, "", ""
    if kind(cell) == "comma":
        whole, point, decimals = cell.rpartition(",")
    elif kind(cell) == "thousands" and _THOUSANDS.fullmatch(cell)[3]:
        whole, point, decimals = cell.rpartition(".")
    return re.sub(r"[^\d+-]", "", whole) + "." * bool(point) + decimals


def of_first_line(first: list[str], width: int | None = None) -> str:
    """What may be wrong with a table whose first line does not fit the others: a way out, or nothing."""
    line = first[0].strip()
    if re.fullmatch(r"sep=.?", line):
        return ": take out the first line, sep=, which is for a spreadsheet alone"
    if line.startswith("#"):
        return ": take out the first line, which begins with '#', if it is a comment"
    if len(first) == 1 and re.search(r"\S[ |]+\S", line):
        return f": if {'|' if '|' in line else 'spaces'} part its columns, put commas there"
    return ""
