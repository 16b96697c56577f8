"""The experiments of a stack as plain values: the settings of the first, and what the others have otherwise.

    {"first": {"data": {"name": "digits", ...}, ...}, "changes": [{"optimizer": {"lr": 0.02}, "seed": 3}]}

They agree on the classes of their parts and on most settings, so this is short, and quick to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

from nnlab.data.dataset import Data
from nnlab.data.sources import SOURCES, Arrays
from nnlab.errors import UserError
from nnlab.experiment import GROUPS, Experiment
from nnlab.frozen_dict import plain
from nnlab.hyperparameters import Component, decompose, parts
from nnlab.tables.frames import Frame

# Data of a Python session: no configuration can name them, and their arrays are no settings.
IN_MEMORY = {cls.name: cls for cls in (Arrays, Frame)}
NAMED_CLASSES = GROUPS | {"data": SOURCES | IN_MEMORY}
CONTENT = "content"  # of data in memory, what tells them from others


def to_values(experiments: Sequence[Experiment]) -> dict:
    """The values; `from_values` is the inverse. Raises `UserError` for an experiment that only this Python
    session knows, and `ValueError` for those of several stacks."""
    first, *others = experiments
    config = decompose(first, NAMED_CLASSES)
    if type(first.data) in IN_MEMORY.values():
        config["data"][CONTENT] = getattr(first.data, CONTENT)
    return {"first": config, "changes": [_changes(first, e) for e in others]}


def from_values(values) -> tuple[Experiment, ...]:
    """The experiments. A stranger may have written the values: raises `UserError`.

    Data in memory have their settings alone: whoever trains has their examples from elsewhere.
    """
    if not isinstance(values, dict) or {*values} != {"first", "changes"}:
        raise UserError("expected the first experiment, and the changes of the others")
    config, changes = values["first"], values["changes"]
    if not isinstance(config, dict) or not isinstance(config.get("data"), dict):
        raise UserError("expected the settings of an experiment, those of its data among them")
    if not isinstance(changes, list) or not all(isinstance(change, dict) for change in changes):
        raise UserError("expected a list of changes")
    first = Experiment.from_config(config | {"data": _data(config["data"])})
    return first, *(_changed(first, change) for change in changes)


def _changes(first: Experiment, e: Experiment) -> dict:
    """What `e` has otherwise than `first`."""
    changes = _changed_settings(first, e, {*parts(first)})
    for group in parts(first):
        own, firsts = getattr(e, group), getattr(first, group)
        if type(own) is not type(firsts) or group == "data" and own != firsts:
            raise ValueError(f"experiments of two stacks: one has {group} = {firsts}, and another {own}")
        if group != "data" and (changed := _changed_settings(firsts, own)):
            changes[group] = changed
    return changes


def _changed_settings(first: Component, other: Component, apart: set[str] = frozenset()) -> dict:
    """The settings of `other` that are not those of `first`, by name, as plain values."""
    names = [f.name for f in fields(first) if f.init and f.name not in apart]
    values = {name: getattr(other, name) for name in names}
    firsts = {name: getattr(first, name) for name in names}
    # By `repr`, since -0.0 equals 0.0, and True equals 1.
    changed = [n for n in names if values[n] is not firsts[n] and repr(values[n]) != repr(firsts[n])]
    return {name: plain(values[name]) for name in changed}


def _changed(first: Experiment, changes: dict) -> Experiment:
    """The inverse of `_changes`."""
    try:
        changed_parts = {
            group: replace(getattr(first, group), **changes[group])
            for group in parts(first)
            if group in changes and group != "data"
        }
        return replace(first, **changes | changed_parts)
    except UserError:
        raise
    except (TypeError, ValueError) as e:  # no mapping of names, or a setting that is never given
        raise UserError(f"changes of other experiments: {e}") from e


def _data(values: dict) -> Data | dict:
    """The data that `make_part` makes of the values; or data in memory, without their examples."""
    name = values.get("name")
    cls = IN_MEMORY.get(name) if isinstance(name, str) else None
    if cls is None:
        return values
    settings = {f.name: values.get(f.name) for f in fields(cls)}
    if {*values} != {"name"} | {f.name for f in fields(cls) if "kind" in f.metadata}:
        raise UserError(f"data '{cls.name}' has other settings")
    data = object.__new__(cls)
    for key, value in settings.items():
        object.__setattr__(data, key, value)
    Component.__post_init__(data)  # which checks the settings
    return data
