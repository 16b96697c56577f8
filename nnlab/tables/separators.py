"""Which character stands between the cells of a text table."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from itertools import islice

from nnlab.data.csv_rows import allow_long_cells
from nnlab.data.headers import LINES_COMPARED
from nnlab.errors import UserError, shortened

# In the order in which they are preferred: a decimal comma stands between semicolons, not the reverse.
SEPARATOR_CHARACTERS = {"tab": "\t", "semicolon": ";", "pipe": "|", "comma": ",", "blank": " "}
LEAST_REGULAR_SHARE = 0.5  # of lines with as many cells as most have; below it, blanks may separate
BLANK_RUN, QUOTED_OR_BLANKS = re.compile(r"[ \t]+"), re.compile(r'("(?:[^"]|"")*")|[ \t]+')
BLANKS_AT_ENDS = re.compile(r"^[ \t]+|[ \t]+$", re.MULTILINE)


def separator_character(separator: str) -> str | None:
    """`comma` or `,` as `,`; None for `auto`."""
    if separator == "auto":
        return None
    character = SEPARATOR_CHARACTERS.get(separator, separator)
    character = "\t" if character == "\\t" else character
    if len(character) != 1 or not character.isascii() or character in '"\r\n' or character.isalnum():
        raise UserError(
            f"data.separator = '{shortened(separator)}': expected auto, {', '.join(SEPARATOR_CHARACTERS)}, "
            f"or a character"
        )
    return character


def detect_separator(body: str) -> str:
    """The character that splits most lines into equally many cells."""
    regular = {}
    with allow_long_cells():
        for character in SEPARATOR_CHARACTERS.values():
            if character == " " and any(share >= LEAST_REGULAR_SHARE for share in regular.values()):
                break
            lines = single_blanks(body) if character == " " else body
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


def single_blanks(lines: str) -> str:
    """The lines with one blank between cells, outside of quotes, and none at their ends."""
    lines = BLANKS_AT_ENDS.sub("", lines.replace("\r\n", "\n"))
    if '"' not in lines:
        return BLANK_RUN.sub(" ", lines)
    return QUOTED_OR_BLANKS.sub(lambda match: match[1] or " ", lines)
