"""Columns that hardly vary in training and lie far out in validation or test, where nothing pulls them in.

Normalisation divides by what a column varied in training. One new example may then be a hundred deviations
out, and cost more loss than all others.
"""

from __future__ import annotations

import numpy as np

from nnlab.checks.subject import Subject
from nnlab.checks.verdict import Finding
from nnlab.data.normalization import statistics

EXAMPLES = 20_000  # looked at of each set
SCALES = 10.0  # so far out, and
FARTHER = 2.0  # times as far as any training example: no matter of heavy tails, which training has too


def check(subject: Subject) -> list[Finding]:
    """A warning that names them; nothing where inputs are pulled in, or not divided at all."""
    how, fold = subject.experiment.data.normalization, subject.fold
    if how in ("robust", "none"):
        return []
    mean, scale = statistics(subject.dataset.x, how, fold.train)
    usual = _farthest(subject, fold.train, mean, scale)
    sets = {"validation": fold.validation, "test": fold.test}
    there = {name: _farthest(subject, numbers, mean, scale) for name, numbers in sets.items() if len(numbers)}
    out = np.maximum.reduce(list(there.values())) if there else usual
    columns = np.flatnonzero((out > SCALES) & (out > FARTHER * usual))
    if not len(columns):
        return []
    columns = columns[np.argsort(-out[columns], kind="stable")]
    first = columns[0]
    which = max(there, key=lambda name: there[name][first])
    known = subject.dataset.features
    names = [known[c] if known else f"column {c}" for c in columns[:3]]
    more = f" and {len(columns) - 3} more" if len(columns) > 3 else ""
    found = (
        f"{', '.join(names)}{more} hardly vary in training: {names[0]} is {out[first]:.3g} scales out in the "
        f"{which} set, {usual[first]:.3g} in training (limit {SCALES:g})"
    )
    advice = "data.normalization=robust, which keeps inputs within 4 deviations; or leave them out"
    return [Finding("warn", float(out[first]), SCALES, found, advice, "far_columns")]


def _farthest(subject: Subject, numbers: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(d,): of some of these examples, the largest distance from the mean in scales."""
    some = subject.some(numbers, EXAMPLES, "far")
    return np.abs((subject.dataset.x[some].astype(np.float64) - mean) / scale).max(0)
