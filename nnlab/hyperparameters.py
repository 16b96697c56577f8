"""Columns, controls and statics: the kinds of hyperparameters, and how each is declared.

A part of an experiment (an optimiser, a schedule, ...) is a frozen dataclass that inherits `Component`.
Each field is declared by one of

    column(default, ...)   a number that enters the arithmetic: (K, 1) in a stack, kept in float64
    control(default, ...)  a number that the training loop reads on the host, (K,) in a stack; or a list of
                           numbers, (K, longest), filled up with infinity
    static(default, ...)   everything else: structure, the same for all rows of a stack
    part(choices, make)    of an experiment: a part, or the name of one of `choices` (see choices.part_of)

The same class serves one experiment (`Adam(lr=1e-3)`) and a stack (`Adam(lr=<column>)`, see `stack`).
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from dataclasses import MISSING, field, fields, replace

import numpy as np

from nnlab import plugins
from nnlab.allowed import Allowed, validate, yaml_text
from nnlab.arguments import bind_arguments
from nnlab.as_python import as_python, hint_for_unknown_setting
from nnlab.choices import resolve_part, short_repr
from nnlab.errors import UnknownSetting, UserError, nearest
from nnlab.frozen_dict import FrozenDict, plain
from nnlab.settings_help import settings_of

PLAIN_TYPES = (str, bool, int, float, type(None))  # of the leaves of a setting in YAML or JSON


def _declare(kind, default, range):
    allowed = Allowed(**range)
    if isinstance(default, list):
        default = tuple(default)
    if isinstance(default, dict):
        default = FrozenDict(default)
    return field(default=default, metadata={"kind": kind, "allowed": allowed})


def column(default=MISSING, **range):
    """A number of the arithmetic; `low`, `high`, `above`, `below`, `infinite` say what is allowed."""
    return _declare("column", default, range)


def control(default=MISSING, **range):
    """A number that the training loop reads on the host, one for each row."""
    return _declare("control", default, range)


def static(default=MISSING, **range):
    """Structure: names, sizes, flags. `choices` lists what is allowed; `plugins` is a group whose classes of
    installed packages are allowed too."""
    return _declare("static", default, range)


def part(choices: dict, make, convert=None):
    """A field that is itself a part, or the name of one in `choices`.

    The default is `make()`; with make=None it is None, and the whole decides. `convert` makes a part of other
    values.
    """
    return field(
        default_factory=make or (lambda: None),
        metadata={"choices": choices, "convert": convert, "optional": make is None},
    )


def _repr_of_changed(part) -> str:
    """`Adam(lr=0.01)`: the settings that are not at their default."""
    changed = [f for f in fields(part) if f.repr and not _is_default(part, f)]
    settings = ", ".join(f"{f.name}={getattr(part, f.name)!r}" for f in changed)
    return f"{type(part).__qualname__}({settings})"


def _is_default(part, f) -> bool:
    value = getattr(part, f.name)
    default = f.default
    if f.default_factory is not MISSING:
        default = f.default_factory()
    # A stack's values are arrays, which are not compared with `==`.
    return not hasattr(value, "ndim") and type(value) is type(default) and value == default


class Settings(type):
    # The metaclass of parts. It adds the meanings of settings to `help`, names the nearest setting when an
    # unknown one is given, and shows settings that are not at their default. (This is a comment because
    # `__doc__` is the property below.)

    def __new__(cls, name, bases, namespace):
        return super().__new__(cls, name, bases, {"__repr__": _repr_of_changed} | namespace)

    @property
    def __doc__(cls):
        text = inspect.cleandoc(vars(cls).get("__doc__") or "") or cls.__name__
        # `dataclass` asks for it too, before the class has fields.
        if "__match_args__" not in vars(cls):
            return text
        return "\n\n".join(filter(None, [text, settings_of(cls)]))

    def __call__(cls, *args, **settings):
        for key in settings.keys() - _setting_names(cls):
            raise UnknownSetting(_unknown_setting_error(cls, key, settings[key]))
        bind_arguments(cls.__name__, *_positional_and_required(cls), args, settings)
        return super().__call__(*args, **settings)


@dataclasses.dataclass(frozen=True)
class Component(metaclass=Settings):
    """Base of every part: checks the type and range of each field."""

    group: typing.ClassVar[str] = ""
    name: typing.ClassVar[str] = ""

    def __post_init__(self):
        group = plugins.group_of(type(self))
        for f in fields(self):
            value = getattr(self, f.name)
            type_ = _field_types(type(self))[f.name]
            if "kind" in f.metadata and not _is_stacked(value, f.metadata["kind"], type_):
                where = f"{group}.{f.name}" if group else f.name
                object.__setattr__(self, f.name, validate(value, type_, f.metadata["allowed"], where))
            elif "choices" in f.metadata and not (value is None and f.metadata["optional"]):
                made = _resolve_part(value, f.name, type_, f.metadata["choices"], f.metadata["convert"])
                object.__setattr__(self, f.name, made)


def _resolve_part(value, group: str, base: type, choices, convert):
    """`resolve_part`, with errors that write settings as Python does."""
    try:
        return resolve_part(value, group, base, choices, convert)
    except UserError as e:
        raise UserError(as_python(str(e))) from e


@functools.cache
def _field_types(cls) -> dict[str, type]:
    return typing.get_type_hints(cls)


@functools.cache
def _setting_names(cls) -> frozenset[str]:
    return frozenset(f.name for f in fields(cls) if f.init)


@functools.cache
def _positional_and_required(cls) -> tuple[list[str], list[str]]:
    """The settings that may be given by position, and those that must be given."""
    settings = [f for f in fields(cls) if f.init]
    required = [f.name for f in settings if f.default is f.default_factory is MISSING]
    return [f.name for f in settings if not f.kw_only], required


def _unknown_setting_error(cls, key: str, value) -> str:
    """`Experiment has no setting 'lr': it is one of optimizer, Adam(lr=...)`."""
    fault = f"{cls.__name__} has no setting '{key}'"
    for f in fields(cls):
        if "choices" in f.metadata:
            default = type(f.default_factory() or _field_types(cls)[f.name]())
            if key in _setting_names(default):
                return f"{fault}: it is one of {f.name}, write {f.name}={default.__name__}({key}=...)"
    group = plugins.group_of(cls)
    # `name` may be a field of the class instead.
    choice = cls.name if isinstance(cls.name, str) else ""
    names = _setting_names(cls)
    suggestion = hint_for_unknown_setting(key, names, group, choice, value)
    if suggestion:
        return fault + suggestion
    if not names:
        return f"{fault}; it has none"
    return fault + nearest(key, names)


def _is_stacked(value, kind: str, type_) -> bool:
    """Whether it is the value of a stack: a tensor or an array with an axis of rows before those of a row."""
    # By name, since torch is not imported here.
    stacks = {"column": "Tensor", "control": "ndarray"}
    axes_of_row = int(typing.get_origin(type_) is tuple)
    return type(value).__name__ == stacks.get(kind) and value.ndim > axes_of_row


def make_part(classes: dict[str, type] | type, mapping, group: str):
    """The part that `mapping` describes: `mapping["name"]` picks the class, the rest are its fields.

    A group of one class has no name to pick, but that of an installed package's. Raises `UserError` for an
    unknown name or key.
    """
    if not isinstance(mapping, dict):
        raise UserError(f"{group} = {yaml_text(mapping)}: expected a choice of the group with its keys")
    mapping = dict(mapping)
    if isinstance(classes, dict):
        classes = plugins.lookup(classes, group, mapping.pop("name", None))
    elif "name" in mapping and group in plugins.BASES:
        classes = plugins.lookup({}, group, mapping.pop("name"))
    known = [f.name for f in fields(classes)]
    for key in mapping:
        if key not in known:
            raise _unknown_key_error(classes, group, key, known)
    return classes(**mapping)


def _unknown_key_error(cls: type, group: str, key: str, known: list[str]) -> UserError:
    part = f"{group} '{cls.name}'" if cls.name else group
    suggestion = nearest(key, known, "keys") if known else "; it has no keys"
    return UserError(f"{group}.{key}: {part} has no such key{suggestion}")


def compose(cls: type, groups: dict, config: dict):
    """The `cls` that a nested dict describes; keys in `groups` are parts, of the classes listed there. One
    that is made already stays.

    Raises `UserError` for an unknown key, or a value that is not allowed.
    """
    known = [f.name for f in fields(cls)]
    for key in config:
        if key not in known:
            raise UserError(f"unknown key '{key}'{nearest(key, known, 'keys')}")
    described = [g for g in groups if g in config and not isinstance(config[g], Component)]
    made = {group: make_part(groups[group], config[group], group) for group in described}
    return cls(**(config | made))


def decompose(whole, groups: dict) -> dict:
    """The plain nested dict from which `compose` makes an equal whole. Raises `UserError` for a part of which
    the dict could not say the class, or a setting."""
    config = {}
    for f in fields(whole):
        value = getattr(whole, f.name)
        if kind(f) == "part":
            config[f.name] = part_config(value, f.name, groups[f.name])
        else:
            config[f.name] = _plain_setting(value, f.name)
    return config


def part_config(part, group: str, classes: dict[str, type] | type) -> dict:
    """The mapping from which `make_part` makes an equal part; without what it keeps that is no setting, such
    as arrays. Raises `UserError` for a class that no name means, or a setting that is no plain value."""
    own = type(part)
    named = {} if own is classes else {"name": own.name}
    if named and _named_class(classes if isinstance(classes, dict) else {}, group, own.name) is not own:
        raise UserError(
            f"{group} = {own.__name__}: no configuration can name this class; an installed package would "
            f"announce it as a nnlab.{group}"
        )
    settings = [f for f in fields(part) if "kind" in f.metadata and f.init]
    return named | {f.name: _plain_setting(getattr(part, f.name), f"{group}.{f.name}") for f in settings}


def _named_class(table: dict[str, type], group: str, name: str) -> type | None:
    try:
        return plugins.lookup(table, group, name)
    except UserError:
        return None


def _plain_setting(value, where: str):
    """A setting as YAML and JSON have it."""
    value = plain(value)
    unvisited = [value]
    while unvisited:
        each = unvisited.pop()
        if isinstance(each, dict | list):
            unvisited += each.values() if isinstance(each, dict) else each
        elif not isinstance(each, PLAIN_TYPES):
            raise UserError(f"{where} has {short_repr(each)}, which only this Python session knows")
    return value


def kind(f) -> str:
    """column, control or static; or part, for a field that is itself a part."""
    return f.metadata.get("kind", "part")


def parts(whole) -> list[str]:
    """The names of the fields that are parts."""
    return [f.name for f in fields(whole) if kind(f) == "part"]


def statics(part) -> tuple:
    """What rows of one stack must agree on: the class and its static fields."""
    return (type(part), *(getattr(part, f.name) for f in fields(part) if kind(f) == "static"))


def stack(components: list):
    """One part for all rows, in float64: columns become tensors (K, 1), controls arrays (K,) or (K, n)."""
    import torch  # seconds, which `nnlab sweep` does not wait for before its first line

    first = components[0]
    if any(statics(p) != statics(first) for p in components):
        raise ValueError("parts of one stack must agree on their static fields")
    stacked = {}
    for f in fields(first):
        values = [getattr(p, f.name) for p in components]
        if kind(f) == "column":
            stacked[f.name] = torch.tensor(values, dtype=torch.float64)[:, None]
        elif kind(f) == "control":
            stacked[f.name] = np.array(_equally_long(values), dtype=np.float64)
    # Data have no such fields, and a copy of theirs would read all arrays anew.
    return replace(first, **stacked) if stacked else first


def _equally_long(values: list) -> list:
    """Lists among the values, filled up with infinity."""
    longest = max((len(value) for value in values if isinstance(value, tuple)), default=0)
    return [(*v, *[np.inf] * (longest - len(v))) if isinstance(v, tuple) else v for v in values]


def select(part, rows):
    """The same part for some rows of the stack."""
    stacked = [f.name for f in fields(part) if kind(f) in ("column", "control")]
    return replace(part, **{name: getattr(part, name)[rows] for name in stacked}) if stacked else part
