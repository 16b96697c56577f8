"""Resolves the Python argument for a part of an experiment: an instance, or the name of a choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass

from nnlab import plugins
from nnlab.errors import UserError

MAX_REPR_CHARACTERS = 60  # characters of a value in a sentence


def resolve_part(
    value, group: str, base: type, choices: Mapping[str, Callable], convert: Callable | None = None
):
    """`value` itself if it is a part; or the part of that name in `choices`: `"adam"` gives `Adam()`.

    `convert(value)` makes a part of other values, such as arrays, and gives None for what it does not know.
    Raises `UserError` for an unknown name or value.
    """
    if isinstance(value, base) and not _is_unnamed_base(type(value), choices):
        return value
    part = convert(value) if convert else None
    if part is not None:
        return part
    if isinstance(value, str):
        return _make_with_defaults(plugins.lookup(choices, group, value), group, value)
    raise _wrong_part_error(value, group, base, choices)


def _wrong_part_error(value, group: str, base: type, choices: Mapping[str, Callable]) -> UserError:
    listed_names = ", ".join(sorted({*choices, *plugins.names(group)}))
    expected = f"expected a name or a nnlab.{base.__name__}; the names are {listed_names}"
    if isinstance(value, type) and issubclass(value, base):
        name = _class_name(value)
        if _is_unnamed_base(value, choices):
            return UserError(f"{group} = {name}: that is only a base class; the names are {listed_names}")
        return UserError(f"{group} = {name}: that is a class; write {_call(value)}")
    if isinstance(value, type):
        return UserError(f"{group} = {_class_name(value)}: that is a class; {expected}")
    if isinstance(value, base):
        return UserError(
            f"{group} = {short_repr(value)}: that is only a base class; the names are {listed_names}"
        )
    other = plugins.group_of(type(value))
    if other and other != group:
        return UserError(f"{group} = {short_repr(value)}: that belongs in {other}=; {expected}")
    return UserError(f"{group} = {short_repr(value)}: {expected}")


def short_repr(value) -> str:
    """A value in a sentence: its `repr` in one line, shortened if it is long; for an array, its shape."""
    kind = type(value)
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:  # () is that of a scalar, such as numpy.float64(0.1)
        name = "array" if kind.__name__ == "ndarray" else kind.__name__
        return f"{_article(name)} of the shape {tuple(shape)}"
    if kind.__repr__ is object.__repr__:
        return _article(kind.__name__)
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a class of the user's may raise anything; so may an integer of too many digits
        return _article(kind.__name__)
    return text if len(text) <= MAX_REPR_CHARACTERS else f"{text[: MAX_REPR_CHARACTERS - 3]}..."


def _article(word: str) -> str:
    article = "an" if word[:1].lower() in "aeiou" else "a"
    return f"{article} {word}"


def _class_name(cls: type) -> str:
    """The name of a class as a user writes it."""
    return f"nnlab.{cls.__name__}" if cls.__module__.partition(".")[0] == "nnlab" else cls.__name__


def _is_unnamed_base(cls: type, choices: Mapping[str, Callable]) -> bool:
    """Whether a class is only a base class of some choices, without a name that would make it one."""
    return not cls.name and any(isinstance(c, type) and cls in c.__mro__[1:] for c in choices.values())


def _make_with_defaults(make: Callable, group: str, name: str):
    """The part with all settings at their defaults; raises `UserError` if some setting has none."""
    required = _required_settings(make)
    if required:
        raise UserError(f"{group} = '{name}' needs {', '.join(required)}: write {_call(make)}")
    return make()


def _required_settings(make: Callable) -> list[str]:
    """The names of the settings without a default."""
    if not is_dataclass(make):
        return []
    required = [f.name for f in fields(make) if f.init and f.default is f.default_factory is MISSING]
    return [*required, *getattr(make, "needs", ())]


def _call(cls: Callable) -> str:
    """The call that makes a part, as a user writes it: `nnlab.CSV(path=...)`."""
    return f"{_class_name(cls)}({', '.join(f'{name}=...' for name in _required_settings(cls))})"
