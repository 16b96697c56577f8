"""Columns that hardly vary in training and lie far out in validation or test.

Normalisation divides by what a column varied in training. One new example may then be a hundred deviations
out, and cost more loss than all others. `robust` pulls it in, but a column that is constant in training
teaches nothing of what another value does.
"""

from __future__ import annotations

import numpy as np

from nnlab.checks.subject import Subject
from nnlab.checks.verdict import Finding
from nnlab.data.normalization import LINEAR_LIMIT, statistics

EXAMPLES = 20_000  # looked at of each set
SCALES = 10.0  # so far out, and
BENT = 0.02  # of a column: worth a word
WIDE = 50  # columns
FARTHER = 2.0  # times as far as any training example: no matter of heavy tails, which training has too


def check(subject: Subject, constant: np.ndarray) -> list[Finding]:
    """A warning that names them: where inputs are not pulled in, and where a column is constant in training.

    `constant`  the columns that seem to be
    """
    if subject.experiment.data.normalization == "none":
        return []
    return [*_of_constant(subject, out_of_constant(subject, constant)), *_of_divided(subject)]


def out_of_constant(subject: Subject, constant: np.ndarray) -> dict[int, tuple[int, str]]:
    """Of the columns that are constant in training: the example that is farthest out, and its set."""
    x, fold, found = subject.dataset.x, subject.fold, {}
    for c in constant:
        level = float(x[fold.train[0], c])
        distance = np.abs(x[:, c].astype(np.float64) - level)
        for name, numbers in (("validation", fold.validation), ("test", fold.test)):
            farthest = numbers[distance[numbers].argmax()] if len(numbers) else fold.train[0]
            known = distance[found[c][0]] if c in found else SCALES
            if distance[farthest] > known and not distance[fold.train].any():
                found[int(c)] = int(farthest), name
    return found


def _of_constant(subject: Subject, out: dict[int, tuple[int, str]]) -> list[Finding]:
    if not out:
        return []
    x = subject.dataset.x
    first = max(out, key=lambda c: abs(float(x[out[c][0], c]) - float(x[subject.fold.train[0], c])))
    example, which = out[first]
    level, value = float(x[subject.fold.train[0], first]), float(x[example, first])
    more = f"; {len(out) - 1} more such columns" if len(out) > 1 else ""
    found = (
        f"{_name(subject, first)} is {level:.4g} in all of training and {value:.4g} in example {example}, of "
        f"the {which} set (limit {SCALES:g} apart){more}"
    )
    if x.shape[1] >= WIDE:  # an image, whose corner is empty in most
        return [Finding("pass", 0, 0, f"{len(out)} of the constant columns vary elsewhere")]
    advice = (
        "is that value right? No training example shows what it does: leave the column out, or the example"
    )
    return [Finding("warn", abs(value - level), SCALES, found, advice, "far_columns")]


def _of_divided(subject: Subject) -> list[Finding]:
    """Columns that vary in training, but little, where nothing is pulled in."""
    how, fold = subject.experiment.data.normalization, subject.fold
    if how == "robust":
        return _bent(subject)
    mean, scale = statistics(subject.dataset.x, how, fold.train)
    usual = _farthest(subject, fold.train, mean, scale)
    sets = {"validation": fold.validation, "test": fold.test}
    there = {name: _farthest(subject, numbers, mean, scale) for name, numbers in sets.items() if len(numbers)}
    out = np.maximum.reduce(list(there.values())) if there else usual
    columns = np.flatnonzero((out > SCALES) & (out > FARTHER * usual) & (usual > 0))
    if not len(columns):
        return []
    columns = columns[np.argsort(-out[columns], kind="stable")]
    first = columns[0]
    which = max(there, key=lambda name: there[name][first])
    names = [_name(subject, c) for c in columns[:3]]
    more = f" and {len(columns) - 3} more" if len(columns) > 3 else ""
    found = (
        f"{', '.join(names)}{more} hardly vary in training: {names[0]} is {out[first]:.3g} scales out in the "
        f"{which} set, {usual[first]:.3g} in training (limit {SCALES:g})"
    )
    advice = (
        f"data.normalization=robust, which pulls in what is beyond {LINEAR_LIMIT:g} deviations; "
        f"or leave them out"
    )
    return [Finding("warn", float(out[first]), SCALES, found, advice, "far_columns")]


def _bent(subject: Subject) -> list[Finding]:
    """A word on a column of which `robust` pulls in more than a few values: missing ones, perhaps."""
    numbers = subject.some(subject.fold.train, EXAMPLES, "far")
    mean, scale = statistics(subject.dataset.x, "robust", subject.fold.train)
    share = (np.abs(subject.dataset.x[numbers].astype(np.float64) - mean) > LINEAR_LIMIT * scale).mean(0)
    most = int(share.argmax())
    if share[most] <= BENT:
        return []
    said = f"{share[most]:.1%} of {_name(subject, most)} beyond {LINEAR_LIMIT:g} deviations and pulled in"
    return [Finding("pass", 0, 0, said)]


def _name(subject: Subject, column: int) -> str:
    known = subject.dataset.features
    return known[column] if known else f"column {column}"


def _farthest(subject: Subject, numbers: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(d,): of some of these examples, the largest distance from the mean in scales."""
    some = subject.some(numbers, EXAMPLES, "far")
    return np.abs((subject.dataset.x[some].astype(np.float64) - mean) / scale).max(0)
