"""Files that somebody else may have written, read within bounds: they are files, of a sane size and depth.

Whatever is wrong with one is a `UserError` that names it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import stat
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import BinaryIO

from nnlab.errors import UserError

LARGEST_FILES = {"YAML": 2**20, "JSON": 2**27}  # bytes of a file
LONGEST_LINE = 2**20  # bytes of one that has lines
NODES, DEPTH = 100_000, 50  # of nested settings, once aliases are written out
EXPANSIONS = 100_000  # of values that refer to values that refer to values
LEAVES = (str, bool, int, float, type(None))


@contextlib.contextmanager
def plain_file(path: Path) -> Iterator[BinaryIO]:
    """An open file with bytes to read: no pipe, which would be waited for, and no device."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise UserError(f"'{path}' is not a plain file")
            yield file
    except OSError as e:
        raise UserError(f"'{path}' cannot be read: {e.strerror or e}") from e


def text_of(path: Path, most: int) -> str:
    """The text of a plain file of at most so many bytes."""
    with plain_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise UserError(f"'{path}' has {size:,} bytes; allowed are {most:,}")
        try:
            return file.read(most + 1).decode("utf-8")
        except UnicodeDecodeError as e:
            raise UserError(f"'{path}' is not text in UTF-8: {e.reason} at byte {e.start}") from e


def lines_of_json(path: Path) -> Iterator[tuple[str, dict]]:
    """(where it stands, what it says) of each line of a file that grows by lines of JSON, however long it
    has become; without the half line that a killed process may have left at the end."""
    with plain_file(path) as file:
        for number in itertools.count(1):
            line, where = file.readline(LONGEST_LINE), f"'{path}', line {number}"
            if not line.endswith(b"\n"):
                if len(line) == LONGEST_LINE:
                    raise UserError(f"{where} is longer than {LONGEST_LINE:,} bytes")
                return
            try:
                tree = json.loads(line.decode())
            except (ValueError, RecursionError) as e:
                raise UserError(f"{where} is not JSON") from e
            if not isinstance(tree, dict):
                raise UserError(f"{where}: expected names and values in braces")
            yield where, tree


def yaml_of(path: Path, loader=None):
    """What a file of YAML says, plain values only."""
    import yaml

    text = text_of(path, LARGEST_FILES["YAML"])
    reader = None
    try:
        reader = (loader or yaml.SafeLoader)(text)
        node = reader.get_single_node()
        if node is None:
            return None
        _refuse_endless(node, path)  # before it is built: `<<` writes aliases out while it builds
        tree = reader.construct_document(node)
    except UserError:
        raise
    except (yaml.YAMLError, ValueError) as e:  # a date that there is not, a number of 5,000 digits
        raise UserError(f"'{path}' is not YAML that nnlab reads: {_first(e)}") from e
    except RecursionError as e:
        raise UserError(f"'{path}' is nested too deep to read") from e
    except Exception as e:  # PyYAML's own words for values that do not go with their tags
        raise UserError(f"'{path}' is not YAML that nnlab reads: a value does not go with its tag") from e
    finally:
        if reader is not None:
            reader.dispose()
    refuse_unbounded(tree, str(path))
    return tree


def json_of(path: Path, most: int = 0):
    """What a file of JSON says, of at most the usual size, or of `most` bytes if that is more."""
    try:
        tree = json.loads(text_of(path, max(most, LARGEST_FILES["JSON"])))
    except ValueError as e:
        raise UserError(f"'{path}' is not JSON: {_first(e)}") from e
    except RecursionError as e:
        raise UserError(f"'{path}' is nested too deep to read") from e
    return tree


def refuse_unbounded(tree, where: str) -> None:
    """Raise `UserError` for settings that are few in a file and endless once written out: aliases of
    aliases, an alias of itself; and for what is no setting at all."""
    for count, (depth, key, value) in enumerate(_nodes(tree)):
        if count > NODES or depth > DEPTH:
            raise UserError(_endless(where))
        if not isinstance(key, str):
            raise UserError(f"'{where}': the key {key!r} is not a word; in quotes it is")
        if not isinstance(value, (*LEAVES, dict, list)):
            raise UserError(f"'{where}': {key or 'a value'} is a {type(value).__name__}, which is no setting")


def _refuse_endless(node, path: Path) -> None:
    """Raise `UserError` for a node of YAML that has too many values once its aliases are written out."""
    sizes: dict[int, int] = {}

    def size(node) -> int:
        if id(node) not in sizes:
            sizes[id(node)] = NODES + 1  # as long as it is not known: what holds itself has no end
            children = node.value if isinstance(node.value, list) else []
            flat = [part for child in children for part in (child if isinstance(child, tuple) else (child,))]
            sizes[id(node)] = min(NODES + 1, 1 + sum(map(size, flat)))
        return sizes[id(node)]

    if size(node) > NODES:
        raise UserError(_endless(path))


def _endless(where) -> str:
    bounds = f"more than {NODES:,} values, or brackets {DEPTH} deep"
    return f"'{where}' has {bounds}, once its aliases are written out"


def _nodes(tree) -> Iterator[tuple[int, object, object]]:
    """(depth, key, value) of every value, `key` the last one above it."""
    waiting = [(0, "", tree)]
    while waiting:
        depth, key, value = waiting.pop()
        yield depth, key, value
        if isinstance(value, dict):
            waiting += [(depth + 1, name, child) for name, child in value.items()]
        elif isinstance(value, list):
            waiting += [(depth + 1, key, child) for child in value]


def refuse_many_references(tree) -> None:
    """Raise `UserError` for settings whose interpolations may multiply: `a: ${b}${b}`, `b: ${c}${c}`, ..."""
    expansions = 1  # a bound: who is referred to is expanded once for each who refers, all the way
    for _, _, value in _nodes(tree):
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        referring = [child for child in children if isinstance(child, str) and "${" in child]
        expansions *= max(1, len(referring)) * prod(text.count("${") for text in referring)
        if expansions > EXPANSIONS:
            raise UserError("too many values refer to others by ${...}: written out, there is no end of them")


def is_number(value) -> bool:
    """Whether it is a finite number, and no truth value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of 400 digits
        return False


def is_count(value) -> bool:
    """Whether it is a whole number from 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _first(error: Exception) -> str:
    """An error in one line."""
    return " ".join(str(error).split())[:200]
