"""Resolves the Python argument for a part of an experiment: an instance, or the name of a choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass

from nnlab.errors import UserError
from nnlab.plugins import lookup, names

MAX_REPR_CHARACTERS = 60  # characters of a value in a sentence


def resolve_part(
    value, group: str, base: type, choices: Mapping[str, Callable], reads: Callable | None = None
):
    """The part itself, if `value` is one, else the part of that name in `choices`: `"adam"` gives `Adam()`.

    `reads(value)` gives the part for other values, or None. Raises `UserError` for a name or value that is
    unknown.
    """
    if isinstance(value, base) and not _is_abstract(type(value), choices):
        return value
    part = reads(value) if reads else None
    if part is not None:
        return part
    if isinstance(value, str):
        return _make_with_defaults(lookup(choices, group, value), group, value)
    raise _wrong_part_error(value, group, base, ", ".join(sorted({*choices, *names(group)})))


def _wrong_part_error(value, group: str, base: type, listed_names: str) -> UserError:
    expected = f"expected a name or a nnlab.{base.__name__}; the names are {listed_names}"
    if isinstance(value, type) and issubclass(value, base):
        name = _class_name(value)
        return UserError(f"{group} = {name}: that is a class; write {name}()")
    if isinstance(value, type):
        return UserError(f"{group} = {_class_name(value)}: that is a class; {expected}")
    if isinstance(value, base):
        return UserError(
            f"{group} = {short_repr(value)}: that is only their base class; the names are {listed_names}"
        )
    other = getattr(value, "group", "")
    if isinstance(other, str) and other and other != group:
        return UserError(f"{group} = {short_repr(value)}: that belongs in {other}=; {expected}")
    return UserError(f"{group} = {short_repr(value)}: {expected}")


def short_repr(value) -> str:
    """A value in a sentence: its `repr` in one line, shortened if it is long; of an array its shape."""
    kind = type(value)
    if isinstance(getattr(value, "shape", None), tuple):
        name = "array" if kind.__name__ == "ndarray" else kind.__name__
        return f"{_article(name)} of the shape {value.shape}"
    if kind.__repr__ is object.__repr__:
        return _article(kind.__name__)
    try:
        text = " ".join(repr(value).split())
    except Exception:  # an object of anybody's class; a whole number of more digits than Python writes
        return _article(kind.__name__)
    return text if len(text) <= MAX_REPR_CHARACTERS else f"{text[: MAX_REPR_CHARACTERS - 3]}..."


def _article(word: str) -> str:
    article = "an" if word[:1].lower() in "aeiou" else "a"
    return f"{article} {word}"


def _class_name(cls: type) -> str:
    """The name of a class as a user writes it."""
    return f"nnlab.{cls.__name__}" if cls.__module__.partition(".")[0] == "nnlab" else cls.__name__


def _is_abstract(cls: type, choices: Mapping[str, Callable]) -> bool:
    """Whether it is only a base class of the choices, without a name of its own."""
    return not cls.name and any(isinstance(c, type) and cls in c.__mro__[1:] for c in choices.values())


def _make_with_defaults(make: Callable, group: str, name: str):
    """The part with all settings at their defaults; raises `UserError` if some setting has none."""
    if is_dataclass(make):
        required = [f.name for f in fields(make) if f.init and f.default is f.default_factory is MISSING]
        required += getattr(make, "needs", ())
        if required:
            call = f"{_class_name(make)}({', '.join(f'{n}=...' for n in required)})"
            raise UserError(f"{group} = '{name}' needs {', '.join(required)}: write {call}")
    return make()
