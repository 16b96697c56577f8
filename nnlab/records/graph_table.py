"""A graph as a table of 80 columns: a line for each box, and what all of them come to."""

from __future__ import annotations

import re

from nnlab.errors import visible
from nnlab.records.graph_nodes import ShownGraph, ShownNode
from nnlab.records.text_columns import COLUMN_GAP, LINE_WIDTH, labelled_lines

HEADINGS = ("name", "box", "reads", "shape", "parameters", "multiply-adds")
READS = HEADINGS.index("reads")
NUMBER_COLUMNS = 2  # at the end, aligned right
# If the table is too wide, columns narrow down to this, one after the other, and their cells are wrapped.
LEAST_WIDTHS = {"multiply-adds": 9, "reads": 13, "box": 14, "name": 12, "shape": 9}
PIECES = re.compile(r"[^\s._-]*[\s._-]?")  # of a cell, between which it may be broken


def table_lines(graph: ShownGraph) -> list[str]:
    """The boxes in order, without the leaves. What one reads is said where it is not the line above."""
    boxes = [node for node in graph.nodes if not node.is_leaf]
    rows = [[*HEADINGS], *(_cells(node, above) for node, above in zip(boxes, [None, *boxes], strict=False))]
    if not any(row[READS] for row in rows[1:]):
        rows = [[cell for i, cell in enumerate(row) if i != READS] for row in rows]
    return _lay_out(rows)


def total_lines(graph: ShownGraph) -> list[str]:
    """What all boxes come to, the loss behind them, and what was left out."""
    lines = labelled_lines("parameters", f"{graph.parameter_count:,}")
    lines += labelled_lines("multiply-adds", f"{graph.multiply_adds:,} per example, forward")
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
    numbers = max((len(row[-1]) for row in rows[1:]), default=0)
    for heading, least in LEAST_WIDTHS.items():
        excess = sum(widths.values()) + len(COLUMN_GAP) * len(widths) - LINE_WIDTH
        if excess > 0 and heading in widths:
            least = max(least, numbers) if heading == HEADINGS[-1] else least
            widths[heading] = max(min(widths[heading], least), widths[heading] - excess)
    return [line for row in rows for line in _row_lines(row, list(widths.values()))]


def _row_lines(row: list[str], widths: list[int]) -> list[str]:
    """A row, in several lines where a cell is wrapped."""
    cells = [_wrap(cell, width) for cell, width in zip(row, widths, strict=True)]
    lines = []
    for n in range(max(map(len, cells))):
        parts = [cell[n] if n < len(cell) else "" for cell in cells]
        sides = "<" * (len(parts) - NUMBER_COLUMNS) + ">" * NUMBER_COLUMNS
        aligned = [f"{part:{side}{width}}" for part, side, width in zip(parts, sides, widths, strict=True)]
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
