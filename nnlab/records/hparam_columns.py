"""Hyperparameters as TensorBoard's HParams tab takes them: a column has values of one type, or its backend
fails when it sorts by the column. So the type is that of what a key may hold, never that of one value."""

from __future__ import annotations

import functools
import math
import sys

from nnlab.experiment import GROUPS, Experiment

NUMBER_TYPE, BOOL_TYPE, STRING_TYPE = "number", "bool", "string"
PADDED_DIGITS = 8  # of a whole number in a column of text: padded, so that text sorts as numbers do


def setting(key: str) -> str:
    """The setting that a word such as `optimizer=adam` sets: `optimizer.name`."""
    return f"{key}.name" if key in GROUPS else key


def typed(key: str, value):
    """The value as its column has it; None stays None, and so is left out."""
    if value is None:
        return None
    kind = kind_of(key, value)
    if kind == STRING_TYPE:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return f"{value:>{PADDED_DIGITS}}" if whole else str(value)
    try:
        return bool(value) if kind == BOOL_TYPE else _within_json(float(value))
    except (TypeError, ValueError):  # of a run that was never trained so
        return None


def _within_json(value: float) -> float | None:
    """The value; of an infinite one the largest that there is, since JSON has no infinity."""
    if math.isnan(value):
        return None
    return max(-sys.float_info.max, min(sys.float_info.max, value))


def kind_of(key: str, value=None) -> str:
    """What the column of this key holds; of a key that nothing here has, by the value."""
    declared = _declared(key)
    if declared:
        return declared
    if isinstance(value, bool):
        return BOOL_TYPE
    return NUMBER_TYPE if isinstance(value, int | float) else STRING_TYPE


@functools.cache
def _declared(key: str) -> str:
    """By the annotations of all classes that have such a setting; "" if none has."""
    group, _, name = key.partition(".")
    if key in GROUPS or name == "name":
        return STRING_TYPE
    # A group is a table of classes, or a class where there is nothing to choose.
    table = GROUPS.get(group, {}) if name else Experiment
    classes = table.values() if isinstance(table, dict) else [table]
    fields = (cls.__dataclass_fields__.get(name or key) for cls in classes)
    kinds = {_kind(field.type) for field in fields if field}
    if not kinds:
        return ""
    return kinds.pop() if len(kinds) == 1 else STRING_TYPE


def _kind(annotation) -> str:
    """Numbers, truth values, or anything else and any mixture: `int | None`, `int | Literal["full"]`. Read as
    it was written, for to evaluate those of all classes would take longer than to write the file."""
    written = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    members = {member.strip() for member in written.split("|")} - {"None"}
    if members <= {"int", "float"}:
        return NUMBER_TYPE
    return BOOL_TYPE if members == {"bool"} else STRING_TYPE
