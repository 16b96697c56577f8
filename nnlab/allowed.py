"""Validation of settings: allowed types, intervals and choices, and the error for anything else."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
import typing
from collections.abc import Mapping

from nnlab import plugins
from nnlab.errors import UserError, list_names
from nnlab.frozen_dict import FrozenDict, frozen
from nnlab.suggestions import hint

LARGEST_FLOAT = sys.float_info.max
SMALLEST_FLOAT = sys.float_info.min  # below it float64 loses digits
MAX_ROWS = 100_000  # rows of one experiment
LARGEST_EXACT_INTEGER = 2**53  # up to here a float64 represents every integer
# The upper end of whole numbers that cost nothing: users who want "for ever" write a large number.
LARGEST_COUNT = 10**9
MAX_LIST_ITEMS = 1000  # items of a list
MOST_CHOICES, FIRST_CHOICES = 24, 12  # that a message lists; of more, the first
MAX_SHOWN_CHARACTERS = 80  # characters of a wrong value in a message
TYPE_NAMES = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "a word",
    type: "a class",
    object: "...",
}
BOOLEAN_WORDS = {
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

    def allows(self, x) -> bool:
        if self.choices and isinstance(x, str):
            return x in self.choices or plugins.find(self.plugins, x) is not None
        if x == math.inf:
            return self.infinite
        return self.low <= x <= self.high and self.above < x < self.below

    def __str__(self) -> str:
        ends = [("at least", self.low), ("above", self.above), ("at most", self.high), ("below", self.below)]
        interval = " and ".join(f"{word} {_format_bound(end)}" for word, end in ends if math.isfinite(end))
        return f"{interval} (inf for none)" if self.infinite else interval


def _format_bound(end: float) -> str:
    return f"{end:,}" if isinstance(end, int) else f"{end:g}"


def _to_python(value):
    """Numbers and lists of numpy and torch as plain Python values, and paths as text."""
    if hasattr(value, "tolist") and not isinstance(value, type):
        return value.tolist()
    if type(value) in (list, tuple):
        return type(value)(map(_to_python, value))
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value


def validate(value, type_, allowed: Allowed, where: str):
    """The value, converted to `type_`. Raises a `UserError` that says what is allowed, if this is not."""
    value = _to_python(value)
    for option in type_options(type_):
        is_of_type, converted = _convert(value, option)
        if is_of_type:
            items = _items(converted)
            if len(items) > MAX_LIST_ITEMS:
                what = "has" if isinstance(converted, dict) else "is a list of"
                raise UserError(f"{where} {what} {len(items):,}: expected {MAX_LIST_ITEMS:,} at most")
            if all(x is None or _within(x, allowed) for x in items):
                return converted
            break
    raise UserError(
        f"{where} = {yaml_text(value)}{_float64_note(value)}: expected {expected(type_, allowed)}"
        f"{_suggestion(value, type_, allowed, where)}"
    )


def _suggestion(value, type_, allowed: Allowed, where: str) -> str:
    """What was probably meant: a similar name, a text in quotes, or the value in another notation."""
    if isinstance(value, (list, tuple)) and allowed.choices:
        value = next((item for item in value if isinstance(item, str) and not allowed.allows(item)), value)
    near = _similar_value(value, type_, allowed)
    if isinstance(near, bool):
        return f"; write {str(near).lower()}"
    if near is not None:
        return f"; write {yaml_text(near)}"
    options = type_options(type_)
    if str in options and not allowed.choices and isinstance(value, (float, bool)):
        text = yaml_text(value).lower()
        return f"; as a text in two quotes, \"{where}='{text}'\""
    literals = [word for option in options for word in typing.get_args(option) if isinstance(word, str)]
    return hint(yaml_text(value).strip("'"), [*allowed.names, *literals], where)


def _float64_note(value) -> str:
    """A remark on a number beyond the range of float64: how it was read."""
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


def _similar_value(value, type_, allowed: Allowed):
    """The allowed value that this one stands for: 1000 for 1000.0, [64] for 64, true for yes, 3 for '3'.

    None if there is none.
    """
    number = _number(value) if isinstance(value, str) else value
    if isinstance(number, float) and number.is_integer() and abs(number) <= LARGEST_EXACT_INTEGER:
        number = int(number)
    candidates = [number, [number]]
    if isinstance(value, str) or value in (0, 1):
        word = str(value).lower()
        candidates += [BOOLEAN_WORDS[word]] if word in BOOLEAN_WORDS else []
    for near in candidates:
        for option in type_options(type_):
            is_of_type, converted = _convert(near, option)
            items = _items(converted)
            if is_of_type and all(x is not None and _within(x, allowed) for x in items):
                return near
    return None


def expected(type_, allowed: Allowed) -> str:
    """`a whole number at least 1 or full`: what a field of this type may be."""
    options = type_options(type_)
    # `str | tuple[str, ...]` is "a word or a list of them", without saying twice what a word may be.
    listed = [option for option in options if typing.get_args(option)[:1] == options[:1]]
    each = [_describe(option, allowed) for option in options if option not in listed]
    return " or ".join(each + ["a list of them"] * len(listed))


def type_options(type_) -> tuple:
    """The types of which a value may be: those of a union, or the type itself."""
    return typing.get_args(type_) if _is_union(type_) else (type_,)


def _items(value) -> tuple:
    """The values of which each must be allowed: those of a list or a mapping, or the value itself."""
    if isinstance(value, dict):
        return tuple(value.values())
    return value if isinstance(value, tuple) else (value,)


def _within(x, allowed: Allowed) -> bool:
    if isinstance(x, (str, type)) and not allowed.choices:
        return True
    return isinstance(x, (bool, dict, tuple)) or allowed.allows(x)  # what is in a mapping, its reader checks


def _is_union(type_) -> bool:
    return typing.get_origin(type_) in (typing.Union, type(int | str))


def _convert(value, type_):
    """(whether `value` is of the type, the value as that type)."""
    if type_ is type(None):
        return value is None, None
    if type_ is object:
        return True, frozen(value)
    if typing.get_origin(type_) is typing.Literal:
        return value in typing.get_args(type_), value
    if typing.get_origin(type_) is tuple:
        if not isinstance(value, (list, tuple)):
            return False, None
        items = [_convert_item(v, typing.get_args(type_)[0]) for v in value]
        return all(ok for ok, _ in items), tuple(v for _, v in items)
    if typing.get_origin(type_) is dict:
        return _convert_to_dict(value, typing.get_args(type_)[1])
    if type_ is float:
        return _convert_to_float(value)
    if type_ is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_FLOAT, value
    return isinstance(value, type_), value


def _convert_item(value, type_):
    """The same for an item of a list, whose type may be one of several: `tuple[int | str, ...]`."""
    converted = (_convert(value, option) for option in type_options(type_))
    return next((item for item in converted if item[0]), (False, None))


def _convert_to_dict(value, type_):
    """A mapping of names, as which keys such as the class 1 count too."""
    if not isinstance(value, Mapping):
        return False, None
    items = {str(key): _convert_item(each, type_) for key, each in value.items()}
    is_of_type = len(items) == len(value) and all(ok for ok, _ in items.values())
    return is_of_type, FrozenDict({key: each for key, (_, each) in items.items()})


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
        return f"a list, each item {expected(typing.get_args(type_)[0], allowed)}"
    if typing.get_origin(type_) is dict:
        return f"{{NAME: {expected(typing.get_args(type_)[1], allowed)}}}"
    if allowed.choices and type_ is str:
        names = allowed.names
        listed = len(names) if len(names) <= MOST_CHOICES else FIRST_CHOICES
        return f"one of {list_names(names, listed)}"
    if type_ in (int, float):
        return f"{TYPE_NAMES[type_]} {allowed}".strip()
    return TYPE_NAMES[type_]


def yaml_text(value) -> str:
    """A value as a YAML file has it, shortened if it is long."""
    if isinstance(value, tuple):
        value = list(value)
    if value is None:
        return "null"
    text = f"'{value}'" if isinstance(value, str) else _str_or_placeholder(value)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[: MAX_SHOWN_CHARACTERS - 3]}..."


def _str_or_placeholder(value) -> str:
    """`str(value)`, or a phrase in its place where that fails."""
    try:
        return str(value)
    except Exception:  # a whole number of more than some thousand digits; an object of anybody's class
        return "that number" if isinstance(value, int) else f"that {type(value).__name__}"
