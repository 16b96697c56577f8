"""Inputs that number the examples: row numbers, indices, keys, time stamps.

Such a column says nothing of a new example, and where a file is sorted by class it gives the answer away:
every test example lies between two training examples of its class. That is how it is known, whatever numbers
it has: it goes up (or down) from row to row, and the targets come in runs along the file. Where they do not,
or where the rows were shuffled after they were numbered, its name must say what it is, or at least nothing
else: the numbers 1 to n may be a rank, and even steps a dose.
"""

from __future__ import annotations

import re
import warnings

import numpy as np

from nnlab.errors import Advice

_EXAMPLE = (
    "rows?|rec|records?|obs|observations?|cases?|samples?|specimens?|subjects?|patients?|participants?|persons?"
    "|clients?|customers?|users?|members?|passengers?|students?|employees?|entry|entries|instances?|examples?"
    "|serial|seq|sequence"
)
_THING = (
    f"{_EXAMPLE}|accounts?|orders?|invoices?|tickets?|transactions?|items?|lines?|images?|files?"
    "|documents?|policy|contracts?|devices?|products?|articles?|visits?|studies|study|reference|registration"
)
_NUMBER = "id|ids|index|idx|key|no|nr|nbr|num|number|code|uuid|guid|#"
KEY = re.compile(
    rf"unnamed(: ?\d+)?|column 0|rownames?|{_EXAMPLE}|{_NUMBER}|({_THING})[ _.-]?({_NUMBER})"
    r"|.*[ _.-](id|ids|idx|key|uuid|guid)",
    re.IGNORECASE,
)  # "column 0" is what a nameless first column is called
CAMEL = re.compile(r".*[a-z](Id|ID|Idx|Key)")
SAYS_NOTHING = re.compile(r"[a-z]\d*|(col|column|var|variable|feature|feat|field|input|attr)[ _.-]?\d*", re.I)
TIME = re.compile(
    r"(.*[ _.-])?(time|timestamp|ts|date|datetime|when|epoch|created|updated)([ _.-]?(at|on))?", re.I
)
FEWEST = 10  # examples, or different values; among fewer, whole numbers are all different by chance
DENSE = 0.5  # of the numbers from the least to the largest are there: rows that were left out leave gaps
EVEN = 0.9999  # correlation with the row number: steps that are as good as equal
DIFFERENT = 0.9  # of the values, in a column whose name says that it is a key
STEPS, SORTED = 0.9, 0.99  # of the steps go one way; rank correlation with the row number
RUNS = 0.15  # of the changes of class that shuffled rows have
EACH = 3  # different values to a run of one class: a column with one value for each class is a copy of it
LOOKED_AT = 2000  # rows, before whole columns are
STAMPS = ((1e8, 1e10), (1e11, 1e13), (1e14, 1e16), (1e17, 1e19))  # seconds to nanoseconds: 1973 to 2286
DATES = (19_000_101, 22_000_101)  # 20261126


@np.errstate(over="ignore", invalid="ignore")  # of numbers near the largest, no order is found
def identifiers(x: np.ndarray, names: tuple[str, ...], y: np.ndarray | None = None) -> dict[int, str]:
    """The columns of x (N, d), in the order of the file, that number the examples, and in what way.

    `y`, the targets, are class numbers (N,) or numbers (N, m).

    >>> x = np.c_[np.arange(20), np.arange(20) % 7]
    >>> identifiers(x, ("", "day"))
    {0: 'counts the rows'}
    """
    n, d = x.shape
    if n < FEWEST or d < 2:  # a single input is what the target is a function of
        return {}
    low, high = x.min(0), x.max(0)
    wide = high.astype(float) - low >= DIFFERENT * n - 1  # room for so many whole numbers
    wide |= _one_way(x[np.linspace(0, n - 1, min(n, LOOKED_AT)).astype(int)], STEPS) & (high > low)
    names = names or ("column",) * d
    found = {int(c): _how(x[:, c].astype(np.float64), names[c].strip(), y) for c in np.flatnonzero(wide)}
    return {c: how for c, how in found.items() if how}


def _one_way(x: np.ndarray, steps: float = 1) -> np.ndarray:
    """Of each column of x (N, ...): do so many of the steps from row to row go up, or so many down?"""
    return np.maximum((x[1:] >= x[:-1]).mean(0), (x[1:] <= x[:-1]).mean(0)) >= steps


def ranks(v: np.ndarray) -> np.ndarray:
    """Of each value, equal ones having the mean of theirs."""
    _, number, counts = np.unique(v, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[number]


def changes(y: np.ndarray) -> tuple[int, float]:
    """How often the class y (N,) changes from row to row, and how often it would in shuffled rows."""
    share = np.unique(y, return_counts=True)[1] / len(y)
    return int((y[1:] != y[:-1]).sum()), float((len(y) - 1) * (1 - (share**2).sum()))


def _in_runs(y: np.ndarray) -> int:
    """Into how many runs of one class the rows fall; 0 if into nearly as many as shuffled rows."""
    count, expected = changes(y)
    return count + 1 if count and count <= max(len(np.unique(y)) - 1, RUNS * expected) < expected else 0


def _sorted(v: np.ndarray) -> bool:
    """Does v (N,) rise or fall with the row number, but for a few rows?"""
    if not _one_way(v, STEPS):
        return False
    return abs(np.corrcoef(ranks(v), np.arange(len(v)))[0, 1]) >= SORTED


def _how(v: np.ndarray, name: str, y: np.ndarray | None) -> str:
    """In what way a column numbers the examples; empty if it does not."""
    different = len(np.unique(v))
    key = not name or bool(KEY.fullmatch(name) or CAMEL.fullmatch(name))
    silent = key or bool(SAYS_NOTHING.fullmatch(name))
    how = ""
    if different >= DIFFERENT * len(v):
        how = _time(v, bool(TIME.fullmatch(name))) or _counts(v, different, key, silent)
    if not how and different >= FEWEST and y is not None:
        how = _gives_away(v, different, silent, y)
    return how


def _counts(v: np.ndarray, different: int, key: bool, silent: bool) -> str:
    """In what way nearly all different values number the rows, whatever the targets."""
    n, span = len(v), v.max() - v.min() + 1
    year = v.min() >= 1500 and v.max() <= 2200 and not key
    if not silent or year or (v != np.floor(v)).any():
        return ""
    if different == n == span:
        return "counts the rows" if (np.diff(v) > 0).all() else "numbers the rows in another order"
    if key:
        rows = "every row" if different == n else "almost every row"
        return f"is different in {rows}, and its name is that of a key"
    even = abs(np.corrcoef(v, np.arange(n))[0, 1]) >= EVEN
    return "rises from row to row like a row number" if _one_way(v) and (even or n >= DENSE * span) else ""


def _gives_away(v: np.ndarray, different: int, silent: bool, y: np.ndarray) -> str:
    """In what way v (N,) says where in the file an example is, and with it the target; else empty.

    Targets that are numbers are in order if the file is sorted by them: then v may as well be what they
    depend on, unless its name says nothing. And n whole numbers without a gap are the order that the rows had
    before they were shuffled.
    """
    n, goes = len(v), "rises" if v[-1] > v[0] else "falls"
    if _sorted(v):
        for t in y[:, None].T if y.ndim == 1 else y.T:
            few = y.ndim == 1 or len(np.unique(t)) <= 20
            runs = _in_runs(t) if few else 0
            if runs and different >= EACH * runs:
                return f"{goes} from row to row, and the rows are in the order of the classes"
            if silent and not few and _sorted(t):
                return f"{goes} from row to row, and the rows are in the order of the target"
    elif silent and different == n == v.max() - v.min() + 1 and y.ndim == 1 and _in_runs(y[np.argsort(v)]):
        return "numbers the rows in the order of the classes"
    return ""


def _time(v: np.ndarray, named: bool) -> str:
    """Whether v (N,), different in nearly every row, is a time of each."""
    rises = _one_way(v)
    if DATES[0] <= v.min() and v.max() < DATES[1] and (v == np.floor(v)).all():
        month, day = v // 100 % 100, v % 100
        if ((month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)).all():
            return (
                "is a date that rises from row to row"
                if rises
                else "is a date of its own in nearly every row"
            )
    if any(low <= v.min() and v.max() < high for low, high in STAMPS):
        if rises:
            return "is a time that rises from row to row"
        return "is a time of its own in nearly every row" if named else ""
    return ""


def identifiers_of(dataset) -> dict[int, str]:
    """Those of a `Dataset`: a test set of its own may be numbered anew, so its rows do not count."""
    rows = slice(None)
    if dataset.test is not None:
        rows = np.setdiff1d(np.arange(len(dataset.x)), dataset.test)
    return identifiers(dataset.x[rows], dataset.features, dataset.y[rows])


def warn_of_identifiers(dataset) -> None:
    """Advice, if an input numbers the examples."""
    for c, how in list(identifiers_of(dataset).items())[:1]:
        warnings.warn(f"{named_input(c, dataset.features)} {how}: {REMEDY}", Advice, stacklevel=3)


REMEDY = "take the column out of the file, unless new examples have it too and it means something"


def named_input(column: int, names: tuple[str, ...]) -> str:
    """`the input 'id'`, or by its number where it has no name."""
    return f"the input '{names[column]}'" if names and names[column] else f"input {column}"
