"""Searching again around the best of another search: the same parameters, on narrowed ranges."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace

from nnlab.errors import Advice, UserError
from nnlab.search.space import Choice, Domain, Interval, Space, Steps
from nnlab.search.trial import Trial, best

SHARE, LEAST = 0.1, 5  # the best tenth of the trials, five at least, say where to look
MARGIN = 0.1  # of the old width, on both sides
GRID_POINTS = 5  # on an interval, if nobody says how many


def refined(
    space: Space, trials: list[Trial], signs: tuple[int, ...], grid: bool, before: int | None = None,
    points: int | None = None,
) -> Space:  # fmt: skip
    """The space around its best trials. Raises `UserError` if none was trained to its end.

    An interval becomes the range of the best tenth of the trials, wider by a tenth of what it was on each
    side, never beyond its ends; a choice keeps what they have. For a `grid`, numbers become others between
    the neighbours that the best one had in the grid `before`, of so many points on each interval (None: all
    whole numbers): as many as there were, or so many `points`. "We can always go back and fine-tune the
    grid." It warns where these would be those of the grid again.
    """
    ranked = best(trials, signs)
    if not ranked:
        raise UserError("no trial of that sweep was trained to its end, so there is nothing to refine")
    top = ranked[: max(LEAST, math.ceil(SHARE * len(ranked)))]
    domains = {}
    for key, domain in space.domains.items():
        labels = [trial.params[key] for trial in top if key in trial.params]
        numbers = key not in space.groups and _are_numbers(domain)
        if not labels:
            continue  # only of choices that none of the best has
        if grid and numbers:
            domains[key] = _between(key, domain, labels[0], before, points)
        elif isinstance(domain, Choice):
            domains[key] = Choice(tuple(v for v, label in zip(domain.values, domain.labels, strict=True)
                                        if label in labels))  # fmt: skip
        elif isinstance(domain, Interval):
            domains[key] = _around(domain, labels)
        else:
            domains[key] = _some_steps(domain, labels)
    return replace(space, domains=domains, groups=space.groups & domains.keys())


def _are_numbers(domain: Domain) -> bool:
    return len(domain.points(3) or ()) > 1 and all(map(_is_number, domain.points(3)))


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _around(domain: Interval, labels: list) -> Interval:
    to, back = (math.log, math.exp) if domain.log else (float, float)
    margin = MARGIN * (to(domain.high) - to(domain.low))
    low = max(domain.low, back(to(min(labels)) - margin))
    high = min(domain.high, back(to(max(labels)) + margin))
    if domain.whole:
        low, high = math.floor(low), math.ceil(high)
    return replace(domain, low=low, high=high)


def _some_steps(domain: Steps, labels: list) -> Steps:
    places = [domain.labels.index(label) for label in labels]
    first, last = max(0, min(places) - 1), min(domain.count - 1, max(places) + 1)
    return replace(domain, start=domain.labels[first], count=last - first + 1)


def _between(key: str, domain: Domain, chosen, before: int | None, count: int | None) -> Domain:
    """So many numbers, or as many as before, between the neighbours of the chosen one; evenly in their
    logarithm if the grid was. Where that is the grid again, some between its points too."""
    grid = sorted(domain.points(before) or domain.points(GRID_POINTS))
    logarithmic = _is_logarithmic(domain, grid)
    to = math.log if logarithmic else float
    at = min(range(len(grid)), key=lambda i: abs(to(grid[i]) - to(chosen)))
    low, high = grid[max(0, at - 1)], grid[min(len(grid) - 1, at + 1)]
    whole, count = all(isinstance(v, int) for v in grid), count or len(grid)
    between = Interval(low, high, logarithmic, whole)
    new = between.points(count)
    if _are_of(grid, new):
        again, new = new, between.points(2 * count - 1)
        ends = f"{key}: {len(again)} points from {low:g} to {high:g}"
        _advise(f"{ends} are all there are, and the grid had them" if _are_of(grid, new) else
                f"{ends} would be those of the grid again: {len(new)} are laid")  # fmt: skip
    return Choice(tuple(new) if whole else _short(new))


def _are_of(grid: list, points: Sequence) -> bool:
    """Whether the grid has all of these points, but for rounding."""
    return all(any(math.isclose(p, q, rel_tol=1e-3, abs_tol=1e-12) for q in grid) for p in points)


def _advise(sentence: str) -> None:
    warnings.warn(sentence, Advice, stacklevel=2)


def _is_logarithmic(domain: Domain, grid: list) -> bool:
    """Whether the numbers are even in their logarithm: as the domain says; or, written out, as they look."""
    if not isinstance(domain, Choice):
        return isinstance(domain, Interval) and domain.log
    if grid[0] <= 0:
        return False
    ratios = [math.log(b / a) for a, b in zip(grid, grid[1:], strict=False)]
    steps = [b - a for a, b in zip(grid, grid[1:], strict=False)]
    even, even_in_logarithm = (max(each) / min(each) for each in (steps, ratios))
    return even_in_logarithm < even or (len(grid) == 2 and ratios[0] > math.log(1.5))


def _short(points: tuple[float, ...]) -> tuple[float, ...]:
    """The points with as few digits, from 4, as keep them apart and between the first and the last."""
    for digits in range(4, 17):
        short = tuple(float(f"{p:.{digits}g}") for p in points)
        if len(set(short)) == len(points) and min(points) <= min(short) and max(short) <= max(points):
            return short
    return points
