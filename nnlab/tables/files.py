"""Reads tables from files of any format that pyarrow knows: one file, several, or a glob."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pyarrow as pa

from nnlab.errors import Advice, UserError
from nnlab.tables.contents import open_content
from nnlab.tables.encodings import check_encoding
from nnlab.tables.excel import excel_table
from nnlab.tables.first_rows import unique_names
from nnlab.tables.json_lines import UnreadableJson, json_batches, json_fault, json_lines, json_schema
from nnlab.tables.options import ReadOptions
from nnlab.tables.paths import table_files
from nnlab.tables.same_columns import as_schema, common_schema
from nnlab.tables.text_files import TextTable, Unreadable
from nnlab.tables.typed_files import arrow_batches, parquet_batches

AUTO_OPTIONS = ReadOptions()


def read_table(path: str | Sequence[str], options: ReadOptions = AUTO_OPTIONS) -> pa.Table:
    """The table of a file, of a list of files, or of all that a glob names; they must have the same columns.

    Text files give columns of strings, as they are written, missing ones too; other formats their own types.
    Raises `UserError`, also where the table does not fit into memory.
    """
    files = table_files(path)
    schemas, batches_of_files = [], []
    for file in files:
        with open_batches(file, options, whole=True) as (schema, batches):
            schemas.append(schema)
            batches_of_files.append(list(batches))
    schema = common_schema(schemas, files)
    if not schema.names:
        raise UserError(f"{files[0]} has no columns")
    batches = [as_schema(batch, schema) for batches in batches_of_files for batch in batches]
    if not batches:
        raise UserError(f"{files[0]} has no examples, only the names of its columns")
    return pa.Table.from_batches(batches, schema)


def iterate_batches(
    path: str | Sequence[str], options: ReadOptions = AUTO_OPTIONS
) -> Iterator[pa.RecordBatch]:
    """The same in batches, of which one at a time is in memory."""
    files = table_files(path)
    schemas = []
    for file in files if len(files) > 1 else ():
        with open_batches(file, options, whole=False) as (schema, _):
            schemas.append(schema)
    common = common_schema(schemas, files) if schemas else None
    examples = 0
    for file in files:
        with open_batches(file, options, whole=False) as (schema, batches):
            for batch in batches:
                examples += batch.num_rows
                yield as_schema(batch, common or schema)
    if not examples:
        raise UserError(f"{files[0]} has no examples, only the names of its columns")


def place(path: str | Sequence[str], row: int, options: ReadOptions = AUTO_OPTIONS) -> str:
    """Where an example is, counted from 0: `churn.csv, line 12`. Reads the files again, up to there."""
    for file in table_files(path):
        with _without_advice(), open_batches(file, options, whole=False) as (_, batches):
            before = row
            for batch in batches:
                row -= batch.num_rows
                if row < 0:
                    return _place_in_file(file, before, options)
    raise IndexError(row)


def _place_in_file(file: Path, row: int, options: ReadOptions) -> str:
    with _without_advice(), open_content(file, whole=False) as (kind, content):
        lines = None
        if kind == "text":
            lines = TextTable(file, content, options).rows()
        elif kind == "json":
            lines = json_lines(file, content, options.encoding)
        if lines:
            return f"{file}, line {next(islice(lines, row, None))[0]:,}"
    return f"{file}, row {row + 1:,}"


@contextmanager
def _without_advice():
    """What is said about a file is said once, at its first reading."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Advice)
        yield


@contextmanager
def open_batches(file: Path, options: ReadOptions, whole: bool):
    """The schema and the batches of one file; `whole` if they are all kept."""
    check_encoding(options.encoding)
    with open_content(file, whole) as (kind, content):
        if kind == "text":
            table = TextTable(file, content, options)
            schema, batches = table.schema, _with_faults(file, table.batches(), options)
        elif kind == "parquet":
            schema, batches = parquet_batches(file, content, whole)
        elif kind in ("arrow", "arrow stream"):
            schema, batches = arrow_batches(file, content, kind == "arrow stream", whole)
        elif kind == "json":
            schema = _json_schema(file, content, options)
            batches = _json_batches(file, schema, options, whole)
        else:
            sheet = excel_table(file, content, options)
            schema, batches = sheet.schema, (batch for batch in [sheet] if batch.num_rows)
        names = unique_names(file, schema.names)
        if list(names) != schema.names:
            schema, batches = schema_renamed(schema, names), (b.rename_columns(names) for b in batches)
        yield schema.remove_metadata(), batches


def schema_renamed(schema: pa.Schema, names) -> pa.Schema:
    return pa.schema([field.with_name(name) for field, name in zip(schema, names, strict=True)])


def _with_faults(file: Path, batches, options: ReadOptions):
    """The batches; where pyarrow stops, the error is a sentence that names the line."""
    try:
        yield from batches
    except Unreadable as e:
        with _without_advice(), open_content(file, whole=False) as (_, content):
            fault = TextTable(file, content, options).fault()
        raise fault or UserError(f"{file} is not a table: {e}") from None


def _json_schema(file: Path, content, options: ReadOptions) -> pa.Schema:
    try:
        return json_schema(file, content, options.encoding)
    except UnreadableJson as e:
        with _without_advice(), open_content(file, whole=False) as (_, content):
            fault = json_fault(file, content, options.encoding)
        raise fault or UserError(f"{file} is not JSON lines: {e}") from None


def _json_batches(file: Path, schema: pa.Schema, options: ReadOptions, whole: bool):
    """A second reading, by the types that the first has found."""
    with _without_advice(), open_content(file, whole) as (_, content):
        yield from json_batches(file, content, options.encoding, schema)
