"""Arguments checked against annotations: `@typed` raises a `UserError` of one sentence.

Parts of an experiment check themselves, ranges included (see `hyperparameters`). This is for every other
public function and class.
"""

from __future__ import annotations

import functools
import inspect
import numbers
import os
import sys
import typing
from collections.abc import Callable, Mapping, Sequence, Set
from types import NoneType, UnionType

import nnlab
from nnlab.choices import short_repr
from nnlab.errors import UnknownSetting, UserError, nearest
from nnlab.suggestions import suggested_key

TYPE_NAMES = {
    int: "a whole number", float: "a number", bool: "true or false", str: "a word", dict: "a dict",
    os.PathLike: "a path", list: "a list", tuple: "a tuple", object: "anything", NoneType: "None",
}  # fmt: skip
# These take experiments; users pass them settings of an experiment by mistake.
TAKE_EXPERIMENTS = ("fit", "check", "Fit", "Sweep")


def is_number(x, kind=numbers.Real) -> bool:
    """Whether `x` is of the abstract class `kind`, of Python or numpy, and fits a float. True and False are
    not numbers here."""
    if isinstance(x, int):
        return not isinstance(x, bool) and abs(x) <= sys.float_info.max
    return isinstance(x, kind)


# type -> the test of a value: an annotation `float` allows whole numbers, and numpy's numbers are as good.
TYPE_TESTS = {
    int: functools.partial(is_number, kind=numbers.Integral),
    float: is_number,
    bool: lambda x: type(x).__name__ in ("bool", "bool_"),  # without importing numpy
}


T = typing.TypeVar("T", bound=Callable)


@typing.overload
def typed(callee: T) -> T: ...
@typing.overload
def typed(callee: None = None, *, unchecked: tuple[str, ...]) -> Callable[[T], T]: ...
def typed(callee=None, *, unchecked=()):
    """Make a function or class raise `UserError` for arguments that do not fit their annotations.

    Arguments named in `unchecked` it checks itself; those without an annotation may be anything.

    >>> @typed
    ... def times(word: str, count: int = 2):
    ...     return word * count
    >>> times("ab", count="2")
    Traceback (most recent call last):
    nnlab.errors.UserError: count = '2': expected a whole number
    """
    if callee is None:
        return functools.partial(typed, unchecked=unchecked)
    if isinstance(callee, type):
        callee.__init__ = _with_checks(callee.__init__, callee.__name__, unchecked)
        return callee
    return _with_checks(callee, callee.__name__, unchecked)


def _with_checks(function: Callable, name: str, unchecked: tuple[str, ...]) -> Callable:
    parameters = inspect.signature(function).parameters
    # A function with *args reads its positional arguments itself.
    has_var_positional = any(p.kind is p.VAR_POSITIONAL for p in parameters.values())
    positional = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    required = [p.name for p in parameters.values() if p.default is p.empty]

    # Annotations are resolved at the first call: some name classes that are not yet imported now.
    @functools.cache
    def checks() -> dict[str, tuple[Callable, object]]:
        hints = typing.get_type_hints(function)
        hints = {key: hints.get(key, typing.Any) for key in parameters}
        return {
            key: (_type_test(typing.Any if key in unchecked else hint), hint) for key, hint in hints.items()
        }

    @functools.wraps(function)
    def checked(*args, **kwargs):
        known = checks()
        for key in kwargs.keys() - known.keys():
            raise _unknown_argument(name, key, known.keys() - {"self"})
        arguments = kwargs if has_var_positional else bind_arguments(name, positional, required, args, kwargs)
        for key, value in arguments.items():
            holds, hint = known[key]
            if not holds(value):
                raise UserError(f"{key} = {short_repr(value)}: expected {describe_type(hint)}")
        return function(*args, **kwargs)

    return checked


def _unknown_argument(name: str, key: str, known: Set[str]) -> UnknownSetting:
    suggestion = ""
    if name in TAKE_EXPERIMENTS:
        # It imports yaml, and parses sources: what reads run folders does without.
        from nnlab.as_python import hint_for_unknown_argument

        suggestion = hint_for_unknown_argument(key)
    else:
        # `key` may be the name of another library, scikit-learn, say.
        own_name = (suggested_key(key) or "").rpartition(".")[2]
        suggestion = f"; did you mean '{own_name}'?" if own_name in known else _setting_of_model(key, known)
    return UnknownSetting(f"{name} has no argument '{key}'{suggestion or nearest(key, known)}")


def _setting_of_model(key: str, known: Set[str]) -> str:
    """The half sentence about a setting of a model, where a model is an argument."""
    if "model" not in known:
        return ""
    from nnlab.as_python import python_spelling

    spelling = python_spelling(f"model.{key}")
    return f"; it is a setting of a model, {spelling}" if spelling else ""


def bind_arguments(
    name: str, positional: Sequence[str], required: Sequence[str], args: tuple, kwargs: dict
) -> dict:
    """The arguments of a call of `name`, `args` and `kwargs`, all by their names.

    `positional` are the names of the parameters that may be given by position, `required` of those without a
    default. Raises `UnknownSetting` where there are too many or too few, or one is given twice.
    """
    arguments = dict(zip(positional, args, strict=False)) | kwargs
    if len(args) > len(positional):
        named = [key for key in positional if key != "self"]
        count = len(args) - ("self" in positional)
        raise UnknownSetting(
            f"{name}: {count} arguments by position; expected at most {len(named)}, {', '.join(named)}"
        )
    for key in positional[: len(args)]:
        if key in kwargs:
            raise UnknownSetting(f"{name}: {key} is given twice, by its position and by its name")
    if missing := [key for key in required if key not in arguments]:
        raise UnknownSetting(f"{name} needs {' and '.join(missing)}")
    return arguments


def _type_test(hint) -> Callable[[object], bool]:
    """A function that says whether a value fits the annotation."""
    origin, type_args = typing.get_origin(hint), typing.get_args(hint)
    if hint in (typing.Any, object):
        return lambda x: True
    if hint in TYPE_TESTS:
        return TYPE_TESTS[hint]
    if origin in (typing.Union, UnionType):
        tests = [_type_test(option) for option in type_args]
        return lambda x: any(test(x) for test in tests)
    if origin is typing.Literal:
        # Of the same type too: True equals 1 and is another literal.
        return lambda x: any(type(x) is type(literal) and x == literal for literal in type_args)
    if hint is Callable or origin is Callable:
        return callable
    if origin is tuple and not _is_homogeneous(type_args):
        tests = list(map(_type_test, type_args))
        return lambda x: (
            isinstance(x, tuple)
            and len(x) == len(tests)
            and all(test(item) for test, item in zip(tests, x, strict=True))
        )
    if origin in (list, tuple, Set):
        item = _type_test(type_args[0])
        return lambda x: isinstance(x, origin) and all(map(item, x))
    if origin in (dict, Mapping):
        key, item = map(_type_test, type_args)
        return lambda x: isinstance(x, origin) and all(map(key, x)) and all(map(item, x.values()))
    return lambda x: isinstance(x, origin or hint)


def _is_homogeneous(type_args: tuple) -> bool:
    """Whether these, of an annotation `tuple[...]`, are those of a tuple of any length, `tuple[int, ...]`."""
    return len(type_args) == 2 and type_args[1] is Ellipsis


def describe_type(hint) -> str:
    """An annotation in words, such as `a list, each item a nnlab.Experiment`."""
    origin, type_args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, UnionType):
        return _describe_union(type_args)
    if origin is typing.Literal:
        return " or ".join(map(repr, type_args))
    if hint is Callable or origin is Callable:
        return "a function"
    if origin is tuple and not _is_homogeneous(type_args):
        return f"a tuple of {', '.join(map(describe_type, type_args))}"
    if origin in (list, tuple, Set):
        return f"a {origin.__name__.lower()}, each item {describe_type(type_args[0])}"
    if origin in (dict, Mapping):
        return f"a dict of {describe_type(type_args[0])} -> {describe_type(type_args[1])}"
    if hint.__module__ == "numpy":
        return f"a numpy {hint.__name__.removeprefix('nd')}"
    if hint in TYPE_NAMES:
        return TYPE_NAMES[hint]
    if hint.__name__ in nnlab.__all__:
        return f"a nnlab.{hint.__name__}"
    return f"a {hint.__name__}"


def _describe_union(options: Sequence) -> str:
    """`a path, a nnlab.StoredRun or a nnlab.Fit`."""
    if os.PathLike in options:  # then text is one too
        options = [option for option in options if option is not str]
    *others, last = map(describe_type, options)
    return f"{', '.join(others)} or {last}" if others else last
