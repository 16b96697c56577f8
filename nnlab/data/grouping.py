"""Divides whole groups of examples among parts, each of which has about its share of every class.

How far a division is from the exact shares is measured as Pearson measures it,

    E = sum_jc (n_jc - p_j N_c)^2 / (p_j N_c)

with n_jc examples of class c in part j, N_c in all, and the share p_j of part j. Examples as such count as
one class more, so that the sizes of the parts are right too. Groups come in random order, each goes where E
grows least, and afterwards groups move as long as that lowers E. (Greedy by size, as scikit-learn's
StratifiedGroupKFold is, hardly leaves anything to chance, and repeats of a split would be alike.)
"""

from __future__ import annotations

import numpy as np

MOST_ROUNDS = 10  # of moves over all groups


def divide_groups(rng, groups: np.ndarray, strata: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(n,): the part of each example, of `groups` and `strata` (n,). No part is empty if there are as many
    groups as parts."""
    group, stratum = (np.unique(values, return_inverse=True)[1] for values in (groups, strata))
    counts = np.zeros((group.max() + 1, stratum.max() + 2))  # (G, m + 1): of each class, and in all
    np.add.at(counts, (group, stratum), 1)
    counts[:, -1] = counts.sum(1)
    return _divide(rng, counts, shares)[group]


def _divide(rng, counts: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(G,): the part of each group, of which `counts` (G, m + 1) says what is in it."""
    exact = shares[:, None] * counts.sum(0)  # (parts, m + 1)
    filled, groups_in = np.zeros_like(exact), np.zeros(len(shares), np.int64)
    part, order = np.full(len(counts), -1), rng.permutation(len(counts))
    for placed in [False] + [True] * MOST_ROUNDS:
        before = part.copy()
        for g in order:
            if placed and groups_in[part[g]] == 1:
                continue  # a part keeps its last group
            if placed:
                filled[part[g]] -= counts[g]
                groups_in[part[g]] -= 1
            part[g] = _growth(filled, counts[g], exact).argmin()
            filled[part[g]] += counts[g]
            groups_in[part[g]] += 1
        if np.array_equal(part, before):
            break
    for empty in np.flatnonzero(groups_in == 0):
        _fill_empty_part(empty, part, counts, filled, exact)
    return part


def _growth(filled: np.ndarray, counts: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """(parts,): by how much a group with these `counts` (m + 1,) makes E grow in each part, up to a term that
    is the same in all."""
    return (counts * (2 * filled + counts) / exact).sum(1)


def _fill_empty_part(empty: int, part, counts, filled, exact) -> None:
    """Move the group there that costs least, from a part that has others: a share may be below any group."""
    movable = np.flatnonzero(np.bincount(part, minlength=len(exact))[part] > 1)
    if not len(movable):
        return
    sources = part[movable]
    without = filled[sources] - counts[movable]
    saved = (counts[movable] * (2 * without + counts[movable]) / exact[sources]).sum(1)
    spent = (counts[movable] ** 2 / exact[empty]).sum(1)
    g = movable[(spent - saved).argmin()]
    filled[part[g]] -= counts[g]
    filled[empty] += counts[g]
    part[g] = empty
