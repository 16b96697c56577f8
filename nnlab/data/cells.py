"""Error messages for table cells that are not numbers: what the cell is, and how to fix it."""

from __future__ import annotations

import re

from nnlab.errors import quote_names, shortened
from nnlab.suggestions import hint

# A label may well be called "-" or "nil", so fewer words count as a missing label than as a missing number.
MISSING_LABELS = ("nan", "na", "n/a", "null", "none", "?")
MISSING_CELLS = (*MISSING_LABELS, "-", "--", ".", "<na>", "nil", "missing", "#n/a", "nat")  # in lower case
# A longer cell counts as text: matching it against the patterns below may take long.
LONGEST_MATCHED_CELL = 40  # characters
_DATE_PATTERN = re.compile(
    r"(\d{4}([-/.])\d\d?(\2\d\d?)?|\d\d?([-/.])\d\d?\4\d{2,4})([T ].*)?|\d\d?:\d\d(:\d\d.*)?"
)
# Three digits after a comma are more likely thousands than decimals, except after a zero.
_DECIMAL_COMMA = re.compile(
    r"[+-]?\d{1,3}([. '’\u00a0\u202f]\d{3})+,\d+|[+-]?\d+,(\d{1,2}|\d{4,})|[+-]?0,\d+"
)
_THOUSANDS_SEPARATED = re.compile(r"[+-]?\d{1,3}([,. '’\u00a0\u202f])\d{3}(\1\d{3})*(\.\d+)?")
_NUMBER_WITH_UNIT = re.compile(
    r"[^\w.+-]*\s*[+-]?[\d.,]*\d\s*([^\d\s]{1,3}|[^\w\s]+)|[^\w\s.+-]{1,3}\s*[+-]?\d[\d.,]*"
)
PATTERN_OF_KIND = {
    "date": _DATE_PATTERN,
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
    "typo": "correct or drop such rows",
}
# Of an input, in training: there is another reader of tables.
REMEDY_FOR_INPUT = {
    "missing": "data=table fills it, or drop such rows",
    "date": "data=table reads dates",
    "comma": "data=table reads it, or write a decimal point, {plain}",
    "thousands": "data=table reads it, or write {plain}, without separators",
    "unit": "data=table reads units, or write the number without",
    "text": "data=table takes words for categories",
}
REMEDY_FOR_TARGET = {"missing": "drop such rows", "text": "or data.task=classification"}
# A trained run has its inputs and targets: they can no longer be removed, or become others.
REMEDY_FOR_TRAINED_RUN = dict.fromkeys(("date", "text"), "the run was trained on numbers there")


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def cell_kind(cell: str) -> str:
    """What the cell holds: missing, date, comma, thousands, unit, text, or number.

    >>> [cell_kind(cell) for cell in ("NA", "2026-01-31", "1.234,5", "1,234", "12 %", "red", "1e3")]
    ['missing', 'date', 'comma', 'thousands', 'unit', 'text', 'number']
    """
    cell = cell.strip()
    if not cell or cell.lower() in MISSING_CELLS:
        return "missing"
    if is_number(cell):
        return "number"
    if len(cell) > LONGEST_MATCHED_CELL:
        return "text"
    return next((name for name, pattern in PATTERN_OF_KIND.items() if pattern.fullmatch(cell)), "text")


def cell_error(cell: str, same_kind: int, count: int, expected: str, remedies: dict[str, str]) -> str:
    """The error message for a cell: what it is, how many of the column's `count` cells are alike, the fix.

    `expected` is what it should be, a number or a class; `remedies` replace those of `REMEDY_OF_KIND`.
    """
    kind = cell_kind(cell)
    quoted = f"'{shortened(cell)}'"
    if kind == "number":
        return f"{quoted} is not finite; expected a number: correct or drop such rows"
    if kind in ("text", "unit") and 2 * same_kind <= count:
        # Most cells of the column are numbers, so this one is a mistake, not another kind of column.
        kind = "typo"
    remedy = (REMEDY_OF_KIND | remedies)[kind].format(plain=_plain_number(cell))
    return f"{_describe(cell, quoted)}{_how_many_more(same_kind, count)}; expected a {expected}: {remedy}"


def _describe(cell: str, quoted: str) -> str:
    if not cell:
        return "the cell is empty"
    if cell.lower() == "nan":
        return "the value is missing"
    return f"{quoted} is not a number"


def _how_many_more(same_kind: int, count: int) -> str:
    if same_kind < 2:
        return ""
    verb = "is" if same_kind == 2 else "are"
    return f", as {verb} {same_kind - 1:,} more of {count:,}"


def _plain_number(cell: str) -> str:
    """`1.234,5` as `1234.5`, `1,234,567` as `1234567`."""
    whole, point, decimals = cell, "", ""
    if cell_kind(cell) == "comma":
        whole, point, decimals = cell.rpartition(",")
    elif cell_kind(cell) == "thousands" and _THOUSANDS_SEPARATED.fullmatch(cell)[3]:
        whole, point, decimals = cell.rpartition(".")
    digits = re.sub(r"[^\d+-]", "", whole)
    return f"{digits}.{decimals}" if point else digits + decimals


def missing_columns(names: list[str], wanted: list[str]) -> str:
    """What a sentence says of a table with columns of these names, without some that are `wanted`."""
    missing = [name for name in wanted if name not in names]
    others = [name for name in names if name not in {*wanted}]
    near = hint(shortened(missing[0]), others) or f"; it has {quote_names(names)}"
    more = f", nor {len(missing) - 1:,} other inputs of the run" if len(missing) > 1 else ""
    return f"has no column '{shortened(missing[0])}'{more}{near}{first_line_hint(names)}"


def first_line_hint(first: list[str]) -> str:
    """A hint at why a table's first line has fewer columns than the others, or ""."""
    line = first[0].strip()
    if re.fullmatch(r"sep=.?", line):
        return ": remove the first line, sep=, which only a spreadsheet reads"
    if line.startswith("#"):
        return ": remove the first line, which begins with '#', if it is a comment"
    if len(first) == 1 and re.search(r"\S[ |]+\S", line):
        separator = "'|'" if "|" in line else "spaces"
        return f": if {separator} separate its columns, write commas instead"
    return ""
