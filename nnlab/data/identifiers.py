"""Inputs that number the examples: row numbers, indices, keys, time stamps.

Such a column says nothing about a new example. In a file that is sorted by class it even gives the answer
away: every test example lies between two training examples of its class. This is how it is recognised,
whatever its numbers: it rises (or falls) from row to row, and the classes come in runs along the file.
In other files, and where the rows were shuffled after they were numbered, its name must say what it is, or
at least say nothing else: the numbers 1 to n may be a rank, and equal steps a dose.
"""

from __future__ import annotations

import re
import warnings

import numpy as np

from nnlab.data.labels import MOST_INFERRED_CLASSES
from nnlab.errors import Advice

_EXAMPLE_WORDS = (
    "rows?|rec|records?|obs|observations?|cases?|samples?|specimens?|subjects?|patients?|participants?|persons?"
    "|clients?|customers?|users?|members?|passengers?|students?|employees?|entry|entries|instances?|examples?"
    "|serial|seq|sequence"
)
_THING_WORDS = (
    f"{_EXAMPLE_WORDS}|accounts?|orders?|invoices?|tickets?|transactions?|items?|lines?|images?|files?"
    "|documents?|policy|contracts?|devices?|products?|articles?|visits?|studies|study|reference|registration"
)
_NUMBER_WORDS = "id|ids|index|idx|key|no|nr|nbr|num|number|code|uuid|guid|#"
# `Table` calls a first column without a name "column 0".
KEY_NAME = re.compile(
    rf"unnamed(: ?\d+)?|column 0|rownames?|{_EXAMPLE_WORDS}|{_NUMBER_WORDS}"
    rf"|({_THING_WORDS})[ _.-]?({_NUMBER_WORDS})"
    r"|.*[ _.-](id|ids|idx|key|uuid|guid)",
    re.IGNORECASE,
)
CAMEL_CASE_KEY = re.compile(r".*[a-z](Id|ID|Idx|Key)")
MEANINGLESS_NAME = re.compile(
    r"[a-z]\d*|(col|column|var|variable|feature|feat|field|input|attr)[ _.-]?\d*", re.I
)
TIME_NAME = re.compile(
    r"(.*[ _.-])?(time|timestamp|ts|date|datetime|when|epoch|created|updated)([ _.-]?(at|on))?",
    re.IGNORECASE,
)
# With fewer examples, or fewer distinct values, whole numbers are all different by chance.
FEWEST_VALUES = 10
# Of the numbers from the smallest to the largest, so many must occur: rows that were left out leave gaps.
LEAST_DENSITY = 0.5
EVEN_CORRELATION = 0.9999  # with the row number: the steps are as good as equal
DISTINCT_SHARE = 0.9  # of the values are different, in a column whose name is that of a key
ONE_WAY_SHARE = 0.9  # of the steps from row to row go up, or go down, in a sorted column
SORTED_CORRELATION = 0.99  # of ranks with the row number, in a sorted column
RUN_CHANGES_SHARE = 0.15  # of the changes of class that shuffled rows have: below, classes come in runs
# A column with one value for each class is a copy of the class, not a row number.
VALUES_PER_RUN = 3
ROWS_SAMPLED = 2000  # before whole columns are looked at
TIME_STAMP_RANGES = ((1e8, 1e10), (1e11, 1e13), (1e14, 1e16), (1e17, 1e19))  # s, ms, us, ns: 1973 to 2286
DATE_RANGE = (19_000_101, 22_000_101)  # written as 20261126
YEAR_RANGE = (1500, 2200)
IDENTIFIER_REMEDY = "take the column out of the file, unless new examples have it too and it means something"


@np.errstate(over="ignore", invalid="ignore")  # of numbers near the largest, no order is found
def identifiers(x: np.ndarray, names: tuple[str, ...], y: np.ndarray | None = None) -> dict[int, str]:
    """The columns of x (N, d) that number the examples, each with a phrase that says in what way.

    The rows are in the order of the file. `y`, the targets, are class numbers (N,) or numbers (N, m).

    >>> x = np.c_[np.arange(20), np.arange(20) % 7]
    >>> identifiers(x, ("", "day"))
    {0: 'counts the rows'}
    """
    n, d = x.shape
    if n < FEWEST_VALUES or d < 2:  # a single input is what the target is a function of
        return {}
    names = names or ("column",) * d
    ways = {int(c): _way(x[:, c].astype(np.float64), names[c].strip(), y) for c in _candidates(x)}
    return {c: way for c, way in ways.items() if way}


def _candidates(x: np.ndarray) -> np.ndarray:
    """The columns that have room for different whole numbers in nearly all rows, or seem to be sorted.

    These two tests are cheap: tables of 100,000 columns are common, and few of them pass.
    """
    n, low, high = len(x), x.min(0), x.max(0)
    has_room = high.astype(float) - low >= DISTINCT_SHARE * n - 1
    sample = x[np.linspace(0, n - 1, min(n, ROWS_SAMPLED)).astype(int)]
    return np.flatnonzero(has_room | _is_one_way(sample, ONE_WAY_SHARE) & (high > low))


def _is_one_way(x: np.ndarray, share: float = 1) -> np.ndarray:
    """For each column of x (N, ...): does this share of the steps from row to row go up, or go down?"""
    return np.maximum((x[1:] >= x[:-1]).mean(0), (x[1:] <= x[:-1]).mean(0)) >= share


def ranks(v: np.ndarray) -> np.ndarray:
    """The rank of each value; equal values share the mean of their ranks."""
    _, number, counts = np.unique(v, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[number]


def changes(y: np.ndarray) -> tuple[int, float]:
    """How often the class y (N,) changes from row to row, and how often it would in shuffled rows."""
    share = np.unique(y, return_counts=True)[1] / len(y)
    return int((y[1:] != y[:-1]).sum()), float((len(y) - 1) * (1 - (share**2).sum()))


def _run_count(y: np.ndarray) -> int:
    """The number of runs of one class that the rows fall into; 0 if nearly as many as in shuffled rows."""
    count, expected = changes(y)
    limit = max(len(np.unique(y)) - 1, RUN_CHANGES_SHARE * expected)
    if 0 < count <= limit < expected:
        return count + 1
    return 0


def _is_sorted(v: np.ndarray) -> bool:
    """Does v (N,) rise or fall with the row number, except in a few rows?"""
    if not _is_one_way(v, ONE_WAY_SHARE):
        return False
    return abs(np.corrcoef(ranks(v), np.arange(len(v)))[0, 1]) >= SORTED_CORRELATION


def _way(v: np.ndarray, name: str, y: np.ndarray | None) -> str:
    """In what way a column numbers the examples; empty if it does not."""
    distinct = len(np.unique(v))
    is_key = not name or bool(KEY_NAME.fullmatch(name) or CAMEL_CASE_KEY.fullmatch(name))
    is_meaningless = is_key or bool(MEANINGLESS_NAME.fullmatch(name))
    way = ""
    if distinct >= DISTINCT_SHARE * len(v):
        way = _as_time(v, bool(TIME_NAME.fullmatch(name)))
        if not way and is_meaningless:
            way = _as_number(v, distinct, is_key)
    if not way and distinct >= FEWEST_VALUES and y is not None:
        way = _as_order_of_targets(v, distinct, is_meaningless, y)
    return way


def _as_number(v: np.ndarray, distinct: int, is_key: bool) -> str:
    """In what way the values, nearly all different, number the rows, whatever the targets."""
    n, span = len(v), v.max() - v.min() + 1
    is_year = YEAR_RANGE[0] <= v.min() and v.max() <= YEAR_RANGE[1] and not is_key
    if is_year or (v != np.floor(v)).any():
        return ""
    if distinct == n == span:
        return "counts the rows" if (np.diff(v) > 0).all() else "numbers the rows in another order"
    if is_key:
        rows = "every row" if distinct == n else "almost every row"
        return f"is different in {rows}, and its name is that of a key"
    is_even = abs(np.corrcoef(v, np.arange(n))[0, 1]) >= EVEN_CORRELATION
    if _is_one_way(v) and (is_even or n >= LEAST_DENSITY * span):
        return "rises from row to row like a row number"
    return ""


def _as_order_of_targets(v: np.ndarray, distinct: int, is_meaningless: bool, y: np.ndarray) -> str:
    """In what way v (N,) says where in the file an example is, and so what its target is; else empty."""
    n = len(v)
    if _is_sorted(v):
        direction = "rises" if v[-1] > v[0] else "falls"
        for target in np.atleast_2d(y.T):
            sorted_by = _sorted_by(target, distinct, is_meaningless, y.ndim == 1)
            if sorted_by:
                return f"{direction} from row to row, and the rows are in the order of the {sorted_by}"
        return ""
    # n whole numbers without a gap are the order that the rows had before they were shuffled.
    is_permutation = distinct == n == v.max() - v.min() + 1
    if is_meaningless and is_permutation and y.ndim == 1 and _run_count(y[np.argsort(v)]):
        return "numbers the rows in the order of the classes"
    return ""


def _sorted_by(target: np.ndarray, distinct: int, is_meaningless: bool, are_classes: bool) -> str:
    """What the rows of a file are sorted by, classes or target, if a sorted column shows it; else empty."""
    if are_classes or len(np.unique(target)) <= MOST_INFERRED_CLASSES:
        runs = _run_count(target)
        if runs and distinct >= VALUES_PER_RUN * runs:
            return "classes"
    # The column may as well be what a number depends on, unless its name says nothing.
    elif is_meaningless and _is_sorted(target):
        return "target"
    return ""


def _as_time(v: np.ndarray, has_time_name: bool) -> str:
    """In what way v (N,), different in nearly every row, is the time of each; else empty."""
    rises = _is_one_way(v)
    if _are_dates(v):
        return "is a date that rises from row to row" if rises else "is a date of its own in nearly every row"
    if any(low <= v.min() and v.max() < high for low, high in TIME_STAMP_RANGES):
        if rises:
            return "is a time that rises from row to row"
        if has_time_name:
            return "is a time of its own in nearly every row"
    return ""


def _are_dates(v: np.ndarray) -> bool:
    """Whether all numbers are dates, written as 20261126."""
    if v.min() < DATE_RANGE[0] or v.max() >= DATE_RANGE[1] or (v != np.floor(v)).any():
        return False
    month, day = v // 100 % 100, v % 100
    return bool(((month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)).all())


def identifiers_of(dataset) -> dict[int, str]:
    """The identifiers of a `Dataset`."""
    rows = slice(None)
    if dataset.test is not None:
        # The data's own test set may be numbered from 1 again.
        rows = np.setdiff1d(np.arange(len(dataset.x)), dataset.test)
    return identifiers(dataset.x[rows], dataset.features, dataset.y[rows])


def warn_of_identifiers(dataset) -> None:
    """Advice, if an input numbers the examples."""
    for column, way in list(identifiers_of(dataset).items())[:1]:
        name = named_input(column, dataset.features)
        warnings.warn(f"{name} {way}: {IDENTIFIER_REMEDY}", Advice, stacklevel=3)


def named_input(column: int, names: tuple[str, ...]) -> str:
    """`the input 'id'`, or `input 3` where it has no name."""
    if names and names[column]:
        return f"the input '{names[column]}'"
    return f"input {column}"
