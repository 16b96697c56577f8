"""Readers for untrusted files (text, JSON, YAML), with bounds on size and depth.

Whatever is wrong with a file raises a `UserError` that names it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import re
import stat
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path
from typing import BinaryIO

from nnlab.errors import UserError
from nnlab.yaml_errors import yaml_sentence

MAX_FILE_BYTES = {"YAML": 2**20, "JSON": 2**27}  # bytes of a file
MAX_LINE_BYTES = 2**20  # bytes of a line in a file that is read line by line
# Limits of nested settings with aliases expanded: ten lines of YAML may stand for a billion values.
MAX_NODES, MAX_DEPTH = 100_000, 50
MAX_YAML_DEPTH = 500  # nesting of brackets in a file, checked while it is parsed
MAX_EXPANSIONS = 100_000  # of ${...} references that lead to further references
EXPONENT_PATTERN = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")
LEAF_TYPES = (str, bool, int, float, type(None))


@contextlib.contextmanager
def plain_file(path: Path) -> Iterator[BinaryIO]:
    """A regular file, open for reading bytes: no pipe, no device."""
    # Without O_NONBLOCK, opening a pipe waits until somebody writes into it.
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise UserError(f"'{path}' is not a plain file")
            yield file
    except OSError as e:
        raise UserError(f"'{path}' cannot be read: {e.strerror or e}") from e


def unlinked_file(file: Path) -> Path:
    """The path of a file that is not a link to another place: see `refuse_link`."""
    try:
        refuse_link(file, os.lstat(file))
    except OSError as e:
        raise UserError(f"'{file}' cannot be read: {e.strerror}") from e
    return file


def refuse_link(file: Path, status: os.stat_result) -> None:
    """Raise `UserError` unless a file of this status, of `lstat`, is a plain file with no other name.

    A link in a stranger's folder leads to a file of its user, and a hard link is that file.
    """
    if stat.S_ISLNK(status.st_mode):
        raise UserError(f"'{file}' is a link: nothing outside of its folder is read, or written to")
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"'{file}' is not a plain file")
    if status.st_nlink > 1:
        raise UserError(
            f"'{file}' is a hard link, the same file as another elsewhere: make a copy of the folder "
            f"(cp -r), and take that"
        )


def entries_below(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Everything below a folder, links not followed, with its status of `lstat`."""
    for directory, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            entry = Path(directory, name)
            with contextlib.suppress(FileNotFoundError):  # it was there a moment ago
                yield entry, entry.lstat()


def refuse_links_below(folder: Path) -> None:
    """Raise `UserError` if a file below a folder is a link: nnlab is about to write there."""
    for entry, status in entries_below(folder):
        if not stat.S_ISDIR(status.st_mode):
            refuse_link(entry, status)


def read_text(path: Path, max_bytes: int) -> str:
    """The text of a plain file of at most `max_bytes` bytes."""
    with plain_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise UserError(f"'{path}' has {size:,} bytes; allowed are {max_bytes:,}")
        try:
            return file.read(max_bytes + 1).decode("utf-8")
        except UnicodeDecodeError as e:
            raise UserError(f"'{path}' is not text in UTF-8: {e.reason} at byte {e.start}") from e


def read_lines(path: Path, max_bytes: int = MAX_LINE_BYTES) -> Iterator[tuple[str, bytes]]:
    """(location, line) of each line of a plain file of any length, none longer than `max_bytes` bytes.

    A half line at the end, which a killed process may have left, is skipped.
    """
    with plain_file(path) as file:
        for number in itertools.count(1):
            line = file.readline(max_bytes)
            where = f"'{path}', line {number}"
            if not line.endswith(b"\n"):
                if len(line) == max_bytes:
                    raise UserError(f"{where} is longer than {max_bytes:,} bytes")
                return
            yield where, line


def read_json_lines(
    path: Path, max_bytes: int = MAX_LINE_BYTES, is_wanted: Callable[[bytes], bool] | None = None
) -> Iterator[tuple[str, dict]]:
    """(location, values) of each line of a file of JSON lines, of any length, as `read_lines` reads them; of
    those alone that are wanted, before they are parsed."""
    for where, line in read_lines(path, max_bytes):
        if is_wanted is not None and not is_wanted(line):
            continue
        try:
            tree = json.loads(line.decode())
        except (ValueError, RecursionError) as e:
            raise UserError(f"{where} is not JSON") from e
        if not isinstance(tree, dict):
            raise UserError(f"{where}: expected names and values in braces")
        yield where, tree


def read_yaml(path: Path, loader=None, by_hand: bool = False):
    """The content of a YAML file, plain values only; by the quickest loader, if no other is given.

    In one that is written `by_hand`, 1e-3 is a number, and no mapping has a key twice.
    """
    import yaml  # JSON is read without it

    text = read_text(path, MAX_FILE_BYTES["YAML"])
    c_loader = getattr(yaml, "CSafeLoader", None)
    reader = None
    try:
        if c_loader and loader is None:
            _refuse_deep(yaml.parse(text, c_loader), path)
        reader = (loader or _loader(c_loader or yaml.SafeLoader, by_hand))(text)
        node = reader.get_single_node()
        if node is None:
            return None
        if by_hand:
            _refuse_repeated_keys(node, path)
        _refuse_expanding_aliases(node, path)  # before construction, since `<<` writes aliases out then
        tree = reader.construct_document(node)
    except UserError:
        raise
    except (yaml.YAMLError, ValueError) as e:  # such as the 31st of April, or a number of 5,000 digits
        raise UserError(yaml_sentence(path, e)) from e
    except RecursionError as e:
        raise UserError(f"'{path}' is nested too deep to read") from e
    except Exception as e:  # PyYAML raises various errors for values that do not fit their tags
        raise UserError(f"'{path}' is not YAML that nnlab reads: a value does not fit its tag") from e
    finally:
        if reader is not None:
            reader.dispose()
    refuse_unbounded(tree, str(path))
    return tree


def read_json(path: Path, max_bytes: int = 0):
    """The content of a JSON file of at most the usual size, or of `max_bytes` bytes if that is more."""
    try:
        tree = json.loads(read_text(path, max(max_bytes, MAX_FILE_BYTES["JSON"])))
    except ValueError as e:
        raise UserError(f"'{path}' is not JSON: {_one_line(e)}") from e
    except RecursionError as e:
        raise UserError(f"'{path}' is nested too deep to read") from e
    return tree


def refuse_unbounded(tree, where: str) -> None:
    """Raise `UserError` for settings that are endless once their aliases are written out, or not settings."""
    for count, (depth, key, value) in enumerate(_nodes(tree)):
        if count > MAX_NODES or depth > MAX_DEPTH:
            raise UserError(_too_many_values(where))
        if not isinstance(key, str):
            raise UserError(f"'{where}': the key {key!r} is not a word; in quotes it is")
        if not isinstance(value, (*LEAF_TYPES, dict, list)):
            name = key or "a value"
            raise UserError(f"'{where}': {name} is a {type(value).__name__}, which is not a setting")


def _loader(base: type, by_hand: bool) -> type:
    """The loader that reads 1e-3 as a number, as YAML 1.2 does; PyYAML wants 1.0e-3."""
    if not by_hand:
        return base
    loader = type("Loader", (base,), {})
    loader.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT_PATTERN, list("+-0123456789"))
    return loader


def _refuse_deep(events: Iterator, path: Path) -> None:
    """Raise `UserError` if a file of these events of YAML has brackets too deep: the loader in C, which calls
    itself for each, would end the process where one in Python raises an error."""
    depth = 0
    for event in events:
        name = type(event).__name__
        depth += name.endswith(("SequenceStartEvent", "MappingStartEvent"))
        depth -= name.endswith(("SequenceEndEvent", "MappingEndEvent"))
        if depth > MAX_YAML_DEPTH:
            raise UserError(f"'{path}' is nested too deep to read")


def _refuse_repeated_keys(node, path: Path) -> None:
    """Raise `UserError` if a mapping of YAML has a key twice."""
    unvisited, seen = [node], set()
    while unvisited:
        node = unvisited.pop()
        if id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        unvisited += _children(node)
        lines: dict[str, int] = {}
        for key, _ in node.value if type(node).__name__ == "MappingNode" else ():
            line = key.start_mark.line + 1
            if isinstance(key.value, str) and key.value in lines:
                first = lines[key.value]
                raise UserError(f"'{path}', line {line}: '{key.value}' stands in line {first} already")
            lines[str(key.value)] = line


def _refuse_expanding_aliases(node, path: Path) -> None:
    """Raise `UserError` for a node of YAML that has too many values once its aliases are written out."""
    sizes: dict[int, int] = {}

    def size(node) -> int:
        if id(node) not in sizes:
            # Until it is known, the size counts as too large: a node that contains itself has no end.
            sizes[id(node)] = MAX_NODES + 1
            sizes[id(node)] = min(MAX_NODES + 1, 1 + sum(map(size, _children(node))))
        return sizes[id(node)]

    if size(node) > MAX_NODES:
        raise UserError(_too_many_values(path))


def _children(node) -> list:
    """The nodes in a node of YAML: items of a sequence, keys and values of a mapping."""
    if not isinstance(node.value, list):
        return []
    if all(isinstance(child, tuple) for child in node.value):
        return [part for pair in node.value for part in pair]
    return node.value


def _too_many_values(where) -> str:
    bounds = f"more than {MAX_NODES:,} values, or brackets {MAX_DEPTH} deep"
    return f"'{where}' has {bounds}, once its aliases are written out"


def _nodes(tree) -> Iterator[tuple[int, object, object]]:
    """(depth, key, value) of every value, where `key` is the nearest one above it."""
    stack = [(0, "", tree)]
    while stack:
        depth, key, value = stack.pop()
        yield depth, key, value
        if isinstance(value, dict):
            stack += [(depth + 1, name, child) for name, child in value.items()]
        elif isinstance(value, list):
            stack += [(depth + 1, key, child) for child in value]


def refuse_many_references(tree) -> None:
    """Raise `UserError` for settings whose interpolations may multiply: `a: ${b}${b}`, `b: ${c}${c}`, ..."""
    # An upper bound: a value is expanded once for each reference to it, at every level.
    expansions = 1
    for _, _, value in _nodes(tree):
        if isinstance(value, dict):
            value = value.values()
        elif not isinstance(value, list):
            continue
        referring = [child for child in value if isinstance(child, str) and "${" in child]
        expansions *= max(1, len(referring)) * prod(text.count("${") for text in referring)
        if expansions > MAX_EXPANSIONS:
            raise UserError("too many values refer to others by ${...}: written out, they do not end")


def is_number(value) -> bool:
    """Whether it is a finite number, and not a truth value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of 400 digits
        return False


def is_count(value) -> bool:
    """Whether it is a whole number of at least 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _one_line(error: Exception) -> str:
    """An error in one line."""
    return " ".join(str(error).split())[:200]
