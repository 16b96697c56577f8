"""A graph as a table of 80 columns: a line for each box, and what all of them come to."""

from __future__ import annotations

import re

from nnlab.errors import visible
from nnlab.records.graph_nodes import ShownGraph, ShownNode
from nnlab.records.text_columns import COLUMN_GAP, LINE_WIDTH, elide_middle, labelled_lines

HEADINGS = ("name", "box", "reads", "shape", "parameters", "mult-adds")
NUMBERS = ("parameters", "mult-adds")  # aligned right
GRADIENT_TITLES = ("the gradient", "the gradient of <gradient, v>: the Hessian times v")
MORE = ("for the gradient", "for the gradient of <gradient, v>")
WRAPPED = ("box", "reads", "name")  # columns that narrow, one after the other, if the table is too wide
LEAST_WIDTH = 9  # of these, where long names have to lose their middle
PHRASES = re.compile(r"(?<=,) ")  # between which a cell is broken: `kernel 3, stride 2`; if need be, between
WORDS = re.compile(r"(?:\S{1,2} )?\S+(?: \d\S*)?")  # these: `d2 hidden1.weight` and `kernel 3` are one


def table_lines(graph: ShownGraph) -> list[str]:
    """The boxes in order, without the leaves: those of the network, and below these those of its gradient."""
    lines = []
    for part, title in zip(graph.parts, ("", *GRADIENT_TITLES), strict=False):
        lines += ["", f"  {title}"] if title else []
        lines += ["", *_part_lines(part)]
    return lines[1:]


def _part_lines(nodes: list[ShownNode]) -> list[str]:
    """A table of nodes. What one reads is said where it is not the line above."""
    boxes = [node for node in nodes if not node.is_leaf]
    rows = [_cells(node, above) for node, above in zip(boxes, [None, *boxes], strict=False)]
    columns = [i for i in range(len(HEADINGS)) if any(row[i] for row in rows)]
    return _lay_out([[row[i] for i in columns] for row in [[*HEADINGS], *rows]])


def total_lines(graph: ShownGraph) -> list[str]:
    """What all boxes come to, the loss behind them, and what was left out."""
    lines = labelled_lines("parameters", f"{graph.parameter_count:,}")
    counts = [sum(node.multiply_adds for node in part) for part in graph.parts]
    text = f"{counts[0]:,} per example"
    for count, more in zip(counts[1:], MORE, strict=False):
        text += f", {count:,} more {more}"
    text += f": {sum(counts):,} in all" * (len(counts) > 1)
    lines += labelled_lines("multiply-adds", text)
    lines += labelled_lines("loss", graph.loss)
    reasons = (
        (graph.left_out, "without effect with these settings"),
        (graph.built_in, "built into the loss"),
    )
    for names, reason in reasons:
        if names:
            lines += labelled_lines("left out", f"{', '.join(map(visible, names))}: {reason}")
    return lines


def _cells(node: ShownNode, above: ShownNode | None) -> list[str]:
    reads = node.values_read
    is_chained = above is not None and reads == [above.name]
    text = "" if node.kind == "input" else node.text
    return [
        visible(node.name), visible(text), "" if is_chained else visible(", ".join(reads)), node.shape_text,
        f"{node.parameters:,}" if node.parameters else "",
        f"{node.multiply_adds:,}" if node.multiply_adds else "",
    ]  # fmt: skip


def _lay_out(rows: list[list[str]]) -> list[str]:
    columns = dict(zip(rows[0], zip(*rows, strict=True), strict=True))
    widths = _widths(columns)
    return [line for row in rows for line in _row_lines(row, widths)]


def _widths(columns: dict[str, tuple[str, ...]]) -> dict[str, int]:
    """As wide as the cells; where a line is too short for these, as their longest phrases; for these, as
    their longest words; and for these, what fits."""
    widths = {heading: max(map(len, cells)) for heading, cells in columns.items()}
    wrapped = [heading for heading in WRAPPED if heading in widths]

    def excess() -> int:
        return sum(widths.values()) + len(COLUMN_GAP) * len(widths) - LINE_WIDTH

    for pieces in (PHRASES.split, WORDS.findall):
        for heading in wrapped:
            least = max(len(piece) for cell in columns[heading] for piece in pieces(cell) or [""])
            widths[heading] = max(least, widths[heading] - max(excess(), 0))
    while excess() > 0 and max(widths[heading] for heading in wrapped) > LEAST_WIDTH:
        widths[max(wrapped, key=widths.get)] -= 1
    return widths


def _row_lines(row: list[str], widths: dict[str, int]) -> list[str]:
    """A row, in several lines where a cell is wrapped."""
    cells = [_wrap(cell, width) for cell, width in zip(row, widths.values(), strict=True)]
    lines = []
    for n in range(max(map(len, cells))):
        parts = [cell[n] if n < len(cell) else "" for cell in cells]
        aligned = [
            f"{part:{'>' if heading in NUMBERS else '<'}{width}}"
            for part, (heading, width) in zip(parts, widths.items(), strict=True)
        ]
        lines.append("".join(COLUMN_GAP + part for part in aligned).rstrip())
    return lines


def _wrap(cell: str, width: int) -> list[str]:
    """The cell in lines, broken behind commas, else between words; a longer word loses its middle."""
    lines = [""]
    for piece in _pieces(cell, width):
        joined = f"{lines[-1]} {piece}".lstrip()
        if len(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(piece)
    return lines


def _pieces(cell: str, width: int) -> list[str]:
    pieces = [cell]
    for split in (PHRASES.split, WORDS.findall, str.split):
        pieces = [part for piece in pieces for part in ([piece] if len(piece) <= width else split(piece))]
    return [elide_middle(piece, width) for piece in pieces]
