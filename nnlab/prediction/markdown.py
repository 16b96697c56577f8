"""Text from data in Markdown: a stranger's label must become neither a link nor HTML."""

from __future__ import annotations

import re

from nnlab.errors import visible


def code(text: str) -> str:
    """The text as a span of code, in which Markdown and HTML mean nothing.

    >>> print(code("a`b"), code("<b>"))
    `` a`b `` `<b>`
    """
    text = " ".join(visible(text).split()) or " "
    fence = "`" * (_longest_run(text) + 1)
    gap = " " * (fence != "`" or text.startswith("`") or text.endswith("`"))
    return f"{fence}{gap}{text}{gap}{fence}"


def code_block(text: str, language: str = "") -> str:
    """Lines of code between fences that no line of them is."""
    text = visible(text)
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def table(headings: list[str], rows: list[list[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [headings, ["---"] * len(headings), *rows]
    # A bar ends a cell, even in code.
    escaped = [[cell.replace("|", "\\|") for cell in cells] for cells in lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in escaped)


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
