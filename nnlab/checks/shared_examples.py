"""Test examples that are also trained on: they were copied before the split, and the test set flatters."""

from __future__ import annotations

import numpy as np

from nnlab.checks.subject import Subject
from nnlab.checks.verdict import Finding, graded
from nnlab.streams import stream

SHARED_WARN, SHARED_FAIL = 0.02, 0.2  # of the test set
STANDARD_ERRORS = 2.33  # luck gets there once in a hundred
COPIES_REMEDY = "before splitting, or the test set flatters"


def check(subject: Subject) -> list[Finding]:
    """Test examples that a training or validation example repeats, target and all.

    Where values are few, examples repeat each other by nature, in training as often as across: so the share
    is compared with that of the training examples that repeat another, and this in turn with what is left of
    it after every column is shuffled by itself, which repeats no example except by luck.
    """
    fold = subject.fold
    if not len(fold.test):
        return []
    keys = _keys(subject.dataset.x, subject.dataset.y)
    known, test = keys[np.concatenate([fold.train, fold.validation])], keys[fold.test]
    shared = int(np.isin(test, known).sum())
    share = shared / len(test)
    least = max(SHARED_WARN, 1 / len(test))  # a single one may be luck
    if share <= least:
        return [Finding("pass", share, least, "")]
    if len(np.unique(known)) < 0.5 * len(known):
        return [Finding("pass", share, 1.0, "most examples repeat another: of few different values")]
    usual = _repeated(known)
    expected = usual + STANDARD_ERRORS * float(np.sqrt(usual * (1 - usual) / len(test)))
    # Shuffled columns repeat as much: then it is the few values, and not rows that were copied.
    few_values = share <= expected and _repeated(_keys(*_shuffled(subject))) > 0.5 * usual
    if few_values:
        sentence = f"{share:.0%} of the test set repeated (limit {expected:.0%}), of few different values"
        return [Finding("pass", share, expected, sentence)]
    sentence = f"{share:.1%} of the test set ({shared} examples; limit {SHARED_WARN:.0%}) are also trained on"
    if share <= expected:
        sentence += f", as {usual:.0%} of the others repeat each other"
        sentence += ": repeated rows, or few different values"
        advice = f"if rows were copied, take the copies out {COPIES_REMEDY}"
        return [Finding("warn", share, SHARED_WARN, sentence, advice, "test_in_training")]
    status = graded(share, SHARED_WARN, SHARED_FAIL)
    advice = f"take the duplicates out {COPIES_REMEDY}"
    return [Finding(status, share, SHARED_WARN, sentence, advice, "test_in_training")]


def _keys(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(N,): a number for each example, the same for equal ones."""
    x, y = np.ascontiguousarray(x) + 0, np.ascontiguousarray(y) + 0  # -0 and 0 have different bytes
    return np.array([hash((inputs.tobytes(), t.tobytes())) for inputs, t in zip(x, y, strict=True)])


def _repeated(keys: np.ndarray) -> float:
    """The share of examples that are there more than once."""
    _, counts = np.unique(keys, return_counts=True)
    return float(counts[counts > 1].sum() / len(keys))


def _shuffled(subject: Subject) -> list[np.ndarray]:
    """Inputs and targets of the training and validation examples, every column shuffled by itself."""
    examples = np.concatenate([subject.fold.train, subject.fold.validation])
    random = stream(0, "check", "shuffled")
    return [random.permuted(v[examples], axis=0) for v in (subject.dataset.x, subject.dataset.y)]
