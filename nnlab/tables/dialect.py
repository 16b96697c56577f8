"""How a text table is written, judged by its first lines: separator, comments on top, names of columns."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from pathlib import Path

from nnlab.data.cells import cell_kind, is_number
from nnlab.data.csv_rows import allow_long_cells
from nnlab.data.headers import LINES_COMPARED, is_doubtful_header, is_header
from nnlab.errors import UserError, advise, shortened

# In the order in which they are preferred: a decimal comma stands between semicolons, not the reverse.
SEPARATORS = {"tab": "\t", "semicolon": ";", "pipe": "|", "comma": ",", "blank": " "}
COMMENT_MARKS = ("#", "%", "//")
SPREADSHEET_LINE = re.compile(r"\s*\"?sep=(.)\"?\s*")  # sep=; which spreadsheets write and read
LEAST_REGULAR_SHARE = 0.5  # of lines with as many cells as most have; below it, blanks may separate
MOST_TITLE_ROWS = 10
BLANKS, QUOTED_OR_BLANKS = re.compile(r"[ \t]+"), re.compile(r'("(?:[^"]|"")*")|[ \t]+')
BLANKS_AT_ENDS = re.compile(r"^[ \t]+|[ \t]+$", re.MULTILINE)
NUMBERS_AND_DATES = ("comma", "thousands", "date")  # kinds of cells that are seldom names above their like
YEAR = re.compile(r"(1[5-9]|20)\d\d")
LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")


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
            return _single_blanks(lines)
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
    separator = _separator_character(separator) or named_separator or _separator(body)
    dialect = Dialect(separator, (), 0, 1)
    rows = _first_rows(path, body, dialect)
    begins_blank = [any(cell[:1] == " " for cell in row[1:]) for row in rows]
    if 2 * sum(begins_blank) > len(rows):
        dialect = replace(dialect, spaced=True)
        rows = _first_rows(path, body, dialect)
    if not rows:
        raise UserError(f"{path} is empty")
    title, names = title_and_names(path, rows, header, target)
    top += _length_of_rows(body, dialect, title + bool(names))
    first_row, next_rows = rows[title], rows[title + 1 :]
    width = Counter(map(len, next_rows)).most_common(1)[0][0] if next_rows else len(first_row)
    if not names:
        names = _names_in_comment(comments, separator, len(first_row))
    if 1 < len(names) == width - 1:
        names = _complete(names, next_rows)
    names = unique_names(path, names) if names else tuple(map(str, range(len(first_row))))
    return replace(dialect, names=names, begins=top, first_line=len(_lines(sample[:top])) + 1)


def title_and_names(path: Path, rows: list[list[str]], header: bool | str, target) -> tuple[int, list[str]]:
    """How many of the first rows are a title; and the names in the row below, or [] if that is an example."""
    title = _title_rows(rows)
    if title:
        shown = shortened(" ".join(cell for row in rows[:title] for cell in row if cell))
        advise(f"{path}: the text on top, '{shown}', is taken for a title and left out")
    first_row, *next_rows = rows[title:]
    named = header is True or header == "auto" and _is_header(path, first_row, next_rows, target)
    return title, first_row if named else []


def _first_rows(path: Path, body: str, dialect: Dialect) -> list[list[str]]:
    """The first rows that are not empty."""
    with allow_long_cells():
        reader = dialect.cells(io.StringIO(dialect.tidy(body), newline=""))
        try:
            return [row for row in islice(reader, 1 + LINES_COMPARED) if "".join(row).strip()]
        except csv.Error as e:
            raise UserError(f"{path} is not a table: {e}") from e


def _title_rows(rows: list[list[str]]) -> int:
    """How many rows on top have nothing but their first cell, above rows of several."""
    filled = [sum(bool(cell.strip()) for cell in row) for row in rows]
    title = next((i for i, row in enumerate(rows) if filled[i] != 1 or not row[0].strip()), len(rows))
    below = filled[title:]
    is_table = len(below) > 1 and 2 * sum(count > 1 for count in below) > len(below)
    return title if title <= MOST_TITLE_ROWS and is_table else 0


def unique_names(path: Path, names: list[str]) -> tuple[str, ...]:
    """The names of columns: one without a name gets its number, a second 'a' becomes 'a.1', as in pandas."""
    names = [name.strip() or f"column {i}" for i, name in enumerate(names)]
    taken, unique, doubled = set(names), [], []
    seen: Counter[str] = Counter()
    for name in names:
        new, number = name, seen[name]
        seen[name] += 1
        if number:
            doubled.append(name)
            while (new := f"{name}.{number}") in taken:
                number += 1
            taken.add(new)
            seen[name] = number + 1
        unique.append(new)
    if doubled:
        first = shortened(doubled[0])
        advise(f"{path} has the column '{first}' more than once: the second is called '{first}.1'")
    return tuple(unique)


def _lines(text: str) -> list[str]:
    return [match[0] for match in LINE.finditer(text) if match[0]]


def _separator_character(separator: str) -> str | None:
    """`comma` or `,` as `,`; None for `auto`."""
    if separator == "auto":
        return None
    character = SEPARATORS.get(separator, separator)
    character = "\t" if character == "\\t" else character
    if len(character) != 1 or not character.isascii() or character in '"\r\n' or character.isalnum():
        raise UserError(
            f"data.separator = '{shortened(separator)}': expected auto, {', '.join(SEPARATORS)}, or a "
            f"character"
        )
    return character


def _skip_top(sample: str) -> tuple[int, list[str], str | None]:
    """How many characters the comments and empty lines on top have; the comments; the separator they name."""
    top, comments, separator = 0, [], None
    for match in LINE.finditer(sample):
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
    separator = _separator(body)
    cells = line.split(separator)
    width = len(LINE.match(body)[0].split(separator))
    return len(cells) == width > 1 and cells[0].strip(' "') in COMMENT_MARKS


def _separator(body: str) -> str:
    """The character that splits most lines into equally many cells."""
    regular = {}
    with allow_long_cells():
        for character in SEPARATORS.values():
            if character == " " and any(share >= LEAST_REGULAR_SHARE for share in regular.values()):
                break
            lines = _single_blanks(body) if character == " " else body
            share = _regular_share(lines, character)
            if share:
                regular[character] = share
    if not regular:
        return ","
    return max(regular, key=lambda character: regular[character])  # the first of equals


def _regular_share(lines: str, separator: str) -> float:
    """The share of lines with as many cells as most lines have; 0 if those have one cell."""
    try:
        reader = csv.reader(io.StringIO(lines, newline=""), delimiter=separator)
        counts = [len(row) for row in islice(reader, 1 + LINES_COMPARED) if "".join(row).strip()]
    except csv.Error:
        return 0.0
    if not counts:
        return 0.0
    width = Counter(counts[1:] or counts).most_common(1)[0][0]
    # R writes no name above the names of its rows.
    fits_first = counts[0] in (width, width - 1) and counts[0] > 1
    return 0.0 if width < 2 else (sum(count == width for count in counts[1:]) + fits_first) / len(counts)


def _is_header(path: Path, first_row: list[str], next_rows: list[list[str]], target) -> bool:
    """Whether the first row has names; says so where that is doubtful."""
    shown = shortened(", ".join(first_row))
    below = [row for row in next_rows if len(row) == len(first_row)]
    if not is_header(first_row, below, target) and not _are_years(first_row):
        return False
    kinds = [cell_kind(cell) for cell in first_row]
    for kind, column in zip(kinds, zip(*below, strict=True), strict=bool(below)):
        if kind in NUMBERS_AND_DATES and 2 * [cell_kind(cell) for cell in column].count(kind) > len(column):
            return False
    columns = [(cell.strip(), {row[i].strip() for row in below}) for i, cell in enumerate(first_row)]
    again = sum(cell in column for cell, column in columns if cell)
    if 2 * again > sum(bool(cell) for cell, _ in columns):
        advise(f"{path}: the first line, {shown}, is taken for an example, since its words come again below")
        return False
    if is_doubtful_header(first_row, target):
        advise(f"{path}: the first line, {shown}, is taken for the names of the columns")
    return True


def _are_years(row: list[str]) -> bool:
    """Whether the numbers of a row are years that follow each other: names of columns, seldom an example."""
    years = [int(cell) for cell in row if YEAR.fullmatch(cell.strip())]
    numbers = sum(map(is_number, row))
    return len(years) == numbers >= 2 and {abs(a - b) for a, b in pairwise(years)} == {1}


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
    cells = next(csv.reader([_single_blanks(line) if separator == " " else line], delimiter=separator), [])
    return cells if len(cells) == width > 1 else []


def _complete(names: list[str], rows: list[list[str]]) -> list[str]:
    """Names for rows that have a cell more: R's row names at the left, or a separator at the lines' ends."""
    long = [row for row in rows if len(row) == len(names) + 1]
    at_end = all(not row[-1].strip() for row in long)
    return [*names, ""] if at_end else ["", *names]


def _single_blanks(lines: str) -> str:
    """The lines with one blank between cells, outside of quotes, and none at their ends."""
    lines = BLANKS_AT_ENDS.sub("", lines.replace("\r\n", "\n"))
    if '"' not in lines:
        return BLANKS.sub(" ", lines)
    return QUOTED_OR_BLANKS.sub(lambda match: match[1] or " ", lines)
