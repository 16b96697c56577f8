"""How a text table is written, judged by its first lines."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from nnlab.data.csv_rows import allow_long_cells
from nnlab.data.headers import LINES_COMPARED
from nnlab.errors import UserError
from nnlab.tables.first_rows import complete_names, title_and_names, unique_names
from nnlab.tables.separators import detect_separator, separator_character, single_blanks

MOST_COLUMNS = 2**17  # each takes some kilobytes, whatever is in it
COMMENT_MARKS = ("#", "%", "//")
SPREADSHEET_LINE = re.compile(r"\s*\"?sep=(.)\"?\s*")  # sep=; which spreadsheets write and read
LINE_PATTERN = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")


@dataclass(frozen=True)
class Dialect:
    """How a text table is written.

    begins      characters before the first example: comments, names
    first_line  the number of the line where the first example begins, from 1
    spaced      blanks stand between separators and cells
    """

    separator: str
    names: tuple[str, ...]
    begins: int
    first_line: int
    spaced: bool = False

    def tidy(self, lines: str) -> str:
        """Whole lines, without the blanks that a reader of cells does not understand."""
        if self.separator == " ":
            return single_blanks(lines)
        if self.spaced:
            return re.sub(f'(?<={re.escape(self.separator)}) +"', '"', lines)
        return lines

    @property
    def is_tidy(self) -> bool:
        return self.separator != " " and not self.spaced

    def cells(self, lines, strict: bool = False) -> csv.reader:
        """The rows of cells of lines that are tidy; `strict` raises `csv.Error` for wrong quotes."""
        return csv.reader(lines, delimiter=self.separator, strict=strict)


def detect(
    path: Path, sample: str, separator: str = "auto", header: bool | str = "auto", target=None
) -> Dialect:
    """The dialect of a table that begins with `sample`, whole lines. Raises `UserError`."""
    if "\0" in sample:
        raise UserError(f"{path} is not a table: it holds zero bytes")
    top, comments, named_separator = _skip_top(sample)
    body = sample[top:]
    if not body.strip():
        raise UserError(f"{path} has no lines but comments" if comments else f"{path} is empty")
    separator = separator_character(separator) or named_separator or detect_separator(body)
    dialect = Dialect(separator, (), 0, 1)
    rows = _first_rows(path, body, dialect)
    begins_blank = [any(cell[:1] == " " for cell in row[1:]) for row in rows]
    if 2 * sum(begins_blank) > len(rows):
        dialect = replace(dialect, spaced=True)
        rows = _first_rows(path, body, dialect)
    if not rows:
        raise UserError(f"{path} is empty")
    if len(rows[0]) > MOST_COLUMNS:
        raise UserError(f"{path} has {len(rows[0]):,} columns, and at most {MOST_COLUMNS:,} can be read")
    title, names = title_and_names(path, rows, header, target)
    top += _length_of_rows(body, dialect, title + bool(names))
    first_row, next_rows = rows[title], rows[title + 1 :]
    width = Counter(map(len, next_rows)).most_common(1)[0][0] if next_rows else len(first_row)
    if not names:
        names = _names_in_comment(comments, separator, len(first_row))
    if 1 < len(names) == width - 1:
        names = complete_names(names, next_rows)
    names = unique_names(path, names) if names else tuple(map(str, range(len(first_row))))
    return replace(dialect, names=names, begins=top, first_line=len(_lines(sample[:top])) + 1)


def _first_rows(path: Path, body: str, dialect: Dialect) -> list[list[str]]:
    """The first rows that are not empty."""
    with allow_long_cells():
        reader = dialect.cells(io.StringIO(dialect.tidy(body), newline=""))
        try:
            return [row for row in islice(reader, 1 + LINES_COMPARED) if "".join(row).strip()]
        except csv.Error as e:
            raise UserError(f"{path} is not a table: {e}") from e


def _lines(text: str) -> list[str]:
    return [match[0] for match in LINE_PATTERN.finditer(text) if match[0]]


def _skip_top(sample: str) -> tuple[int, list[str], str | None]:
    """How many characters the comments and empty lines on top have; the comments; the separator they name."""
    top, comments, separator = 0, [], None
    for match in LINE_PATTERN.finditer(sample):
        line = match[0]
        if (named := SPREADSHEET_LINE.fullmatch(line.rstrip("\r\n"))) and not comments:
            separator = named[1]
        elif line.startswith(COMMENT_MARKS):
            comments.append(line.strip())
        elif line.strip() or match.end() == match.start():
            break
        top = match.end()
    if len(comments) == 1 and _is_name(comments[0], sample[top:]):
        return 0, [], separator  # '#' is the name of the first column
    return top, comments, separator


def _is_name(line: str, body: str) -> bool:
    """Whether a mark stands alone in the first cell of the line, above cells of as many columns."""
    separator = detect_separator(body)
    cells = line.split(separator)
    width = len(LINE_PATTERN.match(body)[0].split(separator))
    return len(cells) == width > 1 and cells[0].strip(' "') in COMMENT_MARKS


def _length_of_rows(body: str, dialect: Dialect, count: int) -> int:
    """How many characters the first rows have, and the empty lines above them."""
    length = quotes = 0
    if not count:
        return 0
    for line in _lines(body):
        length += len(line)
        quotes += line.count('"')
        if line.strip(f" \t\r\n{dialect.separator}") and quotes % 2 == 0:  # else the row goes on
            count -= 1
            if not count:
                break
    return length


def _names_in_comment(comments: list[str], separator: str, width: int) -> list[str]:
    """The names of columns in the last comment, as numpy.savetxt writes them; [] if there are none."""
    if not comments:
        return []
    line = comments[-1].lstrip("#%/").strip()
    cells = next(csv.reader([single_blanks(line) if separator == " " else line], delimiter=separator), [])
    return cells if len(cells) == width > 1 else []
