"""Pieces of SVG as text: rectangles, lines of text, and paths of straight lines and bends."""

from __future__ import annotations

import html

from nnlab.errors import visible
from nnlab.records.graph_layout import Corner

CORNER_RADIUS = 5.0  # points


def svg_rect(x: float, y: float, width: float, height: float, radius: float, style: str) -> str:
    extent = f'x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"'
    return f'<rect class="rect {style}" {extent} rx="{number(radius)}"/>'


def svg_text(x: float, y: float, text: str, style: str) -> str:
    return f'<text class="{style}" x="{number(x)}" y="{number(y)}">{escape(text)}</text>'


def svg_path(corners: list[Corner]) -> str:
    """Straight lines with round corners, and bends."""
    at = corners[0]
    words = [f"M{number(at.x)} {number(at.y)}"]
    for corner, following in zip(corners[1:], [*corners[2:], None], strict=True):
        point = f"{number(corner.x)} {number(corner.y)}"
        if corner.bend and corner.y != at.y:
            middle = number((at.x + corner.x) / 2)
            words.append(f"C{middle} {number(at.y)} {middle} {number(corner.y)} {point}")
        elif following and _turns(at, corner, following):
            words.append(f"L{_towards(corner, at)}Q{point} {_towards(corner, following)}")
        else:
            words.append(f"L{point}")
        at = corner
    return "".join(words)


def _turns(a: Corner, b: Corner, c: Corner) -> bool:
    """Whether straight lines from a to b and on to c make a corner."""
    return not b.bend and not c.bend and (a.x == b.x) != (b.x == c.x)


def _towards(corner: Corner, other: Corner) -> str:
    """The point a little away from the corner."""
    dx, dy = other.x - corner.x, other.y - corner.y
    length = abs(dx) + abs(dy)
    step = min(CORNER_RADIUS, length / 2) / length if length else 0.0
    return f"{number(corner.x + dx * step)} {number(corner.y + dy * step)}"


def escape(text: str) -> str:
    """Text in SVG, without control characters and markup of its own."""
    return html.escape(visible(text))


def number(x: float) -> str:
    """A length, to a tenth of a point."""
    return f"{round(x, 1) + 0:g}"
