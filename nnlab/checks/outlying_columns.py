"""Columns that hardly vary in training and have outliers in validation or test.

Normalisation divides by how much a column varied in training. One new example may then be a hundred
deviations out, and cost more loss than all others. `robust` pulls it in; but no training example of a
constant column shows what another value does.
"""

from __future__ import annotations

import numpy as np

from nnlab.checks.subject import Subject
from nnlab.checks.verdict import Finding, listed
from nnlab.data.normalization import LINEAR_LIMIT, statistics

EXAMPLES_AT_MOST = 20_000  # looked at of each set
SCALES_OUT = 10.0  # so far from the mean, in scales of the column, and
TIMES_FARTHER = 2.0  # so many times as far as any training example: heavy tails show in training too
SHARE_PULLED_IN = 0.02  # of a column: worth mentioning
WIDE_COLUMNS = 50  # an image, whose corners are empty in most examples


def check(subject: Subject, constant: np.ndarray) -> list[Finding]:
    """A warning that names them: where inputs are not pulled in, and where a column is constant in training.

    `constant`  the columns that seem constant, from a sample of the training examples
    """
    if subject.experiment.data.normalization == "none":
        return []
    return [*_of_constant(subject, out_of_constant(subject, constant)), *_of_divided(subject)]


def out_of_constant(subject: Subject, constant: np.ndarray) -> dict[int, tuple[int, str]]:
    """Of the columns that are constant in training: the example that is farthest out, and its set."""
    x, fold = subject.dataset.x, subject.fold
    outliers = {}
    for c in constant:
        distance = np.abs(x[:, c].astype(np.float64) - float(x[fold.train[0], c]))
        if distance[fold.train].any():  # it was constant in the sample only
            continue
        limit = SCALES_OUT
        for name, numbers in (("validation", fold.validation), ("test", fold.test)):
            if not len(numbers):
                continue
            farthest = numbers[distance[numbers].argmax()]
            if distance[farthest] > limit:
                limit = distance[farthest]
                outliers[int(c)] = int(farthest), name
    return outliers


def _of_constant(subject: Subject, out: dict[int, tuple[int, str]]) -> list[Finding]:
    if not out:
        return []
    x = subject.dataset.x
    if x.shape[1] >= WIDE_COLUMNS:
        return [Finding("pass", 0, 0, f"{len(out)} of the constant columns vary elsewhere")]
    level = {c: float(x[subject.fold.train[0], c]) for c in out}
    value = {c: float(x[example, c]) for c, (example, _) in out.items()}
    c = max(out, key=lambda c: abs(value[c] - level[c]))
    example, which = out[c]
    sentence = (
        f"{subject.column_name(c)} is {level[c]:.4g} in all of training and {value[c]:.4g} in example "
        f"{example}, of the {which} set (limit {SCALES_OUT:g} apart)"
    )
    if len(out) > 1:
        sentence += f"; {len(out) - 1} more such columns"
    advice = (
        "is that value right? No training example shows what it does: leave the column out, or the example"
    )
    return [Finding("warn", abs(value[c] - level[c]), SCALES_OUT, sentence, advice, "far_columns")]


def _of_divided(subject: Subject) -> list[Finding]:
    """Columns that vary in training, but little, where nothing is pulled in."""
    normalization, fold = subject.experiment.data.normalization, subject.fold
    if normalization == "robust":
        return _pulled_in(subject)
    mean, scale = statistics(subject.dataset.x, normalization, fold.train)
    in_training = _farthest(subject, fold.train, mean, scale)
    sets = {"validation": fold.validation, "test": fold.test}
    farthest = {
        name: _farthest(subject, numbers, mean, scale) for name, numbers in sets.items() if len(numbers)
    }
    if not farthest:
        return []
    out = np.maximum.reduce(list(farthest.values()))
    far = (out > SCALES_OUT) & (out > TIMES_FARTHER * in_training)
    columns = np.flatnonzero(far & (in_training > 0))  # constant ones are another finding's
    if not len(columns):
        return []
    # The farthest first; stable, so that the sentence is the same each time.
    columns = columns[np.argsort(-out[columns], kind="stable")]
    first = columns[0]
    which = max(farthest, key=lambda name: farthest[name][first])
    names = [subject.column_name(c) for c in columns]
    sentence = (
        f"{listed(names)} hardly vary in training: {names[0]} is {out[first]:.3g} scales out in the "
        f"{which} set, {in_training[first]:.3g} in training (limit {SCALES_OUT:g})"
    )
    advice = (
        f"data.normalization=robust, which pulls in what is beyond {LINEAR_LIMIT:g} deviations; "
        f"or leave them out"
    )
    return [Finding("warn", float(out[first]), SCALES_OUT, sentence, advice, "far_columns")]


def _pulled_in(subject: Subject) -> list[Finding]:
    """A column of which `robust` pulls in more than a few values: missing ones, perhaps."""
    numbers = subject.some(subject.fold.train, EXAMPLES_AT_MOST, "far")
    mean, scale = statistics(subject.dataset.x, "robust", subject.fold.train)
    share = (np.abs(subject.dataset.x[numbers].astype(np.float64) - mean) > LINEAR_LIMIT * scale).mean(0)
    most = int(share.argmax())
    if share[most] <= SHARE_PULLED_IN:
        return []
    name = subject.column_name(most)
    sentence = f"{share[most]:.1%} of {name} beyond {LINEAR_LIMIT:g} deviations and pulled in"
    return [Finding("pass", 0, 0, sentence)]


def _farthest(subject: Subject, numbers: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(d,): of some of these examples, the largest distance from the mean in scales."""
    some = subject.some(numbers, EXAMPLES_AT_MOST, "far")
    return np.abs((subject.dataset.x[some].astype(np.float64) - mean) / scale).max(0)
