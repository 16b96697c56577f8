"""Finds test examples that are also training or validation examples: the test error is too optimistic."""

from __future__ import annotations

import numpy as np

from nnlab.checks.subject import Subject
from nnlab.checks.verdict import Finding, grade
from nnlab.data.streamed_statistics import row_blocks
from nnlab.streams import stream

SHARED_WARN, SHARED_FAIL = 0.02, 0.2  # shares of the test set
STANDARD_ERRORS = 2.33  # exceeded by luck once in a hundred
REMOVE_COPIES = "remove the copies before splitting, or the test error is too optimistic"


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
    known_keys, test_keys = keys[np.concatenate([fold.train, fold.validation])], keys[fold.test]
    shared_count = int(np.isin(test_keys, known_keys).sum())
    share = shared_count / len(test_keys)
    tolerated_share = max(SHARED_WARN, 1 / len(test_keys))  # a single example may be chance
    if share <= tolerated_share:
        return [Finding("pass", share, tolerated_share, "")]
    if len(np.unique(known_keys)) < 0.5 * len(known_keys):
        return [Finding("pass", share, 1.0, "most examples repeat another, of few different values")]
    expected_share = _repeated_share(known_keys)
    chance_limit = expected_share + STANDARD_ERRORS * float(
        np.sqrt(expected_share * (1 - expected_share) / len(test_keys))
    )
    # If shuffled columns repeat as often, the cause is few values and not copied examples.
    few_values = (
        share <= chance_limit and _repeated_share(_example_keys(*_shuffled(subject))) > 0.5 * expected_share
    )
    if few_values:
        sentence = f"{share:.0%} of the test set repeated (limit {chance_limit:.0%}), of few different values"
        return [Finding("pass", share, chance_limit, sentence)]
    sentence = (
        f"{share:.1%} of the test set ({shared_count} examples; limit {tolerated_share:.1%}) "
        "are also training or validation examples"
    )
    if share <= chance_limit:
        sentence += f", as {expected_share:.0%} of the others repeat each other"
        sentence += ": copies, or few different values"
        advice = f"if examples were copied, {REMOVE_COPIES}"
        return [Finding("warn", share, tolerated_share, sentence, advice, "test_in_training")]
    status = grade(share, tolerated_share, max(tolerated_share, SHARED_FAIL))
    return [Finding(status, share, tolerated_share, sentence, REMOVE_COPIES, "test_in_training")]


def _example_keys(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(N,): a hash of each example, the same for equal ones."""
    y = np.ascontiguousarray(y) + 0  # -0 and 0 have different bytes
    inputs = (line.tobytes() for block in row_blocks(x) for line in np.ascontiguousarray(block) + 0)
    return np.array([hash((line, t.tobytes())) for line, t in zip(inputs, y, strict=True)])


def _repeated_share(keys: np.ndarray) -> float:
    """The share of examples that occur more than once."""
    _, counts = np.unique(keys, return_counts=True)
    return float(counts[counts > 1].sum() / len(keys))


def _shuffled(subject: Subject) -> list[np.ndarray]:
    """Inputs and targets of the training and validation examples, every column shuffled independently."""
    examples = np.concatenate([subject.fold.train, subject.fold.validation])
    rng = stream(0, "check", "shuffled")
    return [rng.permuted(v[examples], axis=0) for v in (subject.dataset.x, subject.dataset.y)]
