"""Encodes a target column: decides between classes and regression, and turns labels into class indices."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from nnlab.data.cells import MISSING_LABELS
from nnlab.errors import UserError, advise, shortened

TASK_CHOICES = ("auto", "classification", "regression")
# Whole numbers with at most this many distinct values are classes, unless data.task says otherwise.
MOST_INFERRED_CLASSES = 20
# Without leading zeros: 01 is a code, not a number.
PLAIN_NUMBER = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
NUMERIC_DTYPE_KINDS = "biuf"  # numpy's letters for booleans, integers, unsigned integers and floats


class Targets(NamedTuple):
    """The fields of a `Dataset` that come from its target column."""

    y: np.ndarray  # (N,) class indices, or (N, m) real targets
    classes: tuple[str, ...] = ()
    labels: str = "text"  # the type of the labels in the file; see `DataSpec`


def encode_targets(y: np.ndarray, task: str, where: str) -> Targets:
    """Encode a target column y (N,) of text or finite numbers.

    By `auto`, text and whole numbers with at most 20 values are classes. Classes are sorted. Raises
    `UserError` where there is only one class, or where most classes have one example; `where` names the
    column in errors.
    """
    if task == "regression" or task == "auto" and not are_classes(y):
        return Targets(y.astype(np.float64)[:, None])
    if y.dtype.kind not in NUMERIC_DTYPE_KINDS:
        return encode_labels(y.tolist(), where)
    values, class_indices = np.unique(y, return_inverse=True)
    names = tuple(class_name(v) for v in values.tolist())
    _refuse_poor_classes(class_indices, names, where)
    return Targets(class_indices, names, _label_type(values))


def are_classes(y: np.ndarray) -> bool:
    """Whether `task: auto` treats the targets as classes."""
    if y.dtype.kind not in NUMERIC_DTYPE_KINDS:
        return True
    return _are_whole(y) and len(np.unique(y)) <= MOST_INFERRED_CLASSES


def encode_labels(labels: list[str], where: str) -> Targets:
    """Encode labels exactly as written: `01` and `1` are two classes, and so are `Yes` and `yes`.

    Advice names two that read alike, and a class that may be a missing label.
    """
    names = tuple(sorted(set(labels)))
    index_of_name = {name: index for index, name in enumerate(names)}
    class_indices = np.fromiter((index_of_name[label] for label in labels), np.int64, len(labels))
    _refuse_poor_classes(class_indices, names, where)
    for first, second in lookalikes(names)[:1]:
        advice = f"{where} has {len(names)} classes, of which '{first}' and '{second}' read alike"
        advise(advice)
    for name in [name for name in names if name.lower() in MISSING_LABELS][:1]:
        advice = f"{where} has {len(names)} classes, and '{name}' is one of them, not a missing label"
        advise(advice)
    return Targets(class_indices, names)


def are_comparable_by_value(labels: set[str]) -> bool:
    """Whether labels that are finite numbers may be compared by value: then `1` and `1.0` are one class.

    Not if a number has a leading zero, nor if two numbers are equal in float64 only.
    """
    if not all(PLAIN_NUMBER.fullmatch(label) for label in labels):
        return False
    return len({Decimal(label) for label in labels}) == len({float(label) for label in labels})


def _refuse_poor_classes(class_indices: np.ndarray, names: tuple[str, ...], where: str) -> None:
    """Raise `UserError` if no network can learn these classes: only one, or one for each example."""
    if len(names) < 2:
        raise UserError(f"{where} has only one class, '{shortened(names[0])}': there is nothing to classify")
    singletons = int((np.bincount(class_indices) == 1).sum())
    if len(names) > MOST_INFERRED_CLASSES and singletons > len(names) / 2:
        raise UserError(
            f"{where} has {len(names):,} classes in {len(class_indices):,} examples, and {singletons:,} of "
            f"them have one example: what is different in every row is a name or a number, not a class; take "
            f"another column, or data.task=regression for numbers"
        )


def lookalikes(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Pairs of names that differ only in case, spaces, Unicode form, or the notation of a number."""
    first_with, pairs = {}, []
    for name in names:
        first = first_with.setdefault(_normalized_name(name), name)
        if first != name:
            pairs.append((first, name))
    return pairs


def _normalized_name(name: str):
    """The name as a human reads it: a number, or text without case and extra spaces."""
    # Characters of category Cf have no width, so nobody sees them.
    text = "".join(c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) != "Cf")
    text = " ".join(text.casefold().split())
    if re.fullmatch(r"[+-]?\d+(\.\d*)?", text, re.ASCII):
        return float(text)
    return text


def _are_whole(y: np.ndarray) -> bool:
    return bool((y == np.floor(y)).all())


def _label_type(values: np.ndarray) -> str:
    if values.dtype.kind == "b":
        return "boolean"
    return "integer" if _are_whole(values) else "real"


def class_name(value) -> str:
    """The name of a class that is a number: 1 for 1.0 and for true, 0.5 for 0.5."""
    if isinstance(value, bool) or isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
