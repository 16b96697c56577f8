"""The types of hyperparameter columns in TensorBoard's HParams tab.

All values of a column must have one type, or TensorBoard's backend fails when it sorts by the column. So the
type follows from what a key may hold, never from a single value.
"""

from __future__ import annotations

import functools
import math
import sys

NUMBER_TYPE, BOOL_TYPE, STRING_TYPE = "number", "bool", "string"
PADDED_DIGITS = 8  # integers in a text column are padded, so that they sort as numbers


def hparam_name(key: str) -> str:
    """The name of the column for a key: `optimizer.name` for the group `optimizer`, else the key."""
    from nnlab.experiment import GROUPS  # imports torch

    return f"{key}.name" if key in GROUPS else key


def to_column_type(key: str, value):
    """The value converted to its column's type; None stays None, and is left out."""
    if value is None:
        return None
    kind = column_type(key, value)
    if kind == STRING_TYPE:
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        return f"{value:>{PADDED_DIGITS}}" if is_integer else str(value)
    try:
        return bool(value) if kind == BOOL_TYPE else _clip_to_float(float(value))
    except (TypeError, ValueError):  # a value that cannot have been trained with
        return None


def _clip_to_float(value: float) -> float | None:
    """The value; infinities become the largest float, since JSON has no infinity, and NaN becomes None."""
    if math.isnan(value):
        return None
    return max(-sys.float_info.max, min(sys.float_info.max, value))


def column_type(key: str, value=None) -> str:
    """The type of the key's column: as declared, or for an unknown key by the value."""
    declared = _declared_type(key)
    if declared:
        return declared
    if isinstance(value, bool):
        return BOOL_TYPE
    return NUMBER_TYPE if isinstance(value, int | float) else STRING_TYPE


@functools.cache
def _declared_type(key: str) -> str:
    """The type by the annotations of all classes that have the setting; "" if none has."""
    from nnlab.experiment import GROUPS, Experiment  # imports torch, and other events do without

    group, _, name = key.partition(".")
    if key in GROUPS or name == "name":
        return STRING_TYPE
    # A group is a table of classes, or a class where there is nothing to choose.
    table = GROUPS.get(group, {}) if name else Experiment
    classes = table.values() if isinstance(table, dict) else [table]
    fields = (cls.__dataclass_fields__.get(name or key) for cls in classes)
    types = {_annotation_type(field.type) for field in fields if field}
    if not types:
        return ""
    return types.pop() if len(types) == 1 else STRING_TYPE


def _annotation_type(annotation) -> str:
    """number for `int | None`, bool, or string for anything else, such as `int | Literal["full"]`.

    Annotations are read as text: evaluating those of all classes would take longer than writing the file.
    """
    annotation_text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    members = {member.strip() for member in annotation_text.split("|")} - {"None"}
    if members <= {"int", "float"}:
        return NUMBER_TYPE
    return BOOL_TYPE if members == {"bool"} else STRING_TYPE
