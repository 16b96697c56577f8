"""Columns, controls and statics: what each hyperparameter of an experiment is, and what it may be.

A part of an experiment (an optimiser, a schedule, ...) is a frozen dataclass that inherits `Component`.
Each field is declared by one of

    column(default, ...)   a number that enters the arithmetic: (K, 1) in a stack, kept in float64
    control(default, ...)  a number that the loop consults on the host: (K,) in a stack
    static(default, ...)   everything else: structure. Rows of a stack agree on it.
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
from nnlab.allowed import Allowed, checked, shown_as
from nnlab.arguments import bound
from nnlab.choices import part_of
from nnlab.errors import UnknownSetting, UserError, nearest


def _declare(kind, default, range):
    allowed = Allowed(**range)
    if isinstance(default, list):
        default = tuple(default)
    return field(default=default, metadata={"kind": kind, "allowed": allowed})


def column(default=MISSING, **range):
    """A number of the arithmetic; `low`, `high`, `above`, `below`, `infinite` say what is allowed."""
    return _declare("column", default, range)


def control(default=MISSING, **range):
    """A number that the loop consults per row on the host."""
    return _declare("control", default, range)


def static(default=MISSING, **range):
    """Structure: names, sizes, flags; `choices` lists what is allowed, and `plugins` is a group whose
    installed classes are allowed too."""
    return _declare("static", default, range)


def part(choices: dict, make, reads=None):
    """A field that is itself a part: one of `choices` by its name, `make()` if nothing is said (None: the
    whole decides); `reads` makes one of other values."""
    return field(
        default_factory=make or (lambda: None),
        metadata={"choices": choices, "reads": reads, "optional": make is None},
    )


def _shown(part) -> str:
    """`Adam(lr=0.01)`: the settings that are not at their default."""
    said = [f"{f.name}={getattr(part, f.name)!r}" for f in fields(part) if f.repr and not _is_usual(part, f)]
    return f"{type(part).__qualname__}({', '.join(said)})"


def _is_usual(part, f) -> bool:
    value = getattr(part, f.name)
    usual = f.default_factory() if f.default_factory is not MISSING else f.default
    return not hasattr(value, "ndim") and type(value) is type(usual) and value == usual


class Settings(type):
    # Of parts: what is called with a setting that it does not have says which it has; its documentation says
    # what each setting means; and it shows those that are not at their default.

    def __new__(cls, name, bases, namespace):
        return super().__new__(cls, name, bases, {"__repr__": _shown} | namespace)

    @property
    def __doc__(cls):
        from nnlab.settings_help import settings_of

        written = inspect.cleandoc(vars(cls).get("__doc__") or "")
        made = "__match_args__" in vars(cls)  # before that, the decorator only asks whether there is a text
        return "\n\n".join(filter(None, [written or cls.__name__, made and settings_of(cls)]))

    def __call__(cls, *args, **settings):
        for key in settings.keys() - _names(cls):
            raise UnknownSetting(_no_such(cls, key, settings[key]))
        bound(cls.__name__, *_places(cls), args, settings)
        return super().__call__(*args, **settings)


@dataclasses.dataclass(frozen=True)
class Component(metaclass=Settings):
    """Base of every part: checks each field's type and range when it is made."""

    group: typing.ClassVar[str] = ""
    name: typing.ClassVar[str] = ""

    def __post_init__(self):
        for f in fields(self):
            value = getattr(self, f.name)
            if "kind" in f.metadata and not _is_stacked(value, f.metadata["kind"]):
                where = f"{self.group}.{f.name}" if self.group else f.name
                type_ = _types(type(self))[f.name]
                object.__setattr__(self, f.name, checked(value, type_, f.metadata["allowed"], where))
            elif "choices" in f.metadata and not (value is None and f.metadata["optional"]):
                said = f.metadata["choices"], f.metadata["reads"]
                object.__setattr__(self, f.name, _part_of(value, f.name, _types(type(self))[f.name], *said))


def _part_of(value, group: str, *said):
    """The same as `part_of`; what it says of other tools' words, as Python has it."""
    try:
        return part_of(value, group, *said)
    except UserError as e:
        from nnlab.as_python import as_python

        raise UserError(as_python(str(e))) from e


@functools.cache
def _types(cls) -> dict[str, type]:
    return typing.get_type_hints(cls)


@functools.cache
def _names(cls) -> frozenset[str]:
    return frozenset(f.name for f in fields(cls) if f.init)


@functools.cache
def _places(cls) -> tuple[list[str], frozenset[str]]:
    """The settings that may be given by position, and those that must be given."""
    own = [f for f in fields(cls) if f.init]
    needed = frozenset(f.name for f in own if f.default is f.default_factory is MISSING)
    return [f.name for f in own if not f.kw_only], needed


def _no_such(cls, key: str, value) -> str:
    """`Experiment has no setting 'lr': it is one of optimizer, Adam(lr=...)`."""
    said = f"{cls.__name__} has no setting '{key}'"
    for f in fields(cls):
        if "choices" in f.metadata:
            usual = type(f.default_factory() or _types(cls)[f.name]())
            if key in _names(usual):
                return f"{said}: it is one of {f.name}, write {f.name}={usual.__name__}({key}=...)"
    from nnlab.as_python import setting_elsewhere

    group, choice = (word if isinstance(word, str) else "" for word in (cls.group, cls.name))
    meant = setting_elsewhere(key, _names(cls), group, choice, value)
    return f"{said}{meant or (nearest(key, _names(cls)) if _names(cls) else '; it has none')}"


def _is_stacked(value, kind: str) -> bool:
    """Whether it is a stack's; Python's own numbers, and numpy's, are one experiment's."""
    stacks = {"column": "Tensor", "control": "ndarray"}
    return type(value).__name__ == stacks.get(kind) and value.ndim > 0


def make(classes: dict[str, type] | type, mapping, group: str):
    """The part that `mapping` describes: `mapping["name"]` picks the class, the rest are its fields.

    A group of one class has no name to pick, but that of an installed package's. Raises `UserError` for an
    unknown name or key.
    """
    if not isinstance(mapping, dict):
        raise UserError(f"{group} = {shown_as(mapping)}: expected a choice of the group with its keys")
    mapping = dict(mapping)
    if isinstance(classes, dict):
        classes = plugins.lookup(classes, group, mapping.pop("name", None))
    elif "name" in mapping and group in plugins.BASES:
        classes = plugins.lookup({}, group, mapping.pop("name"))
    known = [f.name for f in fields(classes)]
    for key in mapping:
        if key not in known:
            meant = nearest(key, known, "keys") if known else "; it has no keys"
            who = f"{group} '{classes.name}'" if classes.name else group
            raise UserError(f"{group}.{key}: {who} has no such key{meant}")
    return classes(**mapping)


def compose(cls: type, groups: dict, config: dict):
    """The `cls` that a plain nested dict describes, of which some keys are parts: `groups` has their classes.

    Raises `UserError` where it is wrong.
    """
    known = [f.name for f in fields(cls)]
    for key in config:
        if key not in known:
            raise UserError(f"unknown key '{key}'{nearest(key, known, 'keys')}")
    return cls(**{**config, **{g: make(groups[g], config[g], g) for g in groups if g in config}})


def kind(f) -> str:
    """column, control or static; or part, for a field that is itself a part."""
    return f.metadata.get("kind", "part")


def parts(whole) -> list[str]:
    """The names of the fields that are parts."""
    return [f.name for f in fields(whole) if kind(f) == "part"]


def statics(part) -> tuple:
    """What rows of one stack must agree on: the class and its static fields."""
    return (type(part), *(getattr(part, f.name) for f in fields(part) if kind(f) == "static"))


def stack(many: list):
    """One part for all rows: columns become (K, 1) float64 tensors, controls (K,) float64 arrays."""
    import torch

    first = many[0]
    if any(statics(p) != statics(first) for p in many):
        raise ValueError("parts of one stack must agree on their static fields")
    stacked = {}
    for f in fields(first):
        values = [getattr(p, f.name) for p in many]
        if kind(f) == "column":
            stacked[f.name] = torch.tensor(values, dtype=torch.float64)[:, None]
        elif kind(f) == "control":
            stacked[f.name] = np.array(values, dtype=np.float64)
    return replace(first, **stacked)


def select(part, rows):
    """The same part for some rows of the stack."""
    own = [f.name for f in fields(part) if kind(f) in ("column", "control")]
    return replace(part, **{name: getattr(part, name)[rows] for name in own})
