"""How a column of text writes numbers: decimal comma, thousands, and signs such as % and $ beside them.

1234.5    1,234.5    1.234,5    1 234,5    1'234.5    $1,234    12 %    12 kg    (5.00), which is -5
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NO_BREAK_SPACES = "\u00a0\u202f\u2009"
MINUS_SIGNS = "−–"
LONGEST_SIGN = 6  # characters of a unit
CURRENCY_SIGNS = (
    "usd", "eur", "gbp", "chf", "jpy", "inr", "aud", "cad", "rs", "rs.", "r$", "kr", "us$", "brl",
)  # fmt: skip
# With fewer different values, such as 2WD and 4WD, a number with a unit is rather a name.
FEWEST_VALUES_WITH_UNIT = 3
_SEPARATORS = r"[\d.,'’()+\-\s" + MINUS_SIGNS + NO_BREAK_SPACES + "]"


class Notation(NamedTuple):
    """How all the numbers of a column are written."""

    decimal: str = "."
    thousands: str = ""
    sign: str = ""  # what stands before or after each number

    @property
    def pattern(self) -> str:
        """The regular expression of a whole cell, without its sign."""
        d, t = re.escape(self.decimal), re.escape(self.thousands)
        whole = rf"(?:[1-9]\d{{0,2}}(?:{t}\d{{3}})+|\d+)" if t else r"\d+"
        return rf"^[+-]?(?:{whole}(?:{d}\d*)?|{d}\d+)(?:[eE][+-]?\d+)?$"

    @property
    def description(self) -> str:
        """`numbers, decimal comma, %`."""
        marks = ["decimal comma"] * (self.decimal == ",")
        if self.thousands:
            marks.append("thousands by spaces" if self.thousands == " " else f"thousands {self.thousands}")
        return ", ".join(["numbers", *marks, *([self.sign] if self.sign else [])])

    @property
    def example(self) -> str:
        """A number in it, for sentences: `1.234,5` or `1234,5 %`."""
        return f"1{self.thousands}234{self.decimal}5" + f" {self.sign}" * bool(self.sign)


PLAIN_NOTATION = Notation()
# The first that all cells have is taken. 1,234 has two readings: see `find_notation`.
NUMBER_MARKS = ((".", ""), (".", ","), (",", ""), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"))


class Reading(NamedTuple):
    """A notation, and another that the cells allow as well."""

    notation: Notation
    other: Notation | None = None


def find_notation(cells: pa.Array, decimal: str = "auto") -> Reading | None:
    """How all of these different cells, none of them null, write numbers; None if some are not numbers.

    `decimal` is "auto", or the mark that is known to be used.
    """
    if not len(cells):
        return None
    sign = _common_sign(cells)
    if sign is None:
        return None
    digits = _digits(cells, sign)
    fitting = [
        Notation(d, t, sign) for d, t in NUMBER_MARKS
        if decimal in ("auto", d) and pc.all(pc.match_substring_regex(digits, Notation(d, t).pattern)).as_py()
    ]  # fmt: skip
    if not fitting:
        return None
    first = fitting[0]
    others = [n for n in fitting if n.decimal != first.decimal and not _has_no_marks(digits)]
    return Reading(first, others[0] if others else None)


def _has_no_marks(digits: pa.Array) -> bool:
    """Whether there are only digits, which all notations read alike."""
    return not pc.any(pc.match_substring_regex(digits, "[.,]")).as_py()


def _common_sign(cells: pa.Array) -> str | None:
    """What stands beside every number: "" where there is nothing, None where it differs from cell to cell."""
    rest = pc.replace_substring_regex(cells, rf"[eE][+-]?\d+|{_SEPARATORS}", "")
    signs = set(rest.unique().to_pylist())
    has_bare = "" in signs
    signs.discard("")
    if not signs:
        return ""
    if len(signs) > 1 or len(sign := signs.pop()) > LONGEST_SIGN:
        return None
    before, after = (pc.all(pc.match_substring_regex(cells, p)).as_py() for p in _places(sign, has_bare))
    is_word = any(c.isalpha() for c in sign)
    if is_word and sign.lower() not in CURRENCY_SIGNS and (not after or len(cells) < FEWEST_VALUES_WITH_UNIT):
        return None  # A1, B2 are names
    # 12% beside 0.5 may be anything, but 0 beside $5 is no money.
    if has_bare and (is_word or sign == "%"):
        return None
    return sign if before or after else None


def _places(sign: str, has_bare: bool) -> tuple[str, str]:
    """The patterns of a sign before each number, and after it."""
    minus, sign = rf"[(+\-{MINUS_SIGNS}]*", re.escape(sign)
    maybe = "?" if has_bare else ""
    return rf"^{minus}\s*(?:{sign}){maybe}[^a-zA-Z]*$", rf"^[^a-zA-Z]*?(?:{sign}){maybe}\s*\)?$"


def _digits(cells: pa.Array, sign: str) -> pa.Array:
    """The cells without sign, with plain spaces and minus signs; (5) is -5."""
    if sign:
        cells = pc.replace_substring(cells, sign, "", max_replacements=1)
    if not pc.all(pc.match_substring_regex(cells, r"^[\w.,+\-]*$")).as_py():
        cells = pc.replace_substring_regex(cells, f"[{MINUS_SIGNS}]", "-")
        cells = pc.replace_substring(pc.replace_substring_regex(cells, f"[{NO_BREAK_SPACES}]", " "), "’", "'")
        cells = pc.replace_substring_regex(pc.utf8_trim_whitespace(cells), r"^\((.*)\)$", r"-\1")
        cells = pc.replace_substring_regex(cells, r"^([+-])\s+", r"\1")
    return cells


def parse_numbers(cells: pa.Array, notation: Notation = PLAIN_NOTATION) -> np.ndarray:
    """(n,) float64 of cells of text: NaN where they are null, or not a number in this notation."""
    if notation == PLAIN_NOTATION:
        try:
            return cells.cast(pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            pass
    digits = _digits(cells, notation.sign)
    is_number = pc.match_substring_regex(digits, notation.pattern)
    digits = pc.if_else(is_number, digits, pa.scalar(None, pa.string()))
    if notation.thousands:
        digits = pc.replace_substring(digits, notation.thousands, "")
    if notation.decimal != ".":
        digits = pc.replace_substring(digits, notation.decimal, ".")
    return digits.cast(pa.float64()).to_numpy(zero_copy_only=False)
