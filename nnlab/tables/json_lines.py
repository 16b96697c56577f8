"""Reads JSON lines by pyarrow: an object a line, whose values are numbers, truth values or text."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.json

from nnlab.errors import UserError, shortened
from nnlab.tables.encodings import Utf8Reader
from nnlab.tables.text_files import LONGEST_LINE, end_of_lines

BYTES_OF_A_BATCH = 2**22
MOST_BRACKETS = 200  # in a line: brackets within brackets may overflow the stack of pyarrow's parser
KIND_OF_TYPE = {
    bool: "a truth value", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object",
}  # fmt: skip


def json_schema(path: Path, content, encoding: str) -> pa.Schema:
    """The columns of all the lines: what one line lacks is missing there. Raises `UnreadableJson`."""
    schemas = [_without_dates(table.schema) for table in _tables(path, content, encoding, None)]
    if not schemas:
        raise UserError(f"{path} is empty")
    try:
        return pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as e:
        raise UnreadableJson(str(e)) from e


def json_batches(path: Path, content, encoding: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for table in _tables(path, content, encoding, schema):
        yield from (batch for batch in table.to_batches() if batch.num_rows)


class UnreadableJson(Exception):
    """pyarrow stopped at a line; Python's json can say which."""


def json_fault(path: Path, content, encoding: str) -> UserError | None:
    """The first line that is not as the others, as a sentence; None if Python's json sees none."""
    kinds: dict[str, tuple[str, int]] = {}
    for number, line in json_lines(path, content, encoding):
        where = f"{path}, line {number:,}"
        if number == 1 and line.lstrip().startswith(b"["):
            return UserError(
                f"{path} is one list of JSON; expected an object a line, as pandas writes by to_json(..., "
                f"orient='records', lines=True)"
            )
        try:
            pairs = json.loads(line, object_pairs_hook=_Pairs)
        except (ValueError, RecursionError) as e:
            return UserError(f"{where} is not JSON: {e}")
        if not isinstance(pairs, _Pairs):
            return UserError(
                f'{where} is {KIND_OF_TYPE.get(type(pairs), "null")}; expected an object, {{"a": 1}}'
            )
        names = [name for name, _ in pairs]
        for name, value in pairs:
            shown = shortened(name)
            if names.count(name) > 1:
                return UserError(f"{where} has '{shown}' more than once")
            kind = "an object" if isinstance(value, _Pairs) else KIND_OF_TYPE.get(type(value))
            before, first_line = kinds.setdefault(name, (kind, number)) if kind else (kind, 0)
            if kind != before:
                return UserError(
                    f"{where}: '{shown}' is {kind}, and in line {first_line:,} {before}: write all as text"
                )
    return None


class _Pairs(list):
    """The names and values of an object."""


def _tables(path: Path, content, encoding: str, schema: pa.Schema | None) -> Iterator[pa.Table]:
    """The lines as tables; without a schema each has its own."""
    for lines in _pieces(path, content, encoding):
        if not lines.strip():
            continue
        _refuse_nested(path, lines)
        try:
            yield pa.json.read_json(
                pa.BufferReader(lines),
                pa.json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
                pa.json.ParseOptions(
                    explicit_schema=schema, unexpected_field_behavior="infer" if schema is None else "error"
                ),
            )
        except pa.ArrowInvalid as e:
            raise UnreadableJson(str(e)) from e


def _without_dates(schema: pa.Schema) -> pa.Schema:
    """Dates as they are written: whether text is a date is judged for the whole column, elsewhere."""
    text = (field.with_type(pa.string()) if pa.types.is_timestamp(field.type) else field for field in schema)
    return pa.schema(text)


def _pieces(path: Path, content, encoding: str) -> Iterator[bytes]:
    """Whole lines, some megabytes at a time."""
    reader, unfinished = io.BufferedReader(Utf8Reader(content, path, encoding), 2**16), b""
    while piece := reader.read(BYTES_OF_A_BATCH):
        piece = unfinished + piece
        end = end_of_lines(piece)
        unfinished = piece[end:]
        if len(unfinished) > LONGEST_LINE:
            raise UserError(f"{path} has a line of more than {LONGEST_LINE:,} bytes: is it JSON lines?")
        if end:
            yield piece[:end]
    if unfinished:
        yield unfinished + b"\n"


def json_lines(path: Path, content, encoding: str) -> Iterator[tuple[int, bytes]]:
    """(number, content) of every line that is not empty."""
    lines = (line for piece in _pieces(path, content, encoding) for line in piece.splitlines())
    yield from ((number, line) for number, line in enumerate(lines, 1) if line.strip())


def _refuse_nested(path: Path, lines: bytes) -> None:
    if lines.count(b"[") + lines.count(b"{") <= MOST_BRACKETS:
        return
    for line in lines.splitlines():
        if line.count(b"[") + line.count(b"{") > MOST_BRACKETS and _depth(line) > MOST_BRACKETS:
            raise UserError(f"{path} has lists within lists, more than {MOST_BRACKETS} deep: is it a table?")


def _depth(line: bytes) -> int:
    """How deep the brackets outside of text are nested."""
    depth = deepest = 0
    for bracket in re.findall(rb'"(?:[^"\\]|\\.)*"|[\[{\]}]', line):
        if bracket in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif bracket in b"]}":
            depth -= 1
    return deepest
