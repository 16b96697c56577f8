"""Makes parts of a model, boxes and blocks, of what a user wrote, with errors that say where it stands."""

from __future__ import annotations

import re
import typing
from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields

from nnlab.allowed import type_options
from nnlab.errors import UserError, nearest
from nnlab.hyperparameters import Component
from nnlab.suggestions import hint_of_kind

OUTPUTS = "outputs"  # stands for the number of outputs that data and loss need


def make(cls: type[Component], settings: Mapping, key: str, outputs: int = 1, separator: str = "."):
    """The part of class `cls` with these settings, where the word `outputs` stands for that number.

    `key` says where the settings stand, `model.boxes.conv1`, and is followed by `separator` and a setting.
    Raises `UserError`.
    """
    what, types = f"{cls.group} '{cls.name}'", field_types(cls)
    for name in settings:
        if name not in types:
            raise UserError(f"{key}{separator}{name}: {what} has no such key{_meant(cls, name, types)}")
    for f in fields(cls):
        if f.default is MISSING and f.name not in settings:
            raise UserError(f"{key}: {what} needs {f.name}, as in {{box: {cls.name}, {f.name}: ...}}")
    is_count = {name: value == OUTPUTS and int in types[name] for name, value in settings.items()}
    try:
        return cls(**{name: outputs if is_count[name] else value for name, value in settings.items()})
    except UserError as e:
        raise UserError(re.sub(rf"^{cls.group}\.", f"{key}{separator}", str(e))) from e


def _meant(cls: type[Component], name: str, names: Collection[str]) -> str:
    """What was probably meant by a key: another tool's word for it, the nearest one, or the list of all."""
    if not names:
        return "; it has no keys"
    names = {*names, "input"} if cls.group == "box" else names  # a line of a graph says what the box reads
    return hint_of_kind(cls.group, name, names) or nearest(name, names)


def field_types(cls: type[Component]) -> dict[str, tuple]:
    """The types that each field takes, by its name."""
    types = typing.get_type_hints(cls)
    return {f.name: type_options(types[f.name]) for f in fields(cls)}
