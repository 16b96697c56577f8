"""A graph as a table of 80 columns: a line for each box, and what all of them come to."""

from __future__ import annotations

import re

from nnlab.errors import visible
from nnlab.records.graph_nodes import ShownGraph, ShownNode
from nnlab.records.text_columns import COLUMN_GAP, LINE_WIDTH, labelled_lines

HEADINGS = ("name", "box", "reads", "shape", "parameters", "multiply-adds")
NUMBERS = ("parameters", "multiply-adds")  # aligned right
GRADIENT_TITLES = ("the gradient", "the gradient of <gradient, v>: the Hessian times v")
# If the table is too wide, columns narrow down to this, one after the other, and their cells are wrapped.
LEAST_WIDTHS = {"multiply-adds": 9, "reads": 13, "box": 14, "name": 12, "shape": 9}
PIECES = re.compile(r"[^\s._-]*[\s._-]?")  # of a cell, between which it may be broken


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
    for count, more in zip(counts[1:], ("for the gradient", "for the second gradient"), strict=False):
        text += f", {count:,} more {more}"
    lines += labelled_lines("multiply-adds", text)
    lines += labelled_lines("loss", graph.loss)
    if graph.left_out:
        names = ", ".join(map(visible, graph.left_out))
        lines += labelled_lines("left out", f"{names}: without effect with these settings")
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
    widths = dict(zip(rows[0], (max(map(len, column)) for column in zip(*rows, strict=True)), strict=True))
    longest = {heading: max(map(len, column[1:])) for heading, *column in zip(rows[0], *rows, strict=True)}
    for heading, least in LEAST_WIDTHS.items():
        excess = sum(widths.values()) + len(COLUMN_GAP) * len(widths) - LINE_WIDTH
        if excess > 0 and heading in widths:
            least = max(least, longest[heading]) if heading in NUMBERS else least
            widths[heading] = max(min(widths[heading], least), widths[heading] - excess)
    return [line for row in rows for line in _row_lines(row, widths)]


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
    """The cell in lines, broken behind a space, a dot, an underscore or a hyphen; further lines are
    indented."""
    lines = [""]
    for piece in PIECES.findall(cell):
        if len(lines[-1] + piece.rstrip()) > width and lines[-1].strip():
            lines.append(" ")
        lines[-1] += piece
        while len(lines[-1].rstrip()) > width:
            lines[-1:] = [lines[-1][:width], f" {lines[-1][width:]}"]
    return [line.rstrip() for line in lines]
