"""Many pairs at once: Holm's adjusted p, and letters that arms share which are not shown to differ."""

from __future__ import annotations

from itertools import combinations

import numpy as np


def holm_adjusted(p_values: list[float | None]) -> list[float | None]:
    """p of each of m hypotheses -> the level of all of them at which it is rejected (Holm 1979).

    In ascending order p_(i) (m - i) for i = 0, 1, ..., at least the one before it, at most 1. A hypothesis
    without a p (None) can't be rejected, and counts as one of the m.

    >>> holm_adjusted([0.01, 0.04, None])
    [0.03, 0.08, None]
    """
    ascending = _ascending(p_values)
    adjusted, largest = list(p_values), 0.0
    for position, index in enumerate(ascending):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - position)))
        adjusted[index] = largest
    return adjusted


def holm_levels(p_values: list[float | None], level: float = 0.05) -> list[float]:
    """The level at which Holm's procedure tests each, once all those of smaller p are rejected."""
    levels = [level / max(len(p_values), 1)] * len(p_values)
    for position, index in enumerate(_ascending(p_values)):
        levels[index] = level / (len(p_values) - position)
    return levels


def _ascending(p_values: list[float | None]) -> list[int]:
    return sorted((i for i, p in enumerate(p_values) if p is not None), key=lambda i: p_values[i])


# One character a group: 20 arms of a chain need 20, and hardly ever more than 52.
LETTERS = [*map(chr, range(ord("a"), ord("z") + 1)), *map(chr, range(ord("A"), ord("Z") + 1))]
LETTERS += [character for character in map(chr, range(0x370, 0x2000)) if character.isalpha()]


def letters(differ: np.ndarray) -> list[str]:
    """`differ` (arms, arms), symmetric -> letters of each arm: two arms share one if they do not differ.

    By insertion and absorption (Piepho 2004, An algorithm for a letter-based representation of all-pairwise
    comparisons): from one group of all arms, each pair that differs splits the groups that hold both of
    them, and groups inside of others go. The first arm has an "a".

    >>> letters(np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]]))
    ['a', 'ab', 'b']
    """
    groups = [frozenset(range(len(differ)))]
    for i, j in combinations(range(len(differ)), 2):
        if differ[i, j]:
            halves = [g - {k} for g in groups for k in ((i, j) if {i, j} <= g else (None,))]
            groups = [g for g in dict.fromkeys(halves) if not any(g < other for other in halves)]
    groups = sorted(_without_spare(groups), key=sorted)
    return ["".join(letter for letter, g in zip(LETTERS, groups, strict=False) if arm in g)
            for arm in range(len(differ))]  # fmt: skip


def _without_spare(groups: list[frozenset]) -> list[frozenset]:
    """Without the groups all of whose pairs (and arms) others hold too."""
    for group in sorted(groups, key=len):
        others = [g for g in groups if g != group]
        joined = [*combinations(group, 2), *((arm,) for arm in group)]
        if all(any(g.issuperset(arms) for g in others) for arms in joined):
            groups = others
    return groups
