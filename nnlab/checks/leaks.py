"""Inputs that are not what a new example will have: numbers of the rows, and the target itself in disguise.

A column is the target in disguise if it is (nearly) a function of it. For classes: one value for each class,
the same for several of them in a one-hot column. For numbers: a column that rises or falls with the target,
whatever its scale.
"""

from __future__ import annotations

import numpy as np

from nnlab.checks.subject import Subject
from nnlab.checks.verdict import Finding
from nnlab.data.identifiers import IDENTIFIER_REMEDY, identifiers_of, named_input, ranks

FEWEST = 20  # examples, of which so many must have another value than most: fewer agree by chance
OTHERS = 5
EXAMPLES = 2000  # looked at
TIGHT = 0.02  # of a column's range: so near is a value to its class's
AGREE, IN_EACH = 0.99, 0.95  # of the examples have their class's value; and of those of each class
MONOTONE = 0.9999  # rank correlation with the target


def check(subject: Subject) -> list[Finding]:
    """A finding for the row numbers, if there are any, and one for the targets among the inputs."""
    dataset = subject.dataset
    numbered = identifiers_of(dataset)
    some = subject.some(subject.fold.train, EXAMPLES, "leaks")
    x, y = dataset.x[some].astype(np.float64), dataset.y[some]
    leaks = {} if x.shape[1] < 2 or len(x) < FEWEST else (of_classes if dataset.classes else of_numbers)(x, y)
    copies = {c: r for c, r in leaks.items() if c not in numbered}
    return [*_numbered(dataset.features, numbered), *_copies(dataset, copies)]


def of_classes(x: np.ndarray, y: np.ndarray) -> dict[int, float]:
    """Columns of x (N, d) whose value is a function of the class y (N,): of which share of the examples."""
    present, number = np.unique(y, return_inverse=True)
    middle = np.array([np.median(x[number == c], axis=0) for c in range(len(present))])  # (classes, d)
    size, spread = np.ptp(x, axis=0), np.ptp(middle, axis=0)
    near = np.abs(x - middle[number]) <= TIGHT * size
    least = np.min([near[number == c].mean(0) for c in range(len(present))], axis=0)
    apart = np.abs(middle[number] - np.median(x, axis=0)) > TIGHT * size
    good = (size > 0) & (spread >= size / 2) & (near.mean(0) >= AGREE) & (least >= IN_EACH)
    good &= np.minimum(apart.sum(0), (~apart).sum(0)) >= OTHERS
    return {int(c): float(near[:, c].mean()) for c in np.flatnonzero(good)}


def of_numbers(x: np.ndarray, y: np.ndarray) -> dict[int, float]:
    """Columns of x (N, d) that rise or fall with a target, a column of y (N, m): their rank correlation."""
    found = {}
    targets = [ranks(t) for t in y.T if len(np.unique(t)) >= FEWEST]
    for c, v in enumerate(x.T):
        if targets and len(np.unique(v)) >= FEWEST:
            rank = ranks(v)
            r = max((float(np.corrcoef(rank, t)[0, 1]) for t in targets), key=abs)
            found |= {c: r} if abs(r) >= MONOTONE else {}
    return found


def _numbered(names: tuple[str, ...], numbered: dict[int, str]) -> list[Finding]:
    if not numbered:
        return []
    first, how = next(iter(numbered.items()))
    others = f"; {len(numbered) - 1} more like it" if len(numbered) > 1 else ""
    found = f"{named_input(first, names)} {how}{others} (limit 0 such inputs)"
    return [Finding("warn", len(numbered), 0, found, IDENTIFIER_REMEDY, "row_number")]


def _copies(dataset, copies: dict[int, float]) -> list[Finding]:
    if not copies:
        return []
    first, how = max(copies.items(), key=lambda item: abs(item[1]))
    what = f"has one value for each class in {how:.1%} of the examples"
    if not dataset.classes:
        what = f"{'rises' if how > 0 else 'falls'} with the target, rank correlation {how:.4f}"
    others = f"; {len(copies) - 1} more like it" if len(copies) > 1 else ""
    name = named_input(first, dataset.features)
    found = f"{name} {what}: it is the target in disguise{others} (limit 0 such inputs)"
    advice = "take the column out of the file, unless it is known before the target is"
    return [Finding("warn", len(copies), 0, found, advice, "leak")]
