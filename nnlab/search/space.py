"""The space of a search: what each parameter may be. One object, which every sampler sees alike.

A parameter is a key of the settings, `optimizer.lr`, or a group, `optimizer`; it has a domain:

    Choice((0.1, 0.01))                        any of these
    Interval(1e-4, 1e-1, log=True)             any number between, both ends included
    Interval(1, 5, whole=True)                 1, 2, 3, 4 or 5
    Steps(0.0, 0.1, 6)                         0.0, 0.1, ..., 0.5

A parameter whose key a choice of a group does not have (`optimizer.momentum` of optimizer=adam) is no part
of the trials with that choice.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

import numpy as np

from nnlab.allowed import EXACT
from nnlab.arguments import is_number, typed
from nnlab.choices import shown
from nnlab.errors import UserError, nearest, shortened

PLAIN = (bool, int, float, str)  # what Optuna keeps as it is
MANY = 1_000_000  # cells of a grid, beyond which nobody waits for it


@typed(but=("values",))
@dataclass(frozen=True)
class Choice:
    """Any of `values`: None, truth values, numbers, words, or lists and mappings of these.

    A value is known by its label: itself if it is a plain one, else its text, `[64, 64]`.

    >>> Choice([0.1, [64, 64]]).labels
    (0.1, '[64, 64]')
    """

    values: tuple

    def __post_init__(self):
        given = self.values.tolist() if hasattr(self.values, "tolist") else self.values
        if not isinstance(given, (list, tuple, range)) or not given:
            raise UserError(f"a choice of {shown(given)}: expected a list of values")
        object.__setattr__(self, "values", tuple(given))
        for i, label in enumerate(self.labels):
            if label in self.labels[:i]:
                raise UserError(f"{label} is given twice")

    @cached_property
    def labels(self) -> tuple:
        return _labels(self.values, plain=True) or _labels(self.values, plain=False)

    def value(self, label):
        """The value of this label, or a value itself. Raises `UserError` for what is none."""
        try:
            return self.values[self.labels.index(label) if label in self.labels else self.values.index(label)]
        except ValueError:  # also of an array, which is equal to nothing
            raise UserError(f"{shown(label)} is not among {shortened(str(self), 200)}") from None

    def points(self, count: int | None) -> tuple:
        """Every label."""
        return self.labels

    def ends(self) -> tuple:
        """The labels that must be right for all to be: every one, or the ends of a range."""
        return self.labels

    def distribution(self):
        """What Optuna knows of it."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.labels)

    def __str__(self) -> str:
        return ", ".join(map(str, self.labels))


@typed(but=("low", "high"))
@dataclass(frozen=True)
class Interval:
    """A number of [low, high], whole if `whole`; `log`: as evenly spread in its logarithm.

    `laid` is how many points a grid lays on it, its ends among them, if it says so itself.

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
        ends = f"from {self.low:g} to {self.high:g}"
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise UserError(f"an interval {ends} has no finite ends")
        if self.low > self.high:
            raise UserError(f"an interval {ends} is empty: its first end must be the smaller one")
        if self.low == self.high:
            raise UserError(f"an interval {ends} has one value: write that value instead")
        if self.log and self.low <= 0:
            raise UserError(f"a logarithmic interval {ends} goes through zero: its ends must be above 0")
        if self.whole and self.high - self.low > EXACT:
            raise UserError(f"an interval {ends} has too many whole numbers; allowed are 2^53")
        if self.laid is not None and not 2 <= self.laid <= MANY:
            raise UserError(f"{self.laid} points on an interval: expected at least 2, at most {MANY:,}")

    def value(self, label):
        if not is_number(label):
            raise UserError(f"{shown(label)} is no number from {self}")
        return label

    def points(self, count: int | None) -> Sequence | None:
        """`count` of its numbers, evenly spread, both ends included; all if whole; None if uncountable."""
        count = self.laid or count
        if count is None:
            return range(self.low, self.high + 1) if self.whole else None
        spaced = np.geomspace if self.log else np.linspace
        points = spaced(self.low, self.high, count).tolist()
        points[0], points[-1] = self.low, self.high  # geomspace rounds
        return tuple(dict.fromkeys(map(round, points))) if self.whole else tuple(points)

    def ends(self) -> tuple:
        return self.low, self.high

    def distribution(self):
        from optuna.distributions import FloatDistribution, IntDistribution

        return (IntDistribution if self.whole else FloatDistribution)(self.low, self.high, log=self.log)

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}" + (" (log)" if self.log else "")


@typed(but=("start", "step", "count"))
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
        if self.count > MANY:
            raise UserError(
                f"a range of {self.count:,} numbers is too long, allowed are {MANY:,}: write interval(...), "
                f"or int(interval(...))"
            )

    @cached_property
    def labels(self) -> tuple:
        start, step = Decimal(str(self.start)), Decimal(str(self.step))
        numbers = [start + i * step for i in range(self.count)]
        whole = isinstance(self.start, int) and isinstance(self.step, int)
        return tuple((int if whole else float)(x) for x in numbers)

    def value(self, label):
        """The number nearest to `label`: a sampler's own sum of steps may be off by a rounding."""
        if not is_number(label):
            raise UserError(f"{shown(label)} is no number from {self}")
        return self.labels[min(max(0, round((label - self.start) / self.step)), self.count - 1)]

    def ends(self) -> tuple:
        return tuple(dict.fromkeys((self.labels[0], self.labels[-1])))

    def points(self, count: int | None) -> tuple:
        return self.labels

    def distribution(self):
        from optuna.distributions import FloatDistribution, IntDistribution

        low, high = sorted((self.labels[0], self.labels[-1]))
        kind = IntDistribution if isinstance(low, int) else FloatDistribution
        return kind(low, high, step=abs(self.step))

    def __str__(self) -> str:
        return f"{self.labels[0]:g} to {self.labels[-1]:g} in steps of {abs(self.step):g}"


Domain = Choice | Interval | Steps


def _read_numbers(domain: Domain, names: tuple[str, ...], whole: bool = False) -> None:
    """These fields as Python's own numbers; raises `UserError` for what is none."""
    for name in names:
        given = getattr(domain, name)
        x = given.item() if hasattr(given, "item") and getattr(given, "ndim", 1) == 0 else given
        x = int(x) if whole and isinstance(x, float) and x.is_integer() else x
        if isinstance(x, bool) or not isinstance(x, int if whole else int | float):
            expected = "a whole number" if whole else "a number"
            raise UserError(f"{type(domain).__name__}: {name} = {shown(given)}: expected {expected}")
        if abs(x) > sys.float_info.max and x not in (math.inf, -math.inf):
            raise UserError(
                f"{type(domain).__name__}: {name} is beyond 1.8e308, the largest number that there is"
            )
        object.__setattr__(domain, name, x)


def _labels(values: tuple, plain: bool) -> tuple | None:
    """What values are known by: lists as text, in which words have quotes only if they are needed."""
    texts = [v if v is None or isinstance(v, PLAIN) else str(v) for v in values]
    if not plain:
        return tuple(texts)
    short = [t.replace("'", "") if t is not v else v for t, v in zip(texts, values, strict=True)]
    return tuple(short) if len(set(map(repr, short))) == len(set(map(repr, texts))) else None


@typed
@dataclass(frozen=True)
class Space:
    """Parameters by key, in the order in which they are chosen and a grid turns over.

    `groups` are those that pick a choice of a group; `has(key, chosen)` tells whether the settings have
    the key once the groups are `chosen`.
    """

    domains: dict[str, Domain]
    groups: Set[str] = frozenset()
    has: Callable[[str, dict], bool] = field(default=lambda key, chosen: True, compare=False)

    @cached_property
    def conditional(self) -> bool:
        """Whether some parameter is no part of some trials."""
        return len({tuple(keys) for keys in map(self.keys, self.choices())}) > 1

    def keys(self, chosen: dict) -> list[str]:
        """The parameters of a trial whose groups are `chosen`: the groups, then its keys."""
        own = [key for key in self.domains if key not in self.groups and self.has(key, chosen)]
        return [*(key for key in self.domains if key in self.groups), *own]

    @cached_property
    def always(self) -> list[str]:
        """The parameters that every trial has."""
        each = [set(self.keys(chosen)) for chosen in self.choices()]
        return [key for key in self.domains if all(key in keys for keys in each)]

    def draw(self, suggest: Callable[[str, Domain], object]) -> dict:
        """A trial's parameters, key -> label, each as `suggest` has it."""
        drawn = {key: suggest(key, self.domains[key]) for key in self.domains if key in self.groups}
        for key in self.keys(drawn)[len(drawn) :]:
            label = suggest(key, self.domains[key])
            drawn[key] = self.domains[key].value(label) if isinstance(self.domains[key], Steps) else label
        return drawn

    @typed
    def values(self, params: dict) -> dict:
        """The parameters as the settings have them: key -> value. Raises `UserError` for what is none."""
        values = {}
        for key, label in params.items():
            if key not in self.domains:
                raise UserError(f"params: no parameter '{key}'{nearest(key, self.domains)}")
            try:
                values[key] = self.domains[key].value(label)
            except UserError as e:
                raise UserError(f"params['{key}'] = {e}") from None
        return values

    @typed
    def count(self, points: int | None = None) -> int | None:
        """How many different trials there are, with so many `points` on each interval; None: no end."""
        total = 0
        for chosen in self.choices():
            each = [self.domains[key].points(points) for key in self.keys(chosen) if key not in chosen]
            if any(axis is None for axis in each):
                return None
            total += math.prod(map(len, each))
        return total

    @typed
    def cells(self, points: int | None = None) -> Iterator[dict]:
        """Every trial of the grid; the last parameter changes fastest.

        Raises `UserError` for an interval without a number of points, and for a grid beyond all patience.
        """
        endless = [key for key, domain in self.domains.items() if domain.points(points) is None]
        for key in endless[:1]:
            raise UserError(
                f"{key} is any number from {self.domains[key]}: a grid needs points on it; write "
                f"sampler.points=5, tag(points5,interval(...)) or choice(...)"
            )
        if self.count(points) > MANY:
            raise UserError(
                f"the grid has {self.count(points):,} cells, too many to keep; allowed are {MANY:,}: "
                f"take fewer points, or sampler=random with trials=..."
            )
        choices = self.choices()
        return (cell for c in choices for cell in self._product(c, self.keys(c)[len(c) :], points))

    def _product(self, so_far: dict, keys: list[str], points) -> Iterator[dict]:
        if not keys:
            yield so_far
            return
        for label in self.domains[keys[0]].points(points):
            yield from self._product(so_far | {keys[0]: label}, keys[1:], points)

    def choices(self) -> list[dict]:
        """Every combination of choices of groups."""
        groups = [key for key in self.domains if key in self.groups]
        return list(Space({key: self.domains[key] for key in groups})._product({}, groups, None))
