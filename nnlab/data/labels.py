"""Targets: which of them are classes, and which labels are the same class."""

from __future__ import annotations

import re
import unicodedata
import warnings
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from nnlab.data.cells import MISSING_LABELS
from nnlab.errors import Advice, UserError, shortened

TASK_CHOICES = ("auto", "classification", "regression")
# Whole numbers with at most so many different values are classes, unless data.task says otherwise.
MOST_INFERRED_CLASSES = 20
# Without leading zeros: 01 is a code, not a number.
PLAIN_NUMBER = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
NUMBER_KINDS = "biuf"  # numpy's letters for truth values, integers, unsigned integers and floats


class Targets(NamedTuple):
    """The fields of a `Dataset` that come from its target column."""

    y: np.ndarray  # (N,) class numbers, or (N, m) numbers
    classes: tuple[str, ...] = ()
    labels: str = "text"  # the type of the labels; see `DataSpec`


def targets(y: np.ndarray, task: str, where: str) -> Targets:
    """The targets of a column y (N,) of text or finite numbers.

    By `auto`, text and whole numbers with at most 20 values are classes. Classes are sorted. Raises
    `UserError` where there is only one class, or where most classes have one example.
    """
    if task == "regression" or task == "auto" and not are_classes(y):
        return Targets(y.astype(np.float64)[:, None])
    if y.dtype.kind not in NUMBER_KINDS:
        return of_words(y.tolist(), where)
    values, number = np.unique(y, return_inverse=True)
    names = tuple(_label(v) for v in values.tolist())
    _refuse_poor_classes(number, names, where)
    return Targets(number, names, _label_type(values))


def are_classes(y: np.ndarray) -> bool:
    """Whether `task: auto` takes them for classes."""
    return y.dtype.kind not in NUMBER_KINDS or _are_whole(y) and len(np.unique(y)) <= MOST_INFERRED_CLASSES


def of_words(labels: list[str], where: str) -> Targets:
    """The same from labels as they are written: `01` and `1` are two classes, and so are `Yes` and `yes`.

    Advice names two that read alike, and a class that may be a missing label.
    """
    names = tuple(sorted(set(labels)))
    place = {name: number for number, name in enumerate(names)}
    number = np.fromiter((place[label] for label in labels), np.int64, len(labels))
    _refuse_poor_classes(number, names, where)
    for first, second in _alike(names)[:1]:
        advice = f"{where} has {len(names)} classes, of which '{first}' and '{second}' read alike"
        warnings.warn(advice, Advice, stacklevel=3)
    for name in [name for name in names if name.lower() in MISSING_LABELS][:1]:
        advice = f"{where} has {len(names)} classes, and '{name}' is one of them, not a missing label"
        warnings.warn(advice, Advice, stacklevel=3)
    return Targets(number, names)


def are_numbers(labels: set[str]) -> bool:
    """Whether labels that are finite numbers may be compared by value: then `1` and `1.0` are one class.

    Not if a number has a leading zero, nor if two numbers are equal in float64 only.
    """
    if not all(PLAIN_NUMBER.fullmatch(label) for label in labels):
        return False
    return len({Decimal(label) for label in labels}) == len({float(label) for label in labels})


def _refuse_poor_classes(number: np.ndarray, names: tuple[str, ...], where: str) -> None:
    """Raise `UserError` if no network can learn these classes: only one, or one for each example."""
    if len(names) < 2:
        raise UserError(f"{where} has only one class, '{shortened(names[0])}': there is nothing to classify")
    single = int((np.bincount(number) == 1).sum())
    if len(names) > MOST_INFERRED_CLASSES and single > len(names) / 2:
        raise UserError(
            f"{where} has {len(names):,} classes in {len(number):,} examples, and {single:,} of them have "
            f"one example: what is different in every row is a name or a number, not a class; take another "
            f"column, or data.task=regression for numbers"
        )


def _alike(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Pairs of names that differ only in case, spaces, Unicode form, or the notation of a number."""
    first_of_reading, pairs = {}, []
    for name in names:
        first = first_of_reading.setdefault(_reading(name), name)
        if first != name:
            pairs.append((first, name))
    return pairs


def _reading(name: str):
    """What a human reader takes the name for: a number, or text without case and extra spaces."""
    # Category Cf are characters without width, which nobody sees.
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


def _label(value) -> str:
    """The name of a class that is a number: 1 for 1.0 and for true, 0.5 for 0.5."""
    if isinstance(value, bool) or isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
