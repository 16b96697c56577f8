"""Targets: telling classes from numbers, and one class from another."""

from __future__ import annotations

import re
import unicodedata
import warnings
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from nnlab.data.cells import MISSING
from nnlab.errors import Advice, UserError, shortened

TASKS = ("auto", "classification", "regression")
CLASSES = 20  # whole numbers of at most so many values are classes, unless data.task says otherwise
PLAIN = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)  # 01 is a code


class Targets(NamedTuple):
    """What a target column gives a `Dataset`."""

    y: np.ndarray  # (N,) class numbers, or (N, m) numbers
    classes: tuple[str, ...] = ()
    labels: str = "text"  # what the classes were; see `DataSpec`


def targets(y: np.ndarray, task: str, where: str) -> Targets:
    """Those of the target column y (N,), text or finite numbers.

    By `auto`, text and whole numbers of at most 20 values are classes. Classes are sorted. Raises `UserError`
    where there is only one, or most have one example.
    """
    if task == "regression" or task == "auto" and not are_classes(y):
        return Targets(y.astype(np.float64)[:, None])
    if y.dtype.kind not in "biuf":
        return of_words(y.tolist(), where)
    values, number = np.unique(y, return_inverse=True)
    labels = "boolean" if y.dtype.kind == "b" else "integer" if _are_whole(values) else "real"
    return Targets(*_classes(number, tuple(_label(v) for v in values.tolist()), where), labels)


def are_classes(y: np.ndarray) -> bool:
    """Whether `auto` takes them for classes."""
    return y.dtype.kind not in "biuf" or _are_whole(y) and len(np.unique(y)) <= CLASSES


def of_words(labels: list[str], where: str) -> Targets:
    """The same from labels taken to the letter: `01` and `1` are two classes, and so are `Yes` and `yes`.
    Advice says so of two that read alike."""
    names = tuple(sorted(set(labels)))
    place = {name: number for number, name in enumerate(names)}
    number = np.fromiter((place[label] for label in labels), np.int64, len(labels))
    y, names = _classes(number, names, where)
    for first, second in _alike(names)[:1]:
        said = f"{where} has {len(names)} classes, of which '{first}' and '{second}' read alike"
        warnings.warn(said, Advice, stacklevel=3)
    for name in [name for name in names if name.lower() in MISSING][:1]:
        said = f"{where} has {len(names)} classes, and '{name}' is one of them, not a missing label"
        warnings.warn(said, Advice, stacklevel=3)
    return Targets(y, names)


def are_numbers(labels: set[str]) -> bool:
    """Whether labels that are finite numbers may be told apart by their values: `1` and `1.0` are one then.
    Not where a number has a leading zero, nor where two have the same value in float64 only."""
    if not all(PLAIN.fullmatch(label) for label in labels):
        return False
    return len({Decimal(label) for label in labels}) == len({float(label) for label in labels})


def _classes(number: np.ndarray, names: tuple[str, ...], where: str):
    if len(names) < 2:
        only = shortened(names[0])
        raise UserError(f"{where} has only one class, '{only}': there is nothing to tell apart")
    single = int((np.bincount(number) == 1).sum())
    if len(names) > CLASSES and single > len(names) / 2:
        raise UserError(
            f"{where} has {len(names):,} classes in {len(number):,} examples, and {single:,} of them have "
            f"one example: what is different in every row is a name or a number, not a class; take another "
            f"column, or data.task=regression for numbers"
        )
    return number, names


def _alike(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Pairs of names that differ in case, spaces, unicode's form or the way a number is written."""
    seen, found = {}, []
    for name in names:
        first = seen.setdefault(_reading(name), name)
        if first != name:
            found.append((first, name))
    return found


def _reading(name: str):
    """What a reader takes it for."""
    text = "".join(c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) != "Cf")
    text = " ".join(text.casefold().split())
    return float(text) if re.fullmatch(r"[+-]?\d+(\.\d*)?", text, re.ASCII) else text


def _are_whole(y: np.ndarray) -> bool:
    return bool((y == np.floor(y)).all())


def _label(value) -> str:
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole or isinstance(value, bool) else str(value)
