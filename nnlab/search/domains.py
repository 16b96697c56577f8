"""Domains: the set of values that a parameter of a search may take.

Choice((0.1, 0.01))                        any of these
Interval(1e-4, 1e-1, log=True)             any number between, both ends included
Interval(1, 5, whole=True)                 1, 2, 3, 4 or 5
Steps(0.0, 0.1, 6)                         0.0, 0.1, ..., 0.5
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

import numpy as np

from nnlab.allowed import LARGEST_EXACT_INTEGER
from nnlab.arguments import is_number, typed
from nnlab.choices import short_repr
from nnlab.errors import UserError, shortened

PLAIN_TYPES = (bool, int, float, str)  # types that Optuna stores unchanged
MAX_CELLS = 1_000_000  # in a grid: nobody waits for more


@typed(unchecked=("values",))
@dataclass(frozen=True)
class Choice:
    """Any of `values`: None, booleans, numbers, strings, or lists and mappings of these.

    Each value has a label: the value itself if it is of a plain type, else its text, `[64, 64]`.

    >>> Choice([0.1, [64, 64]]).labels
    (0.1, '[64, 64]')
    """

    values: tuple

    def __post_init__(self):
        values = self.values.tolist() if hasattr(self.values, "tolist") else self.values
        if not isinstance(values, (list, tuple, range)) or not values:
            raise UserError(f"a choice of {short_repr(values)}: expected a list of values")
        object.__setattr__(self, "values", tuple(values))
        for i, label in enumerate(self.labels):
            if label in self.labels[:i]:
                raise UserError(f"{label} is given twice")

    @cached_property
    def labels(self) -> tuple:
        return _make_labels(self.values, plain=True) or _make_labels(self.values, plain=False)

    def value(self, label):
        """The value of this label, or a value itself. Raises `UserError` for anything else."""
        try:
            if label in self.labels:
                return self.values[self.labels.index(label)]
            return self.values[self.values.index(label)]
        except ValueError:  # also of an array, which is equal to nothing
            raise UserError(f"{short_repr(label)} is not among {shortened(str(self), 200)}") from None

    def points(self, count: int | None) -> tuple:
        """Every label."""
        return self.labels

    def probe_labels(self) -> tuple:
        """If these labels are valid, all are: every label of a choice, the two ends of a range."""
        return self.labels

    def __str__(self) -> str:
        return ", ".join(map(str, self.labels))


NEAR_END = 0.02  # share of a range


@typed(unchecked=("low", "high"))
@dataclass(frozen=True)
class Interval:
    """A number of [low, high], whole if `whole`; `log`: uniform in its logarithm.

    `laid` is the number of grid points on this interval, both ends included; None: what the sampler says.

    >>> Interval(1, 64, log=True, whole=True).points(4)
    (1, 4, 16, 64)
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False
    laid: int | None = None

    def __post_init__(self):
        _read_numbers(self, ("low", "high"), self.whole)
        bounds = f"from {self.low:g} to {self.high:g}"
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise UserError(f"an interval {bounds} has no finite ends")
        if self.low > self.high:
            raise UserError(f"an interval {bounds} is empty: its first end must be the smaller one")
        if self.low == self.high:
            raise UserError(f"an interval {bounds} has one value: write that value instead")
        if self.log and self.low <= 0:
            raise UserError(f"a logarithmic interval {bounds} goes through zero: its ends must be above 0")
        if self.whole and self.high - self.low > LARGEST_EXACT_INTEGER:
            raise UserError(f"an interval {bounds} has too many whole numbers; allowed are 2^53")
        if self.laid is not None and not 2 <= self.laid <= MAX_CELLS:
            raise UserError(f"{self.laid} points on an interval: expected at least 2, at most {MAX_CELLS:,}")

    def value(self, label):
        if not is_number(label):
            raise UserError(f"{short_repr(label)} is not a number from {self}")
        return label

    def points(self, count: int | None) -> Sequence | None:
        """`count` of its numbers, evenly spread, both ends included; without a count all, or None if it has
        fractions."""
        count = self.laid or count
        if count is None:
            return range(self.low, self.high + 1) if self.whole else None
        spaced = np.geomspace if self.log else np.linspace
        points = spaced(self.low, self.high, count).tolist()
        points[0], points[-1] = self.low, self.high  # geomspace rounds
        if self.whole:
            points = dict.fromkeys(map(round, points))
        return tuple(points)

    def probe_labels(self) -> tuple:
        return self.low, self.high

    def end_near(self, number: float) -> str:
        """The end to which a number is so near that a better one may lie beyond: lower, upper; or "". Of a
        linear range from 0 the lower end is a limit, and no choice.

        >>> [Interval(1e-4, 1e-1, log=True).end_near(x) for x in (1e-4, 0.05, 0.099)]
        ['lower', '', 'upper']
        """
        scaled = math.log if self.log else float
        low, high = scaled(self.low), scaled(self.high)
        share = (scaled(number) - low) / (high - low)
        if share >= 1 - NEAR_END:
            return "upper"
        return "lower" if share <= NEAR_END and (self.log or self.low != 0) else ""

    def __str__(self) -> str:
        bounds = f"{self.low:g} to {self.high:g}"
        return f"{bounds} (log)" if self.log else bounds


@typed(unchecked=("start", "step", "count"))
@dataclass(frozen=True)
class Steps:
    """start, start + step, ...: `count` numbers, computed in decimals, so that 0.1 + 0.2 is 0.3.

    >>> Steps(0.1, 0.1, 3).points(None)
    (0.1, 0.2, 0.3)
    """

    start: float
    step: float
    count: int

    def __post_init__(self):
        _read_numbers(self, ("start", "step"))
        _read_numbers(self, ("count",), whole=True)
        if self.step == 0 and self.count > 1:
            raise UserError("steps of 0 do not get anywhere")
        if self.count < 1:
            raise UserError("a range that ends before it starts is empty")
        if self.count > MAX_CELLS:
            raise UserError(
                f"a range of {self.count:,} numbers is too long, allowed are {MAX_CELLS:,}: "
                f"write interval(...), or int(interval(...))"
            )

    @cached_property
    def labels(self) -> tuple:
        start, step = Decimal(str(self.start)), Decimal(str(self.step))
        numbers = [start + i * step for i in range(self.count)]
        whole = isinstance(self.start, int) and isinstance(self.step, int)
        return tuple(map(int if whole else float, numbers))

    def value(self, label):
        """The number nearest to `label`."""
        if not is_number(label):
            raise UserError(f"{short_repr(label)} is not a number from {self}")
        return self.labels[min(max(0, round((label - self.start) / self.step)), self.count - 1)]

    def probe_labels(self) -> tuple:
        return tuple(dict.fromkeys((self.labels[0], self.labels[-1])))

    def points(self, count: int | None) -> tuple:
        return self.labels

    def __str__(self) -> str:
        return f"{self.labels[0]:g} to {self.labels[-1]:g} in steps of {abs(self.step):g}"


Domain = Choice | Interval | Steps


def _read_numbers(domain: Domain, names: tuple[str, ...], whole: bool = False) -> None:
    """Convert these fields to Python's own numbers. Raises `UserError` for anything else."""
    for name in names:
        raw = getattr(domain, name)
        x = raw
        if hasattr(raw, "item") and getattr(raw, "ndim", 1) == 0:  # a number of numpy's or torch's
            x = raw.item()
        if whole and isinstance(x, float) and x.is_integer():
            x = int(x)
        types, expected = (int, float), "a number"
        if whole:
            types, expected = (int,), "a whole number"
        if isinstance(x, bool) or not isinstance(x, types):
            raise UserError(f"{type(domain).__name__}: {name} = {short_repr(raw)}: expected {expected}")
        if abs(x) > sys.float_info.max and x not in (math.inf, -math.inf):
            raise UserError(
                f"{type(domain).__name__}: {name} is beyond 1.8e308, the largest number that there is"
            )
        object.__setattr__(domain, name, x)


def _make_labels(values: tuple, plain: bool) -> tuple | None:
    """The labels of values: lists as text. `plain`: without quotes, or None where that is ambiguous."""
    quoted = [v if v is None or isinstance(v, PLAIN_TYPES) else str(v) for v in values]
    if not plain:
        return tuple(quoted)
    unquoted = [t.replace("'", "") if t is not v else v for t, v in zip(quoted, values, strict=True)]
    # Without quotes '1' and 1 have the same label.
    unambiguous = len(set(map(repr, unquoted))) == len(set(map(repr, quoted)))
    return tuple(unquoted) if unambiguous else None
