"""Inputs that a new example will not have: row numbers, and the target itself in disguise.

A column is the target in disguise if it is (nearly) a function of it. For classes: one value for each class,
the same for several of them in a one-hot column. For numbers: a column that rises or falls with the target,
whatever its scale.
"""

from __future__ import annotations

import numpy as np

from nnlab.checks.subject import Subject
from nnlab.checks.verdict import Finding
from nnlab.data.identifiers import IDENTIFIER_REMEDY, dataset_identifiers, input_name, ranks

EXAMPLES_AT_LEAST = 20  # of fewer, a column may agree with the target by luck
OTHER_VALUES = 5  # so many examples must differ from what most have, for the same reason
EXAMPLES_AT_MOST = 2000  # looked at
NEAR_BY_RANGE = 0.02  # of a column's range: so near a value is the same as its class's
AGREEING_SHARE = 0.99  # of the examples have the value of their class
AGREEING_IN_EACH_CLASS = 0.95  # and of those of each class: a rare one may be all of the rest
RANK_CORRELATION = 0.9999  # rank correlation with the target


def check(subject: Subject) -> list[Finding]:
    """A finding for the row numbers, if there are any, and one for the targets among the inputs."""
    dataset = subject.dataset
    numbered = dataset_identifiers(dataset)
    some = subject.some(subject.fold.train, EXAMPLES_AT_MOST, "leaks")
    x, y = dataset.x[some].astype(np.float64), dataset.y[some]
    findings = _numbered(dataset.features, numbered)
    if x.shape[1] < 2 or len(x) < EXAMPLES_AT_LEAST:  # a single input may well be all there is to know
        return findings
    leaks = of_classes(x, y) if dataset.classes else of_numbers(x, y)
    copies = {c: r for c, r in leaks.items() if c not in numbered}
    return findings + _copies(dataset, copies)


def of_classes(x: np.ndarray, y: np.ndarray) -> dict[int, float]:
    """Columns of x (N, d) whose value is a function of the class y (N,) -> in which share of the examples."""
    present, number = np.unique(y, return_inverse=True)
    middle = np.array([np.median(x[number == c], axis=0) for c in range(len(present))])  # (classes, d)
    size, spread = np.ptp(x, axis=0), np.ptp(middle, axis=0)
    # A median, not a mean: an example of a wrong class must not move it.
    near = np.abs(x - middle[number]) <= NEAR_BY_RANGE * size
    least = np.min([near[number == c].mean(0) for c in range(len(present))], axis=0)
    apart = np.abs(middle[number] - np.median(x, axis=0)) > NEAR_BY_RANGE * size
    good = (size > 0) & (spread >= size / 2)
    good &= (near.mean(0) >= AGREEING_SHARE) & (least >= AGREEING_IN_EACH_CLASS)
    good &= np.minimum(apart.sum(0), (~apart).sum(0)) >= OTHER_VALUES
    return {int(c): float(near[:, c].mean()) for c in np.flatnonzero(good)}


def of_numbers(x: np.ndarray, y: np.ndarray) -> dict[int, float]:
    """Columns of x (N, d) that rise or fall with a target, a column of y (N, m): their rank correlation."""
    correlations = {}
    targets = [ranks(t) for t in y.T if len(np.unique(t)) >= EXAMPLES_AT_LEAST]
    for c, v in enumerate(x.T):
        if targets and len(np.unique(v)) >= EXAMPLES_AT_LEAST:
            rank = ranks(v)
            r = max((float(np.corrcoef(rank, t)[0, 1]) for t in targets), key=abs)
            if abs(r) >= RANK_CORRELATION:
                correlations[c] = r
    return correlations


def _numbered(names: tuple[str, ...], numbered: dict[int, str]) -> list[Finding]:
    if not numbered:
        return []
    first, how = next(iter(numbered.items()))
    sentence = f"{input_name(first, names)} {how}{_more(numbered)} (limit 0 such inputs)"
    return [Finding("warn", len(numbered), 0, sentence, IDENTIFIER_REMEDY, "row_number")]


def _copies(dataset, copies: dict[int, float]) -> list[Finding]:
    if not copies:
        return []
    first, how = max(copies.items(), key=lambda item: abs(item[1]))
    if dataset.classes:
        what = f"has one value for each class in {how:.1%} of the examples"
    else:
        direction = "rises" if how > 0 else "falls"
        what = f"{direction} with the target, rank correlation {how:.4f}"
    name = input_name(first, dataset.features)
    sentence = f"{name} {what}: it is the target in disguise{_more(copies)} (limit 0 such inputs)"
    advice = "take the column out of the file, unless it is known before the target is"
    return [Finding("warn", len(copies), 0, sentence, advice, "leak")]


def _more(columns: dict) -> str:
    return f"; {len(columns) - 1} more like it" if len(columns) > 1 else ""
