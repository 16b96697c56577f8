"""Finds columns that hardly vary in training and have outliers in the validation or test set.

Normalisation divides by how much a column varied in training. One new example may then be a hundred
deviations out, and cost more loss than all others. `robust` pulls it in; but no training example of a
constant column shows what another value does.
"""

from __future__ import annotations

import numpy as np

from nnlab.checks.subject import Subject
from nnlab.checks.verdict import Finding
from nnlab.data.normalization import LINEAR_LIMIT
from nnlab.data.streamed_statistics import input_statistics
from nnlab.errors import list_names

MAX_EXAMPLES = 20_000  # of each set
MAX_SCALES = (
    10.0  # distance from the mean, in scales of the column, from which on a value is an outlier, if it is
)
FARTHER_THAN_TRAINING = 2.0  # times as far as any training example: heavy tails show in training too
CLIPPED_SHARE = 0.02  # of a column: more are worth mentioning
WIDE_COLUMNS = 50  # such as images, whose corners are empty in most examples


def check(subject: Subject, constant: np.ndarray) -> list[Finding]:
    """Warnings about outliers in columns that are constant in training, and in those that hardly vary.

    `constant`  the columns that seem constant, from a sample of the training examples
    """
    if subject.experiment.data.normalization == "none" or not subject.numbers.shape[1]:
        return []
    return [*_constant_finding(subject, outliers_of_constant(subject, constant)), *_varying_finding(subject)]


def outliers_of_constant(subject: Subject, constant: np.ndarray) -> dict[int, tuple[int, str]]:
    """Column, constant in training -> the example that is farthest out, and the set that it is in."""
    x, fold = subject.numbers, subject.fold
    outliers = {}
    for c in constant[constant < x.shape[1]]:
        distance = np.abs(x[:, c].astype(np.float64) - float(x[fold.train[0], c]))
        if distance[fold.train].any():  # it is constant in the sample only
            continue
        limit = MAX_SCALES
        for name, indices in (("validation", fold.validation), ("test", fold.test)):
            if not len(indices):
                continue
            farthest = indices[distance[indices].argmax()]
            if distance[farthest] > limit:
                limit = distance[farthest]
                outliers[int(c)] = int(farthest), name
    return outliers


def _constant_finding(subject: Subject, outliers: dict[int, tuple[int, str]]) -> list[Finding]:
    if not outliers:
        return []
    x = subject.numbers
    if x.shape[1] >= WIDE_COLUMNS:
        return [Finding("pass", 0, 0, f"{len(outliers)} of the constant columns vary elsewhere")]
    training_value = {c: float(x[subject.fold.train[0], c]) for c in outliers}
    outlying_value = {c: float(x[example, c]) for c, (example, _) in outliers.items()}
    c = max(outliers, key=lambda c: abs(outlying_value[c] - training_value[c]))
    example, subset = outliers[c]
    sentence = (
        f"{subject.column_name(c)} is {training_value[c]:.4g} in all of training and "
        f"{outlying_value[c]:.4g} in example {example}, of the {subset} set (limit {MAX_SCALES:g} apart)"
    )
    if len(outliers) > 1:
        sentence += f"; {len(outliers) - 1} more such columns"
    advice = (
        "is that value right? No training example shows what it does: leave the column out, or the example"
    )
    return [
        Finding(
            "warn", abs(outlying_value[c] - training_value[c]), MAX_SCALES, sentence, advice, "far_columns"
        )
    ]


def _varying_finding(subject: Subject) -> list[Finding]:
    """Outliers in columns that vary little in training, if normalisation does not clip them."""
    normalization, fold = subject.experiment.data.normalization, subject.fold
    if normalization == "robust":
        return _clipped_finding(subject)
    groups = subject.experiment.data.statistics_groups(subject.dataset.spec)
    mean, scale = input_statistics(subject.numbers, normalization, groups, fold.train)
    training_distance = _max_distance(subject, fold.train, mean, scale)
    sets = {"validation": fold.validation, "test": fold.test}
    farthest = {
        name: _max_distance(subject, indices, mean, scale) for name, indices in sets.items() if len(indices)
    }
    if not farthest:
        return []
    outliers = np.maximum.reduce(list(farthest.values()))
    far = (outliers > MAX_SCALES) & (outliers > FARTHER_THAN_TRAINING * training_distance)
    columns = np.flatnonzero(far & (training_distance > 0))  # constant columns have another finding
    if not len(columns):
        return []
    # The farthest first; stable, so that the sentence is deterministic.
    columns = columns[np.argsort(-outliers[columns], kind="stable")]
    first = columns[0]
    subset = max(farthest, key=lambda name: farthest[name][first])
    names = [subject.column_name(c) for c in columns]
    sentence = (
        f"{list_names(names)} hardly vary in training: {names[0]} is {outliers[first]:.3g} scales out in the "
        f"{subset} set, {training_distance[first]:.3g} in training (limit {MAX_SCALES:g})"
    )
    advice = (
        f"data.normalization=robust, which pulls in what is beyond {LINEAR_LIMIT:g} deviations; "
        f"or leave them out"
    )
    return [Finding("warn", float(outliers[first]), MAX_SCALES, sentence, advice, "far_columns")]


def _clipped_finding(subject: Subject) -> list[Finding]:
    """A column in which `robust` clips more than a few values: missing ones, perhaps."""
    indices = subject.subsample(subject.fold.train, MAX_EXAMPLES, "far")
    groups = subject.experiment.data.statistics_groups(subject.dataset.spec)
    mean, scale = input_statistics(subject.numbers, "robust", groups, subject.fold.train)
    share = (np.abs(subject.numbers[indices].astype(np.float64) - mean) > LINEAR_LIMIT * scale).mean(0)
    column = int(share.argmax())
    if share[column] <= CLIPPED_SHARE:
        return []
    name = subject.column_name(column)
    sentence = f"{share[column]:.1%} of {name} beyond {LINEAR_LIMIT:g} deviations and pulled in"
    return [Finding("pass", 0, 0, sentence)]


def _max_distance(subject: Subject, indices: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(d,): the largest distance from the mean, in scales, among a sample of these examples."""
    examples = subject.subsample(indices, MAX_EXAMPLES, "far")
    return np.abs((subject.numbers[examples].astype(np.float64) - mean) / scale).max(0)
