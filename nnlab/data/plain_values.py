"""Checks of keys and values that a stranger's JSON may have, and the words for those that are wrong."""

from __future__ import annotations

import reprlib
from dataclasses import MISSING, fields

from nnlab.errors import UserError, nearest, shortened


def refuse_wrong_keys(json, cls: type, where: str, expected: str) -> None:
    """Raise `UserError` where parsed JSON has a key that is no field of this dataclass, or lacks one."""
    if not isinstance(json, dict):
        raise UserError(f"{where}: expected {expected}, keys and values in braces")
    known = {f.name: f for f in fields(cls)}
    for key in json:
        if key not in known:
            raise UserError(f"{where}: unknown key '{shortened(str(key))}'{nearest(key, known)}")
    for key, f in known.items():
        if key not in json and f.default is MISSING:
            raise UserError(f"{where}: the key '{key}' is missing")


def fault(key: str, value, expected: str) -> str:
    """`shape = 4: expected ...`"""
    return f"{key} = {shown(value)}: expected {expected}"


def shown(value) -> str:
    """A value, shortened; a tuple as the list that it was in JSON."""
    if isinstance(value, tuple):
        value = list(value)
    try:
        return reprlib.repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        return "that number"


def is_whole(value) -> bool:
    """Whether it is a whole number that 64 bits hold."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def are_names(value) -> bool:
    """Whether it is a tuple of strings that a file can hold, so without lone surrogates."""
    if not isinstance(value, tuple) or not all(isinstance(name, str) for name in value):
        return False
    try:
        "".join(value).encode()
    except UnicodeEncodeError:
        return False
    return True
