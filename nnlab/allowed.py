"""Validation of settings: allowed types, intervals and choices, and the error for anything else."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
import typing

from nnlab import plugins
from nnlab.errors import UserError
from nnlab.suggestions import hint

LARGEST_FLOAT = sys.float_info.max
SMALLEST_FLOAT = sys.float_info.min  # the smallest that is kept with all digits
MOST_ROWS = 100_000  # the most of an experiment
LARGEST_EXACT = 2**53  # up to here every whole number is a float
# The upper end of whole numbers that cost nothing: users who want "for ever" write a large number.
LARGEST_COUNT = 10**9
MOST_ITEMS = 1000  # in a list
SHOWN_CHARACTERS = 80  # of a wrong value
NAME_OF_TYPE = {float: "a number", int: "a whole number", bool: "true or false", str: "a word"}
TRUTH_WORDS = {
    **dict.fromkeys(("yes", "on", "1", "true"), True),
    **dict.fromkeys(("no", "off", "0", "false"), False),
}


@dataclasses.dataclass(frozen=True)
class Allowed:
    """An interval `low <= x <= high` and `above < x < below`, with inf if `infinite`; or a list of choices.

    Every whole number has an upper end: what would take all memory or time before the first epoch is refused.
    """

    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf
    below: float = math.inf
    choices: tuple = ()
    infinite: bool = False
    plugins: str = ""  # a group: classes of installed packages in it are choices too

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
        ends = [("at least", self.low), ("above", self.above), ("at most", self.high), ("below", self.below)]
        interval = " and ".join(f"{word} {_end(end)}" for word, end in ends if math.isfinite(end))
        return f"{interval} (inf for none)" if self.infinite else interval


def _end(end: float) -> str:
    return f"{end:,}" if isinstance(end, int) else f"{end:g}"


def _native(value):
    """Numbers and lists of numpy and torch, and paths, as Python's own."""
    if hasattr(value, "tolist") and not isinstance(value, type):
        return value.tolist()
    if type(value) in (list, tuple):
        return type(value)(map(_native, value))
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value


def checked(value, type_, allowed: Allowed, where: str):
    """`value` as `type_`, if it is one and within `allowed`; else raises a `UserError` that says what is."""
    value = _native(value)
    for option in _options(type_):
        is_of_type, converted = _convert(value, option)
        if is_of_type:
            items = converted if isinstance(converted, tuple) else (converted,)
            if len(items) > MOST_ITEMS:
                raise UserError(f"{where} is a list of {len(items):,}: expected {MOST_ITEMS:,} at most")
            if all(x is None or _within(x, allowed) for x in items):
                return converted
            break
    raise UserError(
        f"{where} = {shown_as(value)}{_as_read(value)}: expected {expected(type_, allowed)}"
        f"{_suggestion(value, type_, allowed, where)}"
    )


def _suggestion(value, type_, allowed: Allowed, where: str) -> str:
    """What was probably meant: a similar name, a text in quotes, or the value in another notation."""
    near = _near(value, type_, allowed)
    if isinstance(near, bool):
        return f"; write {str(near).lower()}"
    if near is not None:
        return f"; write {shown_as(near)}"
    options = _options(type_)
    if str in options and not allowed.choices and isinstance(value, (float, bool)):
        text = shown_as(value).lower()
        return f"; as a text in two quotes, \"{where}='{text}'\""
    literals = [word for option in options for word in typing.get_args(option) if isinstance(word, str)]
    return hint(shown_as(value).strip("'"), [*allowed.names, *literals], where)


def _as_read(value) -> str:
    """How a number is read that float64 cannot hold."""
    if not isinstance(value, float):
        return ""
    if abs(value) == math.inf:
        return f" (as any number beyond {LARGEST_FLOAT:.2g} is read)"
    if 0 < abs(value) < SMALLEST_FLOAT:
        return f" (below {SMALLEST_FLOAT:.2g}, the least that float64 keeps exactly: counts as 0)"
    return ""


def _number(text: str) -> float | str:
    """The number that the text spells; else the text."""
    try:
        return float(text)
    except ValueError:
        return text


def _near(value, type_, allowed: Allowed):
    """The allowed value that this one stands for: 1000 for 1000.0, [64] for 64, true for yes, 3 for '3'.

    None if there is none.
    """
    number = _number(value) if isinstance(value, str) else value
    if isinstance(number, float) and number.is_integer() and abs(number) <= LARGEST_EXACT:
        number = int(number)
    candidates = [number, [number]]
    if isinstance(value, str) or value in (0, 1):
        word = str(value).lower()
        candidates += [TRUTH_WORDS[word]] if word in TRUTH_WORDS else []
    for near in candidates:
        for option in _options(type_):
            is_of_type, converted = _convert(near, option)
            items = converted if isinstance(converted, tuple) else (converted,)
            if is_of_type and all(x is not None and _within(x, allowed) for x in items):
                return near
    return None


def expected(type_, allowed: Allowed) -> str:
    """`a whole number at least 1 or full`: what a field of this type may be."""
    options = _options(type_)
    # `str | tuple[str, ...]` is "a word or a list of them", without saying twice what a word may be.
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
    """(whether `value` is of the type, the value as that type)."""
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
        return _convert_to_float(value)
    if type_ is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_FLOAT, value
    return isinstance(value, type_), value


def _convert_to_float(value):
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False, None
    if not abs(value) <= LARGEST_FLOAT and abs(value) != math.inf:  # NaN, or a whole number of 400 digits
        return False, None
    if abs(value) < SMALLEST_FLOAT:
        # Training flushes subnormal numbers to 0: a setting must not change after it has been recorded.
        return True, 0.0
    return True, float(value)


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
    if type_ in (int, float):
        return f"{NAME_OF_TYPE[type_]} {allowed}".strip()
    return NAME_OF_TYPE[type_]


def shown_as(value) -> str:
    """A value as a YAML file has it, shortened if it is long."""
    if isinstance(value, tuple):
        value = list(value)
    if value is None:
        return "null"
    text = f"'{value}'" if isinstance(value, str) else _text(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 3]}..."


def _text(value) -> str:
    """As Python writes it, if it can."""
    try:
        return str(value)
    except Exception:  # a whole number of more than some thousand digits; an object of anybody's class
        return "that number" if isinstance(value, int) else f"that {type(value).__name__}"
