"""The target column of a table: which examples have one, and whether it has classes or numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from nnlab.data.labels import (
    MOST_INFERRED_CLASSES,
    Targets,
    are_comparable_by_value,
    encode_labels,
    encode_targets,
)
from nnlab.errors import UserError, shortened
from nnlab.tables.cells import as_text
from nnlab.tables.judged import Judged, ReadingSettings
from nnlab.tables.judgement import judge
from nnlab.tables.said_types import column_as

# Whole numbers with up to 20 values may be classes or counts. Counts have values that hardly occur: so many
# values, the rarest of fewer examples than this, are taken for numbers.
FEWEST_VALUES_OF_COUNTS, FEWEST_EXAMPLES_OF_CLASS = 6, 5
FEWEST_EXAMPLES_JUDGED = 50  # below which classes may be rare too
# Amounts: the most frequent value occurs so much more often than the rarest; and so many standard deviations
# of a difference of two counts are luck.
RARITY_OF_AMOUNTS, LUCK = 10, 2
MOST_DOUBTFUL_VALUES = 100  # different whole numbers that may still be meant for classes


@dataclass(frozen=True)
class TargetColumn:
    """The cells of a target as text or numbers, and which are there."""

    name: str
    where: str  # the table and the column, for sentences
    judged: Judged
    text: pa.Array  # null where it is missing
    numbers: np.ndarray | None  # NaN where it is missing

    @property
    def present(self) -> np.ndarray:
        """(N,) whether the example has a target."""
        if self.numbers is not None:
            return np.isfinite(self.numbers)
        return np.asarray(self.text.is_valid())


def read_target(
    name: str, cells: pa.Array, settings: ReadingSettings, task: str, table: str, place
) -> TargetColumn:
    """The target column. Raises `UserError` where it has neither numbers nor labels."""
    where = f"{table}: column '{shortened(name)}'"
    judged = judge(name, cells, settings)
    if judged.odd is not None and task != "classification":
        row, cell = judged.odd
        raise UserError(
            f"{place(row)}, column '{shortened(name)}': '{shortened(cell)}' is not a number, as most targets "
            f"are: data.missing=['{shortened(cell)}'] leaves such rows out, data.task=classification makes "
            f"classes of all"
        )
    if judged.column.type == "date" and task != "classification":
        raise UserError(
            f"{where} has dates: expected numbers or classes; data.task=classification makes a class of each"
        )
    if pa.types.is_nested(cells.type):
        raise UserError(f"{where} has lists: expected numbers or classes")
    text = as_text(cells, settings.missing)
    if task == "regression" and judged.numbers is None and judged.column.reason != "empty":
        why = "which data.task=regression needs; data.task=classification makes classes of all"
        judged = column_as(name, cells, "number", settings, place, why)
    return TargetColumn(name, where, judged, text, judged.numbers)


def encode(target: TargetColumn, task: str) -> tuple[Targets, str]:
    """The targets of the examples that have one, as a `Dataset` has them; and a sentence, where they may be
    classes or numbers, on which was taken. Raises `UserError`."""
    present, doubt = target.present, ""
    if not present.any():
        raise UserError(f"{target.where} is empty: there is nothing to learn")
    if target.numbers is None:
        return _encode_text(target, present), doubt
    y = target.numbers[present]
    if task == "auto":
        task, doubt = _infer_task(y, target.where)
    elif task == "classification":
        doubt = _doubt_of_classes(y, target.where)
    if task == "classification":
        labels = target.text.filter(pa.array(present))
        if not are_comparable_by_value(set(labels.unique().to_pylist())):
            return encode_labels(labels.to_pylist(), target.where), doubt
    return encode_targets(y, task, target.where), doubt


def _encode_text(target: TargetColumn, present: np.ndarray) -> Targets:
    labels = target.text.filter(pa.array(present)).to_pylist()
    if target.judged.column.reason == "true or false":  # a typed column of truth values
        return encode_targets(np.array([label == "true" for label in labels]), "classification", target.where)
    return encode_labels(labels, target.where)


def _infer_task(y: np.ndarray, where: str) -> tuple[str, str]:
    """What `auto` means for numbers, and a sentence that says so, where they may be classes or amounts."""
    values, counts = np.unique(y, return_counts=True)
    if (values != np.floor(values)).any():
        return "regression", ""
    if len(values) <= 2:
        return "classification", ""
    what = f"{where} has {len(values)} whole numbers from {values[0]:g} to {values[-1]:g}"
    as_classes = "data.task=classification takes them for classes"
    if len(values) > MOST_INFERRED_CLASSES:
        is_doubtful = len(values) <= MOST_DOUBTFUL_VALUES and 2 * len(values) <= len(y)
        return "regression", f"{what}, taken for numbers; {as_classes}" * is_doubtful
    if _are_amounts(values, counts):
        commonest = values[counts.argmax()]
        why = f"since they have no gap and are the rarer, the farther from {commonest:g}"
        return "regression", f"{what}, taken for numbers {why}; {as_classes}"
    if _are_counts(counts):
        rarest, least = values[counts.argmin()], counts.min()
        times = "once" if least == 1 else f"{least} times"
        return "regression", f"{what}, taken for numbers since {rarest:g} occurs only {times}; {as_classes}"
    return "classification", f"{what}, taken for classes; data.task=regression takes them for numbers"


def _doubt_of_classes(y: np.ndarray, where: str) -> str:
    """A sentence, where somebody asked for a class of each of many numbers."""
    values = np.unique(y)
    if len(values) <= MOST_INFERRED_CLASSES:
        return ""
    return (
        f"{where} has {len(values):,} numbers from {values[0]:g} to {values[-1]:g}, each a class of its own "
        f"that knows nothing of their order; data.task=regression takes them for numbers"
    )


def _are_amounts(values: np.ndarray, counts: np.ndarray) -> bool:
    """Whether whole numbers without a gap, from 0 or 1, occur as often as amounts do: one of them most, the
    others the less the farther they are from it, the rarest hardly. The last may stand for all above it."""
    if len(values) < FEWEST_VALUES_OF_COUNTS or counts.sum() < FEWEST_EXAMPLES_JUDGED:
        return False
    has_gap = values[0] > 1 or values[-1] - values[0] != len(values) - 1
    if has_gap or counts.max() < RARITY_OF_AMOUNTS * counts.min():
        return False
    body = counts[:-1]
    top = body.argmax()
    falls = np.concatenate([body[:top][::-1], body[top + 1 :]])
    before = np.concatenate([body[1 : top + 1][::-1], body[top:-1]])
    return bool((falls <= before + LUCK * np.sqrt(before + falls)).all())


def _are_counts(counts: np.ndarray) -> bool:
    """Whether so many examples of each whole number are rather those of counts or years than of classes."""
    if counts.min() == 1:  # which no split could give to training and test
        return True
    has_many_values = len(counts) >= FEWEST_VALUES_OF_COUNTS and counts.sum() >= FEWEST_EXAMPLES_JUDGED
    return bool(has_many_values and counts.min() < FEWEST_EXAMPLES_OF_CLASS)
