"""Searching again around the best of another search: the same parameters, on narrowed ranges."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace

from nnlab.errors import Advice, UserError
from nnlab.search.domains import Choice, Domain, Interval, Steps
from nnlab.search.space import Space
from nnlab.search.trial import Trial, best

BEST_SHARE, BEST_AT_LEAST = 0.1, 5  # of the trials: these say where to look
MARGIN_SHARE = 0.1  # of the old width, on both sides
GRID_POINTS = 5  # on an interval, if nobody says how many
CLEAR_RATIO = 1.5  # between the two points of a grid, from which on they look logarithmic


def refined(
    space: Space, trials: list[Trial], signs: tuple[int, ...], grid: bool, before: int | None = None,
    points: int | None = None,
) -> Space:  # fmt: skip
    """The space around its best trials. Raises `UserError` if no trial was trained to its end.

    An interval becomes the range of the best tenth of the trials, wider by a tenth of the old width on each
    side, within its old ends; a choice keeps what they have. For a `grid`, numbers become others between the
    neighbours that the best one had in the grid `before`, which had so many points on each interval (None:
    all whole numbers): as many as there were, or so many `points`. "We can always go back and fine-tune the
    grid." It warns where these would be those of the grid again.
    """
    ranked = best(trials, signs)
    if not ranked:
        raise UserError("no trial of that sweep was trained to its end, so there is nothing to refine")
    # A share, so that a long search narrows by its best; at least a few, since the very best may be luck.
    top = ranked[: max(BEST_AT_LEAST, math.ceil(BEST_SHARE * len(ranked)))]
    domains = {}
    for key, domain in space.domains.items():
        labels = [trial.params[key] for trial in top if key in trial.params]
        numbers = key not in space.groups and _are_numbers(domain)
        if not labels:
            continue  # only of choices that none of the best has
        if grid and numbers:
            domains[key] = _between(key, domain, labels[0], before, points)
        elif isinstance(domain, Choice):
            pairs = zip(domain.values, domain.labels, strict=True)
            domains[key] = Choice(tuple(value for value, label in pairs if label in labels))
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
    to, back = float, float
    if domain.log:
        to, back = math.log, math.exp
    margin = MARGIN_SHARE * (to(domain.high) - to(domain.low))
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
    """`count` numbers, or as many as before, between the neighbours of the chosen one; evenly in their
    logarithm if the grid was. Where that is the grid again, also points between these."""
    grid = sorted(domain.points(before) or domain.points(GRID_POINTS))
    logarithmic = _is_logarithmic(domain, grid)
    to = math.log if logarithmic else float
    at = min(range(len(grid)), key=lambda i: abs(to(grid[i]) - to(chosen)))
    low, high = grid[max(0, at - 1)], grid[min(len(grid) - 1, at + 1)]
    whole = all(isinstance(v, int) for v in grid)
    count = count or len(grid)
    between = Interval(low, high, logarithmic, whole)
    new = between.points(count)
    if _are_of(grid, new):
        ends = f"{key}: {len(new)} points from {low:g} to {high:g}"
        new = between.points(2 * count - 1)  # one more between any two
        if _are_of(grid, new):
            _advise(f"{ends} are all there are, and the grid had them")
        else:
            _advise(f"{ends} would be those of the grid again: {len(new)} are laid")
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
    if len(grid) == 2:  # one step is as even as one ratio
        return ratios[0] > math.log(CLEAR_RATIO)
    unevenness, unevenness_in_logarithm = (max(each) / min(each) for each in (steps, ratios))
    return unevenness_in_logarithm < unevenness


def _short(points: tuple[float, ...]) -> tuple[float, ...]:
    """The points with as few digits, from 4, as keep them apart and between the first and the last."""
    for digits in range(4, 17):
        short = tuple(float(f"{p:.{digits}g}") for p in points)
        if len(set(short)) == len(points) and min(points) <= min(short) and max(short) <= max(points):
            return short
    return points
