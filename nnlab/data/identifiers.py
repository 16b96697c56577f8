"""Inputs that number the examples: row numbers, indices, keys, time stamps.

Such a column says nothing of a new example, and where a file is sorted by class it gives the answer away:
every test example lies between two training examples of its class.
"""

from __future__ import annotations

import re
import warnings

import numpy as np

from nnlab.errors import Advice

NAMES = re.compile(
    r"unnamed(: ?\d+)?|column 0|rownames?|row|obs|observation|case|#"
    r"|(.*[ _.-])?(id|ids|index|idx|key|no|nr|num|number|uuid|guid)",
    re.IGNORECASE,
)  # "column 0" is what a nameless first column is called
CAMEL = re.compile(r".*[a-z](Id|ID|Index|Idx|Key|No|Nr|Num|Number)")
FEWEST = 10  # examples; among fewer, whole numbers are all different by chance
DENSE = 0.5  # of the numbers from the least to the largest are there: rows that were left out leave gaps
EVEN = 0.9999  # correlation with the row number: steps that are as good as equal
DIFFERENT = 0.9  # of the values, in a column whose name says that it is a key
STAMPS = ((1e8, 1e10), (1e11, 1e13), (1e14, 1e16), (1e17, 1e19))  # seconds to nanoseconds: 1973 to 2286
DATES = (19_000_101, 22_000_101)  # 20261126


def identifiers(x: np.ndarray, names: tuple[str, ...]) -> dict[int, str]:
    """The columns of x (N, d), in the order of the file, that number the examples, and in what way.

    >>> x = np.c_[np.arange(20), np.arange(20) % 7]
    >>> identifiers(x, ("", "day"))
    {0: 'counts the rows'}
    """
    n, d = x.shape
    if n < FEWEST or d < 2:  # a single input is what the target is a function of
        return {}
    low, high = x.min(0), x.max(0)
    wide = np.flatnonzero(high.astype(float) - low >= DIFFERENT * n - 1)  # room for so many whole numbers
    named = names or ("",) * d
    found = {int(c): _how(x[:, c].astype(np.float64), bool(names) and _is_key(named[c])) for c in wide}
    return {c: how for c, how in found.items() if how}


def _is_key(name: str) -> bool:
    name = name.strip()
    return not name or bool(NAMES.fullmatch(name) or CAMEL.fullmatch(name))


def _how(v: np.ndarray, named: bool) -> str:
    """In what way a column numbers the examples; empty if it does not."""
    if (v != np.floor(v)).any():
        return ""
    n, different = len(v), len(np.unique(v))
    span = v.max() - v.min() + 1
    if different == n and v.min() in (0, 1) and span == n:
        return "counts the rows" if (np.diff(v) > 0).all() else "has every number up to that of the rows once"
    if different < DIFFERENT * n:
        return ""
    rises = bool((np.diff(v) >= 0).all() or (np.diff(v) <= 0).all())
    if any(low <= v.min() and v.max() < high for low, high in (*STAMPS, DATES)):
        return "is a time that rises from row to row" if rises else ""
    if named and different == n:
        return "is different in every row, and its name is that of a key"
    if named:
        return "is different in almost every row, and its name is that of a key"
    counts = rises and different == n and v.min() >= 0 and not _is_year(v)
    if counts and (n >= DENSE * span or abs(np.corrcoef(v, np.arange(n))[0, 1]) >= EVEN):
        return "rises from row to row like a row number"
    return ""


def _is_year(v: np.ndarray) -> bool:
    return v.min() >= 1500 and v.max() <= 2200


def warn_of_identifiers(x: np.ndarray, names: tuple[str, ...]) -> None:
    """Advice, if an input numbers the examples."""
    for c, how in list(identifiers(x, names).items())[:1]:
        warnings.warn(f"{told(c, names)} {how}: {REMEDY}", Advice, stacklevel=3)


REMEDY = "take the column out of the file, unless new examples have it too and it means something"


def told(column: int, names: tuple[str, ...]) -> str:
    """`the input 'id'`, or by its number where it has no name."""
    return f"the input '{names[column]}'" if names and names[column] else f"input {column}"
