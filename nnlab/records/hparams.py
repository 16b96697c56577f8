"""Hyperparameters as TensorBoard's HParams tab takes them: a column has values of one type, or its backend
fails when it sorts by the column. So the type is that of what a key may hold, never that of one value."""

from __future__ import annotations

import functools
import math
import sys

from nnlab.errors import visible

NUMBER, TRUTH, TEXT = "number", "bool", "string"
DIGITS = 8  # of a whole number in a column of text: padded, so that text sorts as numbers do


def flat(tree: dict, prefix: str = ""):
    """Nested settings as pairs: dotted key, value; words without characters that act."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield visible(f"{prefix}{key}"), visible(value) if isinstance(value, str) else value


def beside(runs: list[dict]) -> tuple[list[dict], tuple[str, ...]]:
    """The flat settings of several runs with the keys of all of them, those first in which they differ; and
    which these are. What a run does not have is None."""
    each = [dict(flat(settings)) for settings in runs]
    keys = dict.fromkeys(key for own in each for key in own)
    differ = tuple(key for key in keys if len({repr(own.get(key)) for own in each}) > 1)
    return [in_front(own | {key: own.get(key) for key in keys}, differ) for own in each], differ


def in_front(hparams: dict, keys) -> dict:
    """The same with these keys first."""
    return {key: hparams[key] for key in keys if key in hparams} | hparams


def setting(key: str) -> str:
    """The setting that a word such as `optimizer=adam` sets: `optimizer.name`."""
    from nnlab.experiment import GROUPS

    return f"{key}.name" if key in GROUPS else key


def typed(key: str, value):
    """The value as its column has it; None stays None, and so is left out."""
    if value is None:
        return None
    kind = kind_of(key, value)
    if kind == TEXT:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return f"{value:>{DIGITS}}" if whole else str(value)
    try:
        return bool(value) if kind == TRUTH else finite(float(value))
    except (TypeError, ValueError):  # of a run that was never trained so
        return None


def finite(value: float) -> float | None:
    """The value; of an infinite one the largest that there is, since JSON has no infinity."""
    return None if math.isnan(value) else max(-sys.float_info.max, min(sys.float_info.max, value))


def kind_of(key: str, value=None) -> str:
    """What the column of this key holds; of a key that nothing here has, by the value."""
    declared = _declared(key)
    if declared:
        return declared
    return TRUTH if isinstance(value, bool) else NUMBER if isinstance(value, int | float) else TEXT


@functools.cache
def _declared(key: str) -> str:
    """By the annotations of all classes that have such a setting; "" if none has."""
    from nnlab.experiment import GROUPS, Experiment

    group, _, name = key.partition(".")
    if key in GROUPS or name == "name":
        return TEXT
    table = GROUPS.get(group, {}) if name else Experiment
    classes = table.values() if isinstance(table, dict) else [table]
    fields = (c.__dataclass_fields__.get(name or key) for c in classes)
    kinds = {_kind(field.type) for field in fields if field}
    return kinds.pop() if len(kinds) == 1 else TEXT if kinds else ""


def _kind(annotation) -> str:
    """Numbers, truth values, or anything else and any mixture: `int | None`, `int | Literal["full"]`. Read as
    it was written, for to evaluate those of all classes would take longer than to write the file."""
    written = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    members = {member.strip() for member in written.split("|")} - {"None"}
    return NUMBER if members <= {"int", "float"} else TRUTH if members == {"bool"} else TEXT
