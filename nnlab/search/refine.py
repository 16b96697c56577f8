"""Refines a search: narrows the ranges of its parameters around the best trials of an earlier sweep."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from nnlab.errors import UserError, advise
from nnlab.search.domains import Choice, Domain, Interval, Steps
from nnlab.search.space import Space
from nnlab.search.trial import Trial, rank_trials

BEST_SHARE, MIN_BEST = 0.1, 5  # the new ranges are those of the best tenth, at least of 5 trials
MARGIN_SHARE = 0.1  # of the old width, added on both sides
GRID_POINTS = 5  # on an interval, by default
CLEAR_RATIO = 1.5  # a grid of two points counts as logarithmic from this ratio on


def refine_space(
    space: Space, trials: list[Trial], signs: tuple[int, ...], grid: bool, old_points: int | None = None,
    points: int | None = None,
) -> Space:  # fmt: skip
    """The part of the space around its best trials. Raises `UserError` if no trial is complete.

    An interval becomes the range of the best tenth of the trials, wider by a tenth of the old width on each
    side, within its old ends; a choice keeps the values that these trials have. For a `grid`, the new values
    of a number lie between the neighbours of the best value in the old grid, which had `old_points` on each
    interval (None: all whole numbers): as many as before, or `points`. "We can always go back and fine-tune
    the grid." It warns where the new values would be those of the old grid again.
    """
    ranked = rank_trials(trials, signs)
    if not ranked:
        raise UserError("no trial of that sweep was trained to its end, so there is nothing to refine")
    # A share, so that a longer search narrows more; at least a few, since the very best may be luck.
    top = ranked[: max(MIN_BEST, math.ceil(BEST_SHARE * len(ranked)))]
    domains = {}
    for key, domain in space.domains.items():
        labels = [trial.params[key] for trial in top if key in trial.params]
        numeric = key not in space.groups and _is_numeric(domain)
        if not labels:
            continue  # a conditional parameter that none of the best trials has
        if grid and numeric:
            domains[key] = _finer_grid(key, domain, labels[0], old_points, points)
        elif isinstance(domain, Choice):
            pairs = zip(domain.values, domain.labels, strict=True)
            domains[key] = Choice(tuple(value for value, label in pairs if label in labels))
        elif isinstance(domain, Interval):
            domains[key] = _narrowed_interval(domain, labels)
        else:
            domains[key] = _narrowed_steps(domain, labels)
    return replace(space, domains=domains, groups=space.groups & domains.keys())


def _is_numeric(domain: Domain) -> bool:
    return len(domain.points(3) or ()) > 1 and all(map(_is_number, domain.points(3)))


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _narrowed_interval(domain: Interval, labels: list) -> Interval:
    transform, inverse = float, float
    if domain.log:
        transform, inverse = math.log, math.exp
    margin = MARGIN_SHARE * (transform(domain.high) - transform(domain.low))
    low = max(domain.low, inverse(transform(min(labels)) - margin))
    high = min(domain.high, inverse(transform(max(labels)) + margin))
    if domain.whole:
        low, high = math.floor(low), math.ceil(high)
    return replace(domain, low=low, high=high)


def _narrowed_steps(domain: Steps, labels: list) -> Steps:
    positions = [domain.labels.index(label) for label in labels]
    first, last = max(0, min(positions) - 1), min(domain.count - 1, max(positions) + 1)
    return replace(domain, start=domain.labels[first], count=last - first + 1)


def _finer_grid(key: str, domain: Domain, best_label, old_points: int | None, count: int | None) -> Domain:
    """`count` values, by default as many as before, between the grid neighbours of the best value; evenly in
    their logarithm if the grid was. If all of them were in the grid already, also the points between them."""
    grid = sorted(domain.points(old_points) or domain.points(GRID_POINTS))
    logarithmic = _is_logarithmic(domain, grid)
    transform = math.log if logarithmic else float
    best_index = min(range(len(grid)), key=lambda i: abs(transform(grid[i]) - transform(best_label)))
    low, high = grid[max(0, best_index - 1)], grid[min(len(grid) - 1, best_index + 1)]
    whole = all(isinstance(v, int) for v in grid)
    count = count or len(grid)
    interval = Interval(low, high, logarithmic, whole)
    finer = interval.points(count)
    if _contains_all(grid, finer):
        description = f"{key}: {len(finer)} points from {low:g} to {high:g}"
        finer = interval.points(2 * count - 1)  # one more between each two
        if _contains_all(grid, finer):
            _advise(f"{description} are all there are, and the grid had them")
        else:
            _advise(f"{description} would be those of the grid again: {len(finer)} are laid")
    return Choice(tuple(finer) if whole else _rounded(finer))


def _contains_all(grid: list, points: Sequence) -> bool:
    """Whether the grid has all of these points, up to rounding."""
    return all(any(math.isclose(p, q, rel_tol=1e-3, abs_tol=1e-12) for q in grid) for p in points)


def _advise(sentence: str) -> None:
    advise(sentence)


def _is_logarithmic(domain: Domain, grid: list) -> bool:
    """Whether the grid is evenly spaced in the logarithm: as the domain says or, for a list, as it looks."""
    if not isinstance(domain, Choice):
        return isinstance(domain, Interval) and domain.log
    if grid[0] <= 0:
        return False
    ratios = [math.log(b / a) for a, b in zip(grid, grid[1:], strict=False)]
    steps = [b - a for a, b in zip(grid, grid[1:], strict=False)]
    if len(grid) == 2:  # two points are evenly spaced either way
        return ratios[0] > math.log(CLEAR_RATIO)
    unevenness, unevenness_in_logarithm = (max(gaps) / min(gaps) for gaps in (steps, ratios))
    return unevenness_in_logarithm < unevenness


def _rounded(points: tuple[float, ...]) -> tuple[float, ...]:
    """The points rounded to the fewest digits, at least 4, that keep them distinct and in their range."""
    for digits in range(4, 17):
        rounded = tuple(float(f"{p:.{digits}g}") for p in points)
        if len(set(rounded)) == len(points) and min(points) <= min(rounded) and max(rounded) <= max(points):
            return rounded
    return points
