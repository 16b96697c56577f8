"""Reads text tables by pyarrow, every column as text: CSV, TSV, and cells between other separators."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from nnlab.data.cells import first_line_hint
from nnlab.data.csv_rows import allow_long_cells, explain_csv_error
from nnlab.errors import UserError
from nnlab.tables.cells import without_empty_rows
from nnlab.tables.dialect import Dialect, detect
from nnlab.tables.encodings import Utf8Reader
from nnlab.tables.options import ReadOptions

SAMPLE_BYTES = 2**18  # whose lines show the dialect
LONGEST_LINE = 2**26  # bytes
BLANK_CHARACTERS = ' \t\r\n"\x1a'  # the last ends files of DOS
LEAST_BLOCK = 2**22  # bytes that are parsed at once, at least


class TextTable:
    """A text table that is read once: its dialect, then its examples.

    Empty lines, and those with empty cells alone, are not examples.
    """

    def __init__(self, path: Path, content: io.BufferedReader, options: ReadOptions):
        self._path = path
        self._reader = Utf8Reader(content, path, options.encoding)
        sample = self._read_sample()
        self.dialect = detect(path, sample, options.separator, options.header, options.target)
        self._longest_line = max(map(len, sample.splitlines()), default=0)
        self._reader.push_back(sample[self.dialect.begins :].encode())

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([(name, pa.string()) for name in self.dialect.names])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The examples. Raises `Unreadable` where a line is not as the others; `fault` names it."""
        names = list(self.dialect.names)
        lines = _WatchedEnd(self._reader if self.dialect.is_tidy else _Tidied(self._reader, self.dialect))
        last = None
        try:
            reader = pa.csv.open_csv(
                lines,
                pa.csv.ReadOptions(column_names=names, block_size=self._block_size),
                pa.csv.ParseOptions(
                    delimiter=self.dialect.separator,
                    newlines_in_values=True,
                    invalid_row_handler=self._judge,
                ),
                pa.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
                ),
            )
            for batch in reader:
                batch = without_empty_rows(_trimmed(batch) if self.dialect.spaced else batch)
                last = batch if batch.num_rows else last
                if batch.num_rows:
                    yield batch
        except pa.ArrowInvalid as e:
            if "Empty CSV file" in str(e):
                return
            raise Unreadable(str(e)) from e
        if last is not None and _ends_within_quotes(last, lines.end):
            raise Unreadable("a quote is never closed")

    @property
    def _block_size(self) -> int:
        return min(LONGEST_LINE, max(LEAST_BLOCK, 8 * self._longest_line))

    def _judge(self, row: pa.csv.InvalidRow) -> str:
        """What to do with a line that has more or fewer cells than the names."""
        is_blank = not row.text.strip(BLANK_CHARACTERS + self.dialect.separator)
        return "skip" if is_blank else "error"

    def _read_sample(self) -> str:
        """The first whole lines."""
        sample = b""
        while len(sample) < SAMPLE_BYTES or not end_of_lines(sample) and len(sample) < LONGEST_LINE:
            piece = self._reader.read(SAMPLE_BYTES)
            sample += piece or b""
            if not piece:
                return sample.decode()
        end = end_of_lines(sample)
        if not end:
            raise UserError(f"{self._path}: line 1 has more than {LONGEST_LINE:,} bytes: is it a table?")
        self._reader.push_back(sample[end:])
        return sample[:end].decode()

    def rows(self, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
        """(number of its last line, cells) of every row, whatever its length, as Python's csv reads them."""
        text = io.TextIOWrapper(io.BufferedReader(self._reader), encoding="utf-8", newline="")
        lines = (self.dialect.tidy(line) for line in text)
        before = self.dialect.first_line - 1
        reader = self.dialect.cells(lines, strict)
        begins = before + 1
        with allow_long_cells():
            try:
                for row in reader:
                    begins = before + reader.line_num + 1
                    if not _is_blank(row, len(self.dialect.names)):
                        yield before + reader.line_num, row
            except csv.Error as e:
                raise UserError(f"{self._path}, line {begins}: {explain_csv_error(str(e))}") from e

    def fault(self) -> UserError | None:
        """The first line that is not as the others, as a sentence; None if Python's csv finds none."""
        names = self.dialect.names
        where = f"the first line has {len(names)}" if self.dialect.begins else f"the first has {len(names)}"
        try:
            for line, row in self.rows(strict=True):
                if len(row) != len(names):
                    count = "1 cell" if len(row) == 1 else f"{len(row)} cells"
                    hint = _hint(self.dialect, list(names), row)
                    return UserError(f"{self._path}, line {line}: {count}, but {where}{hint}")
        except UserError as e:
            return e
        return None


class Unreadable(Exception):
    """pyarrow stopped at a line; Python's csv can say which."""


def _hint(dialect: Dialect, names: list[str], row: list[str]) -> str:
    if len(row) == len(names) + 1 and not row[-1].strip():
        return f": remove the '{dialect.separator}' at the end of the line"
    if len(row) > len(names) > 1:
        return ": a cell that holds the separator stands in double quotes"
    return first_line_hint(names)


def _is_blank(row: list[str], width: int) -> bool:
    return not any(row) if len(row) == width else not "".join(row).strip(BLANK_CHARACTERS)


def _trimmed(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [pc.utf8_trim_whitespace(column) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _ends_within_quotes(batch: pa.RecordBatch, end: bytes) -> bool:
    """Whether the last cell ran to the end of the file in search of its closing quote."""
    last_cell = batch.columns[-1][-1].as_py()
    return ("\n" in last_cell or "\r" in last_cell) and not end.rstrip().endswith(b'"')


def end_of_lines(text: bytes) -> int:
    return max(text.rfind(b"\n"), text.rfind(b"\r", 0, -1)) + 1


class _WatchedEnd(io.RawIOBase):
    """Passes bytes on, and keeps the last ones."""

    def __init__(self, source):
        self._source, self.end = source, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        count = self._source.readinto(buffer)
        if count:
            self.end = (self.end + bytes(buffer[max(0, count - 64) : count]))[-64:]
        return count


class _Tidied(io.RawIOBase):
    """The lines of a reader as pyarrow understands them."""

    def __init__(self, source: Utf8Reader, dialect: Dialect):
        self._source, self._dialect = source, dialect
        self._tidy, self._unfinished = memoryview(b""), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        while not self._tidy:
            piece = self._source.read(2**20) or b""
            text = self._unfinished + piece
            end = end_of_lines(text) if piece else len(text)
            self._unfinished = text[end:]
            if len(self._unfinished) > LONGEST_LINE:
                raise Unreadable("a line is too long")
            if not piece and not text:
                return 0
            self._tidy = memoryview(self._dialect.tidy(text[:end].decode()).encode())
        count = min(len(buffer), len(self._tidy))
        buffer[:count], self._tidy = self._tidy[:count], self._tidy[count:]
        return count
