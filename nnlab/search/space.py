"""The search space: its parameters and their domains, in one object for all samplers.

A parameter is a key of the settings, `optimizer.lr`, or a group, `optimizer`; it has a domain (`domains.py`).
A parameter may be conditional: trials with optimizer=adam have no `optimizer.momentum`, since Adam does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field, replace
from functools import cached_property

from nnlab.arguments import typed
from nnlab.errors import UserError, nearest
from nnlab.search.domains import MAX_CELLS, Domain, Interval, Steps


@typed
@dataclass(frozen=True)
class Space:
    """Parameters by key, in the order in which a sampler draws them and a grid nests them.

    `groups` are the parameters that choose a class, such as `optimizer`; `has(key, choices)` says whether
    the settings have the key if the groups have these `choices`.
    """

    domains: dict[str, Domain]
    groups: Set[str] = frozenset()
    has: Callable[[str, dict], bool] = field(default=lambda key, choices: True, compare=False)

    @cached_property
    def conditional(self) -> bool:
        """Whether some parameters are part of some trials only."""
        return len({tuple(keys) for keys in map(self.keys, self.choices())}) > 1

    def keys(self, choices: dict) -> list[str]:
        """The parameters of a trial with these choices of the groups: the groups, then all others."""
        groups = [key for key in self.domains if key in self.groups]
        other_keys = [key for key in self.domains if key not in self.groups and self.has(key, choices)]
        return groups + other_keys

    @cached_property
    def always(self) -> list[str]:
        """The parameters that every trial has."""
        axes = [set(self.keys(choices)) for choices in self.choices()]
        return [key for key in self.domains if all(key in keys for keys in axes)]

    def draw(self, suggest: Callable[[str, Domain], object]) -> dict:
        """A trial's parameters, key -> label, each drawn by `suggest(key, domain)`."""
        params = {key: suggest(key, self.domains[key]) for key in self.domains if key in self.groups}
        for key in self.keys(params)[len(params) :]:
            domain = self.domains[key]
            params[key] = suggest(key, domain)
            if isinstance(domain, Steps):  # a sampler's sum of steps may be off by a rounding
                params[key] = domain.value(params[key])
        return params

    @typed
    def values(self, params: dict) -> dict:
        """The values of a trial's parameters, from their labels: key -> value. Raises `UserError`."""
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
        """How many different trials there are, with `points` on each interval; None: infinitely many."""
        total = 0
        for choices in self.choices():
            axes = [self.domains[key].points(points) for key in self.keys(choices) if key not in choices]
            if any(axis is None for axis in axes):
                return None
            total += math.prod(map(len, axes))
        return total

    def without_points(self) -> Space:
        """The space as it is for samplers that draw: points laid on an interval are a grid's alone."""
        drawn = {
            key: replace(d, laid=None) if isinstance(d, Interval) else d for key, d in self.domains.items()
        }
        return replace(self, domains=drawn)

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
        if self.count(points) > MAX_CELLS:
            raise UserError(
                f"the grid has {self.count(points):,} cells, too many to keep; "
                f"allowed are {MAX_CELLS:,}: take fewer points, or sampler=random with trials=..."
            )
        choices = self.choices()
        # A generator expression: the checks above run now, and not when the first cell is asked for.
        return (cell for c in choices for cell in self._product(c, self.keys(c)[len(c) :], points))

    def _product(self, params: dict, keys: list[str], points) -> Iterator[dict]:
        """`params` with every combination of labels of the other `keys`."""
        if not keys:
            yield params
            return
        for label in self.domains[keys[0]].points(points):
            yield from self._product(params | {keys[0]: label}, keys[1:], points)

    def choices(self) -> list[dict]:
        """Every combination of choices of groups."""
        groups = [key for key in self.domains if key in self.groups]
        return list(Space({key: self.domains[key] for key in groups})._product({}, groups, None))
