"""What a setting may be: types, intervals and choices, and the one sentence about whatever is not."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
import typing

from nnlab import plugins
from nnlab.errors import UserError
from nnlab.suggestions import hint

LARGEST = sys.float_info.max
ROWS = 100_000  # of an experiment
EXACT = 2**53  # whole numbers up to here are floats too
ENOUGH = 10**9  # the upper end of whole numbers that cost nothing, for who writes "for ever"
ITEMS = 1000  # in a list
SHOWN = 80  # characters of a wrong value


@dataclasses.dataclass(frozen=True)
class Allowed:
    """An interval, `low <= x <= high`, open where asked, and inf if `infinite`; or a list of choices.

    A whole number has an upper end: what costs memory or time before the first epoch must be refused.
    """

    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf
    below: float = math.inf
    choices: tuple = ()
    infinite: bool = False
    plugins: str = ""  # the group of which installed packages' classes are choices too

    @property
    def names(self) -> tuple:
        return (*self.choices, *plugins.names(self.plugins))

    def holds(self, x) -> bool:
        if self.choices:
            return x in self.choices or plugins.find(self.plugins, x) is not None
        if x == math.inf:
            return self.infinite
        return self.low <= x <= self.high and self.above < x < self.below

    def __str__(self) -> str:
        said = [("at least", self.low), ("above", self.above), ("at most", self.high), ("below", self.below)]
        told = " and ".join(f"{word} {_bound(bound)}" for word, bound in said if math.isfinite(bound))
        return f"{told} (inf for none)" if self.infinite else told


def _bound(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def _native(value):
    """Numbers and lists of numpy and torch, and paths, as Python's own."""
    if hasattr(value, "tolist") and not isinstance(value, type):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return type(value)(map(_native, value)) if type(value) in (list, tuple) else value
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def checked(value, type_, allowed: Allowed, where: str):
    """`value` as `type_` if it is one and within `allowed`; else a `UserError` that says what is."""
    value = _native(value)
    for option in _options(type_):
        ok, converted = _convert(value, option)
        if ok:
            items = converted if isinstance(converted, tuple) else (converted,)
            wrong = [x for x in items if x is not None and not _within(x, allowed)]
            if len(items) > ITEMS:
                raise UserError(f"{where} is a list of {len(items):,}: expected {ITEMS:,} at most")
            if not wrong:
                return converted
            break
    literals = [
        word for option in _options(type_) for word in typing.get_args(option) if isinstance(word, str)
    ]
    meant = hint(shown_as(value).strip("'"), [*allowed.names, *literals], where)
    if str in _options(type_) and not allowed.choices and isinstance(value, (float, bool)):
        text = shown_as(value).lower()
        meant = f"; as a text in two quotes, \"{where}='{text}'\""
    near = _near(value, type_, allowed)
    if near is not None:
        meant = f"; write {str(near).lower() if isinstance(near, bool) else shown_as(near)}"
    raise UserError(
        f"{where} = {shown_as(value)}{_as_read(value)}: expected {expected(type_, allowed)}{meant}"
    )


def _as_read(value) -> str:
    """What a number counts as that float64 has not."""
    if not isinstance(value, float):
        return ""
    if abs(value) == math.inf:
        return f" (as any number beyond {LARGEST:.2g} is read)"
    tiny = 0 < abs(value) < sys.float_info.min
    return f" (below {sys.float_info.min:.2g}, the least that float64 keeps exactly: counts as 0)" * tiny


TRUTH = dict.fromkeys(("yes", "on", "1", "true"), True) | dict.fromkeys(("no", "off", "0", "false"), False)


def _number(text: str) -> float | str:
    """The number that a text is; else the text."""
    try:
        return float(text)
    except ValueError:
        return text


def _near(value, type_, allowed: Allowed):
    """The allowed value that this one stands for: 1000 for 1000.0, [64] for 64, true for yes, 3 for '3'; None
    if there is none."""
    word = str(value).lower() if isinstance(value, str) or value in (0, 1) else ""
    number = _number(value) if isinstance(value, str) else value
    whole = isinstance(number, float) and number.is_integer() and abs(number) <= EXACT
    one = int(number) if whole else number
    for near in (one, [one], *([TRUTH[word]] if word in TRUTH else [])):
        for option in _options(type_):
            ok, converted = _convert(near, option)
            items = converted if isinstance(converted, tuple) else (converted,)
            if ok and all(x is not None and _within(x, allowed) for x in items):
                return near
    return None


def expected(type_, allowed: Allowed) -> str:
    """`a whole number at least 1 or full`: what a field of this type may be."""
    options = _options(type_)
    # In `str | tuple[str, ...]` the second is a list of the first.
    listed = [option for option in options if typing.get_args(option)[:1] == options[:1]]
    each = [_describe(option, allowed) for option in options if option not in listed]
    return " or ".join(each + ["a list of them"] * len(listed))


def _options(type_) -> tuple:
    return typing.get_args(type_) if _is_union(type_) else (type_,)


def _within(x, allowed: Allowed) -> bool:
    if isinstance(x, str) and not allowed.choices:
        return True
    return isinstance(x, bool) or allowed.holds(x)


def _is_union(type_) -> bool:
    return typing.get_origin(type_) in (typing.Union, type(int | str))


def _convert(value, type_):
    if type_ is type(None):
        return value is None, None
    if typing.get_origin(type_) is typing.Literal:
        return value in typing.get_args(type_), value
    if typing.get_origin(type_) is tuple:
        if not isinstance(value, (list, tuple)):
            return False, None
        items = [_convert(v, typing.get_args(type_)[0]) for v in value]
        return all(ok for ok, _ in items), tuple(v for _, v in items)
    if type_ is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        number = number and abs(value) <= LARGEST or value in (math.inf, -math.inf)
        # Training flushes subnormal numbers to 0; settings that change under way would not be found again.
        return number, (0.0 if abs(value) < sys.float_info.min else float(value)) if number else None
    if type_ is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST, value
    return isinstance(value, type_), value


def _describe(type_, allowed: Allowed) -> str:
    if type_ is type(None):
        return "null"
    if typing.get_origin(type_) is typing.Literal:
        return " or ".join(str(a) for a in typing.get_args(type_))
    if typing.get_origin(type_) is tuple:
        one = _describe(typing.get_args(type_)[0], allowed)
        return f"a list, each item {one}"
    if allowed.choices and type_ is str:
        return "one of " + ", ".join(allowed.names)
    word = {float: "a number", int: "a whole number", bool: "true or false", str: "a word"}[type_]
    return f"{word} {allowed}".strip() if type_ in (int, float) else word


def shown_as(value) -> str:
    """A value as a YAML file would have it, cut where it is long."""
    if isinstance(value, tuple):
        value = list(value)
    if value is None:
        return "null"
    text = f"'{value}'" if isinstance(value, str) else _text(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def _text(value) -> str:
    """As Python writes it: which it does of no whole number of more than some thousand digits."""
    try:
        return str(value)
    except Exception:  # of anybody's class
        return "that number" if isinstance(value, int) else f"that {type(value).__name__}"
