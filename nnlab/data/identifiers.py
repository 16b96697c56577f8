"""Detects ID columns: inputs that merely number the examples, such as row numbers, keys and time stamps.

An ID says nothing about a new example. In a file that is sorted by class it even leaks the target: every
test example lies between two training examples of its class. This is how an ID is detected whatever its
values: it rises (or falls) from row to row, and the classes come in runs along the file. In other files, and
where the rows were shuffled after they were numbered, its name must be that of a key, or at least mean
nothing else: the numbers 1 to n may be a rank, and equal steps a dose.
"""

from __future__ import annotations

import re

import numpy as np

from nnlab.data.columns import SAID_BY_USER
from nnlab.data.labels import MOST_INFERRED_CLASSES
from nnlab.errors import advise

_EXAMPLE_NOUNS = (
    "rows?|rec|records?|obs|observations?|cases?|samples?|specimens?|subjects?|patients?|participants?|persons?"
    "|clients?|customers?|users?|members?|passengers?|students?|employees?|entry|entries|instances?|examples?"
    "|serial|seq|sequence"
)
_ENTITY_NOUNS = (
    f"{_EXAMPLE_NOUNS}|accounts?|orders?|invoices?|tickets?|transactions?|items?|lines?|images?|files?"
    "|documents?|policy|contracts?|devices?|products?|articles?|visits?|studies|study|reference|registration"
)
_ID_NOUNS = "id|ids|index|idx|key|no|nr|nbr|num|number|code|uuid|guid|#"
# `Table` calls a first column without a name "column 0".
KEY_NAME = re.compile(
    rf"unnamed(: ?\d+)?|column 0|rownames?|{_EXAMPLE_NOUNS}|{_ID_NOUNS}"
    rf"|({_ENTITY_NOUNS})[ _.-]?({_ID_NOUNS})"
    r"|.*[ _.-](id|ids|idx|key|uuid|guid)"
    r"|(.*[ _.-])?(lfd|kennung|n°|nº|№|núm|num[eé]ro|número|numer)\.?|.*(nr|nummer)\.?",  # in other languages
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
YEAR_NAME = re.compile(r"(.*[ _.-])?(year|month|week|quarter|jahr|monat|woche)", re.IGNORECASE)
# With fewer examples, or fewer distinct values, whole numbers are often distinct by chance.
FEWEST_VALUES = 10
# The least share of the integers between minimum and maximum that occur: removed rows leave gaps.
LEAST_DENSITY = 0.5
EVEN_STEPS_CORRELATION = 0.9999  # correlation with the row number above which all steps are equal
DISTINCT_SHARE = 0.9  # least share of distinct values in an ID column
MONOTONIC_SHARE = 0.9  # least share of steps from row to row in one direction, in a sorted column
SORTED_CORRELATION = 0.99  # least rank correlation with the row number, in a sorted column
# With at most this share of the class changes that shuffled rows have, the classes come in runs.
RUN_CHANGES_SHARE = 0.15
# A column with one value per class is a copy of the class, not a row number.
VALUES_PER_RUN = 3
ROWS_SAMPLED = 2000  # for the quick test that selects the columns to examine in full
TIME_STAMP_RANGES = ((1e8, 1e10), (1e11, 1e13), (1e14, 1e16), (1e17, 1e19))  # s, ms, us, ns: 1973 to 2286
DATE_RANGE = (19_000_101, 22_000_101)  # YYYYMMDD
YEAR_RANGE = (1500, 2200)
IDENTIFIER_REMEDY = "take the column out of the file, unless new examples have it too and it means something"


@np.errstate(over="ignore", invalid="ignore")  # near the largest float, no order is detected
def find_identifiers(x: np.ndarray, names: tuple[str, ...], y: np.ndarray | None = None) -> dict[int, str]:
    """The ID columns of x (N, d): {column: description of how it numbers the examples}.

    The rows are in the order of the file. `y`, the targets, are class indices (N,) or numbers (N, m).

    >>> x = np.c_[np.arange(20), np.arange(20) % 7]
    >>> find_identifiers(x, ("", "day"))
    {0: 'counts the rows'}
    """
    # A single input is the only thing the target can depend on.
    return _identifiers(x, names, y) if x.shape[1] > 1 else {}


def _identifiers(x: np.ndarray, names: tuple[str, ...], y: np.ndarray | None) -> dict[int, str]:
    n, d = x.shape
    if n < FEWEST_VALUES or not d:
        return {}
    names = names or ("column",) * d
    descriptions = {
        int(c): _describe(x[:, c].astype(np.float64), names[c].strip(), y) for c in _candidates(x)
    }
    return {c: description for c, description in descriptions.items() if description}


def _candidates(x: np.ndarray) -> np.ndarray:
    """The columns worth a full test: their range has an integer for nearly every row, or they seem sorted.

    Both tests are cheap: tables of 100,000 columns are common, and few columns pass.
    """
    n, low, high = len(x), x.min(0), x.max(0)
    spans_all_rows = high.astype(float) - low >= DISTINCT_SHARE * n - 1
    sample = x[np.linspace(0, n - 1, min(n, ROWS_SAMPLED)).astype(int)]
    return np.flatnonzero(spans_all_rows | _is_monotonic(sample, MONOTONIC_SHARE) & (high > low))


def _is_monotonic(x: np.ndarray, share: float = 1) -> np.ndarray:
    """For each column of x (N, ...): do at least this share of the steps go in one direction?"""
    return np.maximum((x[1:] >= x[:-1]).mean(0), (x[1:] <= x[:-1]).mean(0)) >= share


def ranks(v: np.ndarray) -> np.ndarray:
    """The rank of each value; equal values share the mean of their ranks."""
    _, index, counts = np.unique(v, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[index]


def class_changes(y: np.ndarray) -> tuple[int, float]:
    """How often the class y (N,) changes from row to row, and how often it would in shuffled rows."""
    share = np.unique(y, return_counts=True)[1] / len(y)
    return int((y[1:] != y[:-1]).sum()), float((len(y) - 1) * (1 - (share**2).sum()))


def _run_count(y: np.ndarray) -> int:
    """How many runs of equal class the rows consist of; 0 if nearly as many as in shuffled rows."""
    count, expected = class_changes(y)
    limit = max(len(np.unique(y)) - 1, RUN_CHANGES_SHARE * expected)
    if 0 < count <= limit < expected:
        return count + 1
    return 0


def _is_sorted(v: np.ndarray) -> bool:
    """Does v (N,) rise or fall with the row number, except in a few rows?"""
    if not _is_monotonic(v, MONOTONIC_SHARE):
        return False
    return abs(np.corrcoef(ranks(v), np.arange(len(v)))[0, 1]) >= SORTED_CORRELATION


def _describe(v: np.ndarray, name: str, y: np.ndarray | None) -> str:
    """How a column numbers the examples, as a phrase; empty if it does not."""
    distinct = len(np.unique(v))
    is_key = is_key_name(name)
    is_meaningless = is_key or bool(MEANINGLESS_NAME.fullmatch(name))
    description = ""
    if distinct >= DISTINCT_SHARE * len(v):
        description = _describe_time(v, bool(TIME_NAME.fullmatch(name)))
        if not description and is_meaningless:
            description = _describe_number(v, distinct, is_key)
    if not description and distinct >= FEWEST_VALUES and y is not None:
        description = _describe_target_order(v, distinct, is_meaningless, y)
    return description


def _describe_number(v: np.ndarray, distinct: int, is_key: bool) -> str:
    """How the values, nearly all distinct, number the rows, whatever the targets; empty if they do not."""
    n, span = len(v), v.max() - v.min() + 1
    is_year = YEAR_RANGE[0] <= v.min() and v.max() <= YEAR_RANGE[1] and not is_key
    if is_year or (v != np.floor(v)).any():
        return ""
    if distinct == n == span:
        return "counts the rows" if (np.diff(v) > 0).all() else "numbers the rows in another order"
    if is_key:
        rows = "every row" if distinct == n else "almost every row"
        return f"is different in {rows}, and its name is that of a key"
    has_even_steps = abs(np.corrcoef(v, np.arange(n))[0, 1]) >= EVEN_STEPS_CORRELATION
    if _is_monotonic(v) and (has_even_steps or n >= LEAST_DENSITY * span):
        return "rises from row to row like a row number"
    return ""


def _describe_target_order(v: np.ndarray, distinct: int, is_meaningless: bool, y: np.ndarray) -> str:
    """How v (N,) gives away an example's position in the file and so its target; empty if it does not."""
    n = len(v)
    if _is_sorted(v):
        direction = "rises" if v[-1] > v[0] else "falls"
        for target in np.atleast_2d(y.T):
            sort_key = _sort_key(target, distinct, is_meaningless, y.ndim == 1)
            if sort_key:
                return f"{direction} from row to row, and the rows are in the order of the {sort_key}"
        return ""
    # n whole numbers without a gap are the order of the rows before they were shuffled.
    is_permutation = distinct == n == v.max() - v.min() + 1
    if is_meaningless and is_permutation and y.ndim == 1 and _run_count(y[np.argsort(v)]):
        return "numbers the rows in the order of the classes"
    return ""


def _sort_key(target: np.ndarray, distinct: int, is_meaningless: bool, are_classes: bool) -> str:
    """What a sorted column shows the rows to be sorted by, classes or target; else empty."""
    if are_classes or len(np.unique(target)) <= MOST_INFERRED_CLASSES:
        runs = _run_count(target)
        if runs and distinct >= VALUES_PER_RUN * runs:
            return "classes"
    # The column may as well be what a number depends on, unless its name says nothing.
    elif is_meaningless and _is_sorted(target):
        return "target"
    return ""


def _describe_time(v: np.ndarray, has_time_name: bool) -> str:
    """How v (N,), distinct in nearly every row, is a date or time of each; empty if it is not."""
    rises = _is_monotonic(v)
    if _are_dates(v):
        return "is a date that rises from row to row" if rises else "is a date of its own in nearly every row"
    if any(low <= v.min() and v.max() < high for low, high in TIME_STAMP_RANGES):
        if rises:
            return "is a time that rises from row to row"
        if has_time_name:
            return "is a time of its own in nearly every row"
    return ""


def _are_dates(v: np.ndarray) -> bool:
    """Whether all numbers are dates written as YYYYMMDD."""
    if v.min() < DATE_RANGE[0] or v.max() >= DATE_RANGE[1] or (v != np.floor(v)).any():
        return False
    month, day = v // 100 % 100, v % 100
    return bool(((month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)).all())


def key_column(names) -> int | None:
    """The first of these columns whose name is that of a key, such as `id` or `customer_id`; None if none."""
    return next((i for i, name in enumerate(names) if is_key_name(name.strip())), None)


def is_key_name(name: str) -> bool:
    """Whether the name of a column says that it numbers the rows."""
    return not name or bool(KEY_NAME.fullmatch(name) or CAMEL_CASE_KEY.fullmatch(name))


def dataset_identifiers(dataset) -> dict[int, str]:
    """`find_identifiers` in the inputs of a `Dataset` that are numbers, none of them missing."""
    rows = slice(None)
    if dataset.test is not None:
        # The data's own test set may be numbered from 1 again, so leave it out.
        rows = np.setdiff1d(np.arange(len(dataset.x)), dataset.test)
    x, names = dataset.number_inputs, dataset.spec.features
    if not isinstance(x, np.ndarray):  # in a file, of images or of very many examples
        return {}
    if not dataset.columns:
        return find_identifiers(x[rows], names, dataset.y[rows])
    if dataset.spec.inputs < 2:
        return {}
    whole = np.flatnonzero(~np.isnan(x).any(0))
    identifiers = _identifiers(x[rows][:, whole], tuple(names[i] for i in whole), dataset.y[rows])
    return {int(whole[i]): description for i, description in identifiers.items()}


def warn_of_identifiers(dataset) -> None:
    """Advice, if an input is an ID column; in a table, if it is one that the user did not ask for."""
    asked_for = {column.name for column in dataset.columns if column.reason == SAID_BY_USER}
    asked_for |= {name for column in dataset.columns if column.parts for name, _ in column.raw}  # of dates
    names = dataset.spec.features
    identifiers = [
        (input_name(i, names), description)
        for i, description in dataset_identifiers(dataset).items()
        if not names or names[i] not in asked_for
    ]
    for name, description in identifiers[:1]:
        advise(f"{name} {description}: {IDENTIFIER_REMEDY}")


def input_name(column: int, names: tuple[str, ...]) -> str:
    """`the input 'id'`, or `input 3` where it has no name."""
    if names and names[column]:
        return f"the input '{names[column]}'"
    return f"input {column}"
