"""What may stand for a part of an experiment in Python: the part itself, or the name of a choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass

from nnlab.errors import UserError
from nnlab.plugins import lookup, names

SHOWN = 60  # characters of a value in a sentence


def part_of(value, group: str, base: type, choices: Mapping[str, Callable], reads: Callable | None = None):
    """The `base` that `value` is, or stands for: `"adam"` is `Adam()`, by the names of `choices`.

    `reads(value)` gives the part for other values, or None. Raises `UserError` for what stands for nothing.
    """
    if isinstance(value, base) and not _is_abstract(type(value), choices):
        return value
    part = reads(value) if reads else None
    if part is not None:
        return part
    if isinstance(value, str):
        return _with_defaults(lookup(choices, group, value), group, value)
    named = sorted({*choices, *names(group)})
    known = f"expected a name or a nnlab.{base.__name__}; the names are {', '.join(named)}"
    if isinstance(value, base):
        known = f"that is only what they are derived from; the names are {', '.join(named)}"
    if isinstance(value, type):
        wanted = f"write {_called(value)}()" if issubclass(value, base) else known
        raise UserError(f"{group} = {_called(value)}: that is a class; {wanted}")
    other = getattr(value, "group", "")
    if isinstance(other, str) and other and other != group:
        raise UserError(f"{group} = {shown(value)}: that goes into {other}=; {known}")
    raise UserError(f"{group} = {shown(value)}: {known}")


def shown(value) -> str:
    """A value in a sentence: its `repr` in one line, cut where it is long, or its type where it is large."""
    kind = type(value)
    if isinstance(getattr(value, "shape", None), tuple):
        name = "array" if kind.__name__ == "ndarray" else kind.__name__
        return f"{_article(name)} of the shape {value.shape}"
    if kind.__repr__ is object.__repr__:
        return _article(kind.__name__)
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a class of anybody's, or a whole number of more digits than Python writes
        return _article(kind.__name__)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def _article(word: str) -> str:
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"


def _called(cls: type) -> str:
    """What a user calls a class."""
    return f"nnlab.{cls.__name__}" if cls.__module__.partition(".")[0] == "nnlab" else cls.__name__


def _is_abstract(cls: type, choices: Mapping[str, Callable]) -> bool:
    """Whether it is only the base of the choices: without a name, and none of them makes it."""
    return not cls.name and any(isinstance(c, type) and cls in c.__mro__[1:] for c in choices.values())


def _with_defaults(make: Callable, group: str, name: str):
    if is_dataclass(make):
        needed = [f.name for f in fields(make) if f.init and f.default is f.default_factory is MISSING]
        needed += getattr(make, "needs", ())
        if needed:
            call = f"{_called(make)}({', '.join(f'{n}=...' for n in needed)})"
            raise UserError(f"{group} = '{name}' needs {', '.join(needed)}: write {call}")
    return make()
