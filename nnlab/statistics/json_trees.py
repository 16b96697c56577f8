"""Dataclasses of plain numbers and words, read from JSON: whatever else stands there is a ValueError."""

from __future__ import annotations

import math
from dataclasses import MISSING, fields

TYPES = {"float": (int, float), "int": int, "str": str, "bool": bool, "None": type(None)}


def instance_of(cls: type, tree: dict, **nested):
    """cls(...) of a JSON object; `nested` has the fields that are not plain, ready. Further keys are
    ignored, and a missing one has its default, if there is one: older files lack those that came later.

    >>> from nnlab.statistics.over_data import Profile
    >>> instance_of(Profile, {}, ratios=(1.0,), shares={"a": (1.0,)})
    Profile(ratios=(1.0,), shares={'a': (1.0,)})
    """
    if not isinstance(tree, dict):
        raise ValueError(f"{cls.__name__}: {_short(tree)} is not an object")
    values = dict(nested)
    for field in fields(cls):
        if field.name not in nested:
            if field.name not in tree:
                if field.default is not MISSING:
                    continue
                raise ValueError(f"{cls.__name__}: '{field.name}' is missing")
            values[field.name] = plain(tree[field.name], field.type, f"{cls.__name__}: '{field.name}'")
    return cls(**values)


def plain(value, kind: str, name: str):
    """The value, if it is of this kind, `float | None`; a number is finite."""
    kinds = kind.split(" | ")
    fits = any(isinstance(value, TYPES[each]) for each in kinds)
    if isinstance(value, bool) and "bool" not in kinds:
        fits = False
    if not fits or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"{name} is {_short(value)}, not {kind}")
    return value


def listed(tree: dict, key: str, kind: type = list) -> list | dict:
    """The list (or object) that stands at this key."""
    if not isinstance(tree, dict) or not isinstance(tree.get(key), kind):
        raise ValueError(f"'{key}' is not {'a list' if kind is list else 'an object'}")
    return tree[key]


def _short(value) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
