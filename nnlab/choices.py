"""Resolves the Python argument for a part of an experiment: an instance, or the name of a choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass

from nnlab.errors import UserError
from nnlab.plugins import lookup, names

SHOWN_CHARACTERS = 60  # characters of a value in a sentence


def part_of(value, group: str, base: type, choices: Mapping[str, Callable], reads: Callable | None = None):
    """The part that `value` is, or that it names in `choices`: `"adam"` is `Adam()`.

    `reads(value)` gives the part for other values, or None. Raises `UserError` for a name or value that is
    unknown.
    """
    if isinstance(value, base) and not _is_abstract(type(value), choices):
        return value
    part = reads(value) if reads else None
    if part is not None:
        return part
    if isinstance(value, str):
        return _with_defaults(lookup(choices, group, value), group, value)
    raise _wrong_part(value, group, base, ", ".join(sorted({*choices, *names(group)})))


def _wrong_part(value, group: str, base: type, listed_names: str) -> UserError:
    expected = f"expected a name or a nnlab.{base.__name__}; the names are {listed_names}"
    if isinstance(value, type) and issubclass(value, base):
        name = _called(value)
        return UserError(f"{group} = {name}: that is a class; write {name}()")
    if isinstance(value, type):
        return UserError(f"{group} = {_called(value)}: that is a class; {expected}")
    if isinstance(value, base):
        return UserError(
            f"{group} = {shown(value)}: that is only their base class; the names are {listed_names}"
        )
    other = getattr(value, "group", "")
    if isinstance(other, str) and other and other != group:
        return UserError(f"{group} = {shown(value)}: that belongs in {other}=; {expected}")
    return UserError(f"{group} = {shown(value)}: {expected}")


def shown(value) -> str:
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
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 3]}..."


def _article(word: str) -> str:
    article = "an" if word[:1].lower() in "aeiou" else "a"
    return f"{article} {word}"


def _called(cls: type) -> str:
    """How a user writes the name of a class."""
    return f"nnlab.{cls.__name__}" if cls.__module__.partition(".")[0] == "nnlab" else cls.__name__


def _is_abstract(cls: type, choices: Mapping[str, Callable]) -> bool:
    """Whether it is only a base class of the choices, without a name of its own."""
    return not cls.name and any(isinstance(c, type) and cls in c.__mro__[1:] for c in choices.values())


def _with_defaults(make: Callable, group: str, name: str):
    """The part with all settings at their defaults; raises `UserError` if some setting has none."""
    if is_dataclass(make):
        needed = [f.name for f in fields(make) if f.init and f.default is f.default_factory is MISSING]
        needed += getattr(make, "needs", ())
        if needed:
            call = f"{_called(make)}({', '.join(f'{n}=...' for n in needed)})"
            raise UserError(f"{group} = '{name}' needs {', '.join(needed)}: write {call}")
    return make()
