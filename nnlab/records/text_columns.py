"""Lays out tables, labelled lines and copyable commands for a terminal of 80 columns."""

from __future__ import annotations

import shlex
import textwrap

from nnlab.records.text import shell_word

LINE_WIDTH = 80  # characters
LABEL_WIDTH = 19  # characters of a label, padded
COLUMN_GAP = "  "
CELL_CHARACTERS = 40  # most characters of a cell; longer ones lose their middle
COPY_INDENT = "    "  # begins lines to be copied, which are never wrapped


def table(headings: list[str], rows: list[list[str]], left: int = 0) -> list[str]:
    """The lines of a table, the first `left` columns aligned left, the others right.

    If it is too wide, its headings are folded, then keys among them are shortened to their last part where
    that is unambiguous; finally it is split into blocks below each other that repeat the first column.
    """
    rows = [[elide_middle(cell) for cell in row] for row in rows]
    named = short_names(headings)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(headings)
    for folded in (
        [[head] for head in headings],
        [*map(_fold_heading, headings)],
        [*map(_fold_heading, named)],
    ):
        widths = [max(map(len, [*head, *column])) for head, column in zip(folded, columns, strict=True)]
        if _width(widths) <= LINE_WIDTH:
            return _lay_out(folded, rows, widths, left)
    lines = []
    for block in _column_blocks(widths):
        part = [[row[i] for i in block] for row in rows]
        lines += ["", *_lay_out([folded[i] for i in block], part, [widths[i] for i in block], left)]
    return lines[1:]  # without the empty line before the first block


def short_names(keys: list[str]) -> list[str]:
    """`lr` for `optimizer.lr`, where no other key ends so."""
    lasts = [key.rpartition(".")[2] for key in keys]
    return [last if lasts.count(last) == 1 else key for key, last in zip(keys, lasts, strict=True)]


def elide_middle(text: str, longest: int = CELL_CHARACTERS) -> str:
    """The text, with its middle replaced by "..." if it is too long."""
    excess = len(text) - longest
    if excess <= 0:
        return text
    keep = longest - 3
    return f"{text[: keep - keep // 2]}...{text[len(text) - keep // 2 :]}"


def wrap_line(line: str) -> list[str]:
    """Wrap a line between words; the text behind a label keeps its column unless a word is too long."""
    if len(line) <= LINE_WIDTH or line.startswith(COPY_INDENT):
        return [line]
    text = line.lstrip(" ")
    margin = line[: len(line) - len(text)]
    label, gap, rest = (text if margin else "").partition(COLUMN_GAP)
    if not gap:
        return _fill(text, margin, margin)
    rest = rest.lstrip(" ")
    before = line[: len(line) - len(rest)]
    if len(before) + max(map(len, rest.split())) > LINE_WIDTH:  # too long for a line with its label
        return [margin + label, COPY_INDENT + rest]
    return _fill(rest, before, " " * len(before))


def _fill(text: str, first: str, others: str) -> list[str]:
    return textwrap.wrap(
        text, LINE_WIDTH, initial_indent=first, subsequent_indent=others, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def labelled_lines(label: str, text) -> list[str]:
    """A label and its text, wrapped."""
    return wrap_line(f"  {label + ' ':<{LABEL_WIDTH}}{text}")


def lines_below_label(label: str, text: str) -> list[str]:
    """The same, with the text below a label that is too long for its column."""
    if len(label) < LABEL_WIDTH:
        return labelled_lines(label, text)
    column = " " * (2 + LABEL_WIDTH)
    return [*wrap_line(f"  {label}"), *_fill(text, column, column)]


def command_lines(label: str, line: str) -> list[str]:
    """A label and a command to copy, continued by backslashes if it is too long for a line."""
    words = [*map(shell_word, shlex.split(line))]
    whole = f"  {label + ' ':<{LABEL_WIDTH}}{' '.join(words)}"
    if len(whole) <= LINE_WIDTH:
        return [whole]
    lines = [COPY_INDENT]
    for word in words:
        if lines[-1].strip() and len(lines[-1]) + 1 + len(word) + len(" \\") > LINE_WIDTH:
            deeper = len(COPY_INDENT) + 2 + len(word) <= LINE_WIDTH
            lines.append(COPY_INDENT + "  " * deeper)
        lines[-1] += f" {word}" if lines[-1].strip() else word
    return [f"  {label}", *(f"{text} \\" for text in lines[:-1]), lines[-1]]


def _width(widths: list[int]) -> int:
    return sum(widths) + len(COLUMN_GAP) * len(widths)


def _fold_heading(head: str) -> list[str]:
    """`validation loss` and `optimizer.lr` in two lines."""
    return head.replace(".", ". ").split() or [""]


def _column_blocks(widths: list[int]) -> list[list[int]]:
    """Split the columns into blocks that fit the line, each beginning with the first column."""
    blocks = [[0]]
    for i in range(1, len(widths)):
        if len(blocks[-1]) > 1 and _width([widths[k] for k in [*blocks[-1], i]]) > LINE_WIDTH:
            blocks.append([0])
        blocks[-1].append(i)
    return blocks


def _lay_out(headings: list[list[str]], rows: list[list[str]], widths: list[int], left: int) -> list[str]:
    height = max(map(len, headings))
    headings = [[""] * (height - len(head)) + head for head in headings]  # aligned at the bottom
    lines = []
    for cells in [*zip(*headings, strict=True), *rows]:
        aligned = [f"{cell:<{width}}" for cell, width in zip(cells[:left], widths, strict=False)]
        aligned += [f"{cell:>{width}}" for cell, width in zip(cells[left:], widths[left:], strict=True)]
        lines.append("".join(COLUMN_GAP + cell for cell in aligned).rstrip())
    return lines
