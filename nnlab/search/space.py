"""The space of a search: its parameters and what each may be. One object, which every sampler sees alike.

A parameter is a key of the settings, `optimizer.lr`, or a group, `optimizer`; it has a domain (`domains.py`).
A parameter whose key a choice of a group does not have (`optimizer.momentum` of optimizer=adam) is not among
the parameters of trials with that choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from functools import cached_property

from nnlab.arguments import typed
from nnlab.errors import UserError, nearest
from nnlab.search.domains import CELLS_AT_MOST, Domain, Steps


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
        """Whether some trials lack some parameter."""
        return len({tuple(keys) for keys in map(self.keys, self.choices())}) > 1

    def keys(self, chosen: dict) -> list[str]:
        """The parameters of a trial whose groups are `chosen`: the groups, then its keys."""
        groups = [key for key in self.domains if key in self.groups]
        others = [key for key in self.domains if key not in self.groups and self.has(key, chosen)]
        return groups + others

    @cached_property
    def always(self) -> list[str]:
        """The parameters that every trial has."""
        each = [set(self.keys(chosen)) for chosen in self.choices()]
        return [key for key in self.domains if all(key in keys for keys in each)]

    def draw(self, suggest: Callable[[str, Domain], object]) -> dict:
        """A trial's parameters, key -> label, each as `suggest` has it."""
        drawn = {key: suggest(key, self.domains[key]) for key in self.domains if key in self.groups}
        for key in self.keys(drawn)[len(drawn) :]:
            domain = self.domains[key]
            drawn[key] = suggest(key, domain)
            if isinstance(domain, Steps):  # a sampler's sum of steps may be off by a rounding
                drawn[key] = domain.value(drawn[key])
        return drawn

    @typed
    def values(self, params: dict) -> dict:
        """The parameters as the settings have them: key -> value. Raises `UserError` for unknown ones."""
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

        Raises `UserError` for an interval without a number of points, and for a grid that is too large.
        """
        for key, domain in self.domains.items():
            if domain.points(points) is None:
                raise UserError(
                    f"{key} is any number from {domain}: a grid needs a number of points on it; write "
                    f"sampler.points=5, tag(points5,interval(...)) or choice(...)"
                )
        if self.count(points) > CELLS_AT_MOST:
            raise UserError(
                f"the grid has {self.count(points):,} cells, too many to keep; "
                f"allowed are {CELLS_AT_MOST:,}: take fewer points, or sampler=random with trials=..."
            )
        choices = self.choices()
        # A generator of its own, so that faults are raised here and not when the first cell is asked for.
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
