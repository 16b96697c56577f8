"""Tables and lines that fit a terminal of 80 columns; commands that can be copied from it."""

from __future__ import annotations

import shlex
import textwrap

from nnlab.records.text import shell_word

LINE_WIDTH = 80  # letters
LABEL_WIDTH = 19  # letters of a label before what it labels
COLUMN_GAP = "  "
CELL_LETTERS = 40  # letters of a cell, of which the middle is left out if there are more
COPY_INDENT = "    "  # what lines to copy begin with: nothing breaks these


def table(heads: list[str], rows: list[list[str]], left: int = 0) -> list[str]:
    """Lines of a table, the first `left` columns aligned left, the others right.

    If it is too wide, its heads are folded, then those that are keys are shortened to their last
    word where that is unambiguous; in the end it goes on below itself, its first column repeated.
    """
    rows = [[shortened(cell) for cell in row] for row in rows]
    named = short_names(heads)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(heads)
    for folded in ([[head] for head in heads], [*map(_folded, heads)], [*map(_folded, named)]):
        widths = [max(map(len, [*head, *column])) for head, column in zip(folded, columns, strict=True)]
        if _width(widths) <= LINE_WIDTH:
            return _laid_out(folded, rows, widths, left)
    lines = []
    for block in _blocks(widths):
        part = [[row[i] for i in block] for row in rows]
        lines += ["", *_laid_out([folded[i] for i in block], part, [widths[i] for i in block], left)]
    return lines[1:]  # without the empty line before the first block


def short_names(keys: list[str]) -> list[str]:
    """`lr` for `optimizer.lr`, where no other key ends so."""
    lasts = [key.rpartition(".")[2] for key in keys]
    return [last if lasts.count(last) == 1 else key for key, last in zip(keys, lasts, strict=True)]


def shortened(text: str, longest: int = CELL_LETTERS) -> str:
    """The text, or its beginning and its end."""
    over = len(text) - longest
    if over <= 0:
        return text
    keep = longest - 3
    return f"{text[: keep - keep // 2]}...{text[len(text) - keep // 2 :]}"


def wrapped(line: str) -> list[str]:
    """The line, broken between words if it is too long; what follows a label stays in its column, unless a
    word is too long for that."""
    if len(line) <= LINE_WIDTH or line.startswith(COPY_INDENT):
        return [line]
    text = line.lstrip(" ")
    margin = line[: len(line) - len(text)]
    label, gap, rest = (text if margin else "").partition(COLUMN_GAP)
    if not gap:
        return _filled(text, margin, margin)
    rest = rest.lstrip(" ")
    before = line[: len(line) - len(rest)]
    if len(before) + max(map(len, rest.split())) > LINE_WIDTH:  # too long to stand beside its label
        return [margin + label, COPY_INDENT + rest]
    return _filled(rest, before, " " * len(before))


def _filled(text: str, first: str, others: str) -> list[str]:
    return textwrap.wrap(
        text, LINE_WIDTH, initial_indent=first, subsequent_indent=others, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def labelled(label: str, text) -> list[str]:
    """A label and its text."""
    return wrapped(f"  {label + ' ':<{LABEL_WIDTH}}{text}")


def command(label: str, line: str) -> list[str]:
    """A command to copy: in lines that a shell joins again, if it is too long for one."""
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


def _folded(head: str) -> list[str]:
    """`validation loss` and `optimizer.lr` in two lines."""
    return head.replace(".", ". ").split() or [""]


def _blocks(widths: list[int]) -> list[list[int]]:
    """Which columns stand beside each other: as many as fit, each time with the first."""
    blocks = [[0]]
    for i in range(1, len(widths)):
        if len(blocks[-1]) > 1 and _width([widths[k] for k in [*blocks[-1], i]]) > LINE_WIDTH:
            blocks.append([0])
        blocks[-1].append(i)
    return blocks


def _laid_out(heads: list[list[str]], rows: list[list[str]], widths: list[int], left: int) -> list[str]:
    height = max(map(len, heads))
    heads = [[""] * (height - len(head)) + head for head in heads]  # they stand on the first row
    lines = []
    for cells in [*zip(*heads, strict=True), *rows]:
        aligned = [f"{cell:<{width}}" for cell, width in zip(cells[:left], widths, strict=False)]
        aligned += [f"{cell:>{width}}" for cell, width in zip(cells[left:], widths[left:], strict=True)]
        lines.append("".join(COLUMN_GAP + cell for cell in aligned).rstrip())
    return lines
