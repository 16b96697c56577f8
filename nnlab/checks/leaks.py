"""Finds input columns that leak the target or number the rows, which new examples will not have.

A column is the target in disguise if it is (nearly) a function of it. For classes: one value for each class,
the same for several of them in a one-hot column. For numbers: a column that rises or falls with the target,
whatever its scale. The columns of a table are judged as they were read, as `nnlab data` judges them.
"""

from __future__ import annotations

import numpy as np

from nnlab.checks.subject import Subject
from nnlab.checks.verdict import Finding
from nnlab.data.identifiers import IDENTIFIER_REMEDY, dataset_identifiers, input_name, ranks
from nnlab.data.leaks import find_leaks
from nnlab.errors import shortened

MIN_EXAMPLES = 20  # with fewer, a column may agree with the target by luck
MIN_OTHER_EXAMPLES = 5  # that must differ from the most frequent value, for the same reason
MAX_EXAMPLES = 2000  # of the training examples
NEAR_RANGE_SHARE = 0.02  # of a column's range: a value this near to its class's median counts as equal to it
AGREEING_SHARE = 0.99  # of all examples must have the value of their class,
AGREEING_SHARE_PER_CLASS = 0.95  # and of each class: a rare class may be all of the rest
RANK_CORRELATION = 0.9999  # rank correlation with the target


def check(subject: Subject) -> list[Finding]:
    """A finding for columns that number the rows, and one for columns that leak the target."""
    dataset = subject.dataset
    identifiers = dataset_identifiers(dataset)
    examples = subject.subsample(subject.fold.train, MAX_EXAMPLES, "leaks")
    findings = _identifier_finding(subject.input_names, identifiers)
    if subject.experiment.data.reconstruct:  # the targets are the inputs
        return findings
    if dataset.columns:
        return findings + _column_finding(dataset, examples)
    x, y = subject.inputs(examples), dataset.y[examples]
    if x.shape[1] < 2 or len(x) < MIN_EXAMPLES:  # a single input may well determine the target
        return findings
    target_copies = class_indicators(x, y) if dataset.classes else monotone_columns(x, y)
    leaking_columns = {c: r for c, r in target_copies.items() if c not in identifiers}
    return findings + _leak_finding(dataset, subject.input_names, leaking_columns)


def _column_finding(dataset, examples: np.ndarray) -> list[Finding]:
    """The finding of a table's columns."""
    leaks = find_leaks(
        dataset.columns, dataset.x[examples], dataset.y[examples], classes=bool(dataset.classes)
    )
    if not leaks:
        return []
    names = ", ".join(f"'{shortened(leak.name, 30)}'" for leak in leaks)
    share = f"{100 * min(leak.share for leak in leaks):.4g}%"
    what = f"the class of {share}" if dataset.classes else f"{share} of the target's variance"
    columns, they_are = ("the column", "it is") if len(leaks) == 1 else ("each of the columns", "they are")
    sentence = f"{columns} {names} alone tells {what} (limit 0 such columns)"
    advice = f"data.drop=[{names.replace(', ', ',')}], unless {they_are} known before the target is"
    return [Finding("warn", len(leaks), 0, sentence, advice, "leak")]


def class_indicators(x: np.ndarray, y: np.ndarray) -> dict[int, float]:
    """Columns of x (N, d) that are a function of the class y (N,) -> the share of examples that agree."""
    present_classes, class_index = np.unique(y, return_inverse=True)
    class_medians = np.array(
        [np.median(x[class_index == c], axis=0) for c in range(len(present_classes))]
    )  # (classes, d)
    column_range, median_range = np.ptp(x, axis=0), np.ptp(class_medians, axis=0)
    # Medians, since an example with a wrong label must not move them.
    near = np.abs(x - class_medians[class_index]) <= NEAR_RANGE_SHARE * column_range
    smallest_share = np.min([near[class_index == c].mean(0) for c in range(len(present_classes))], axis=0)
    differs = np.abs(class_medians[class_index] - np.median(x, axis=0)) > NEAR_RANGE_SHARE * column_range
    is_leak = (column_range > 0) & (median_range >= column_range / 2)
    is_leak &= (near.mean(0) >= AGREEING_SHARE) & (smallest_share >= AGREEING_SHARE_PER_CLASS)
    is_leak &= np.minimum(differs.sum(0), (~differs).sum(0)) >= MIN_OTHER_EXAMPLES
    return {int(c): float(near[:, c].mean()) for c in np.flatnonzero(is_leak)}


def monotone_columns(x: np.ndarray, y: np.ndarray) -> dict[int, float]:
    """Columns of x (N, d) that rise or fall with a target, a column of y (N, m) -> their rank correlation."""
    correlations = {}
    targets = [ranks(t) for t in y.T if len(np.unique(t)) >= MIN_EXAMPLES]
    for c, v in enumerate(x.T):
        if targets and len(np.unique(v)) >= MIN_EXAMPLES:
            rank = ranks(v)
            r = max((float(np.corrcoef(rank, t)[0, 1]) for t in targets), key=abs)
            if abs(r) >= RANK_CORRELATION:
                correlations[c] = r
    return correlations


def _identifier_finding(names: tuple[str, ...], identifiers: dict[int, str]) -> list[Finding]:
    if not identifiers:
        return []
    first, measure = next(iter(identifiers.items()))
    sentence = f"{input_name(first, names)} {measure}{_and_more(identifiers)} (limit 0 such inputs)"
    return [Finding("warn", len(identifiers), 0, sentence, IDENTIFIER_REMEDY, "row_number")]


def _leak_finding(dataset, names: tuple[str, ...], leaking_columns: dict[int, float]) -> list[Finding]:
    if not leaking_columns:
        return []
    first, measure = max(leaking_columns.items(), key=lambda item: abs(item[1]))
    if dataset.classes:
        relation = f"has one value for each class in {measure:.1%} of the examples"
    else:
        direction = "rises" if measure > 0 else "falls"
        relation = f"{direction} with the target, rank correlation {measure:.4f}"
    more = f"{_and_more(leaking_columns)} (limit 0 such inputs)"
    sentence = f"{input_name(first, names)} {relation}: it is the target in disguise{more}"
    advice = "take the column out of the file, unless it is known before the target is"
    return [Finding("warn", len(leaking_columns), 0, sentence, advice, "leak")]


def _and_more(columns: dict) -> str:
    return f"; {len(columns) - 1} more like it" if len(columns) > 1 else ""
