"""Finds test examples that are also in the training set: the test error is then too optimistic."""

from __future__ import annotations

import numpy as np

from nnlab.checks.subject import Subject
from nnlab.checks.verdict import Finding, grade
from nnlab.streams import stream

SHARED_WARN, SHARED_FAIL = 0.02, 0.2  # of the test set
STANDARD_ERRORS = 2.33  # exceeded by luck once in a hundred
COPIES_REMEDY = "before splitting, or the test set flatters"


def check(subject: Subject) -> list[Finding]:
    """A finding for test examples that equal a training or validation example, target included.

    With few different values examples repeat naturally, within training as often as across the split. So the
    share is compared with the share of training examples that repeat, and this in turn with the share after
    every column is shuffled independently, when examples repeat only by chance.
    """
    fold = subject.fold
    if not len(fold.test):
        return []
    keys = _example_keys(subject.dataset.x, subject.dataset.y)
    training_keys, test = keys[np.concatenate([fold.train, fold.validation])], keys[fold.test]
    shared_count = int(np.isin(test, training_keys).sum())
    share = shared_count / len(test)
    min_share = max(SHARED_WARN, 1 / len(test))  # a single one may be chance
    if share <= min_share:
        return [Finding("pass", share, min_share, "")]
    if len(np.unique(training_keys)) < 0.5 * len(training_keys):
        return [Finding("pass", share, 1.0, "most examples repeat another: of few different values")]
    expected_share = _repeated_share(training_keys)
    chance_limit = expected_share + STANDARD_ERRORS * float(
        np.sqrt(expected_share * (1 - expected_share) / len(test))
    )
    # If shuffled columns repeat as often, the cause is few values and not copied rows.
    few_values = (
        share <= chance_limit and _repeated_share(_example_keys(*_shuffled(subject))) > 0.5 * expected_share
    )
    if few_values:
        sentence = f"{share:.0%} of the test set repeated (limit {chance_limit:.0%}), of few different values"
        return [Finding("pass", share, chance_limit, sentence)]
    sentence = (
        f"{share:.1%} of the test set ({shared_count} examples; limit {SHARED_WARN:.0%}) are also trained on"
    )
    if share <= chance_limit:
        sentence += f", as {expected_share:.0%} of the others repeat each other"
        sentence += ": repeated rows, or few different values"
        advice = f"if rows were copied, take the copies out {COPIES_REMEDY}"
        return [Finding("warn", share, SHARED_WARN, sentence, advice, "test_in_training")]
    status = grade(share, SHARED_WARN, SHARED_FAIL)
    advice = f"take the duplicates out {COPIES_REMEDY}"
    return [Finding(status, share, SHARED_WARN, sentence, advice, "test_in_training")]


def _example_keys(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(N,): a hash of each example, the same for equal ones."""
    x, y = np.ascontiguousarray(x) + 0, np.ascontiguousarray(y) + 0  # -0 and 0 have different bytes
    return np.array([hash((inputs.tobytes(), t.tobytes())) for inputs, t in zip(x, y, strict=True)])


def _repeated_share(keys: np.ndarray) -> float:
    """The share of examples that occur more than once."""
    _, counts = np.unique(keys, return_counts=True)
    return float(counts[counts > 1].sum() / len(keys))


def _shuffled(subject: Subject) -> list[np.ndarray]:
    """Inputs and targets of the training and validation examples, every column shuffled independently."""
    examples = np.concatenate([subject.fold.train, subject.fold.validation])
    random = stream(0, "check", "shuffled")
    return [random.permuted(v[examples], axis=0) for v in (subject.dataset.x, subject.dataset.y)]
