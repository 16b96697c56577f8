"""The boxes of a graph file with their keys, for `nnlab train model=graph --help` and docs/boxes.md.

All is read from the source of the classes, without importing torch: see declarations.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from nnlab.declarations import Declaration, Field, box_declarations

HIDDEN_KEYS = ("stream", "slots")  # of the command's own graphs alone
TITLE = """
  The boxes of a file, with their keys and defaults. Each takes `input` too,
  the box or boxes that it reads (default: the line above it). units=outputs is
  as many as data and loss need. An image is (channels, rows, columns).

"""


@dataclass(frozen=True)
class BoxHelp:
    """A box in words: what it computes, its keys with their defaults, and what each of them takes."""

    name: str
    meaning: str
    keys: tuple[tuple[str, str], ...]  # ("kernel=3", "whole, at least 1; or a list of them")

    @property
    def text(self) -> str:
        return (
            f"{self.meaning}. Keys: {', '.join(key for key, _ in self.keys)}" if self.keys else self.meaning
        )


def boxes() -> list[BoxHelp]:
    """Every box, in alphabetical order."""
    return [BoxHelp(name, _meaning(cls), _keys(cls)) for name, cls in box_declarations().items()]


def box_page(row) -> str:
    """What --help lists below the keys of model=graph; `row` lays out a name and its text."""
    return TITLE + "".join(row(box.name, box.text) for box in boxes())


def markdown_table() -> str:
    """The table of docs/boxes.md."""
    lines = ["| box | meaning | keys, with their defaults |", "|---|---|---|"]
    for box in boxes():
        keys = "; ".join(f"`{key}`" + f" ({allowed})" * bool(allowed) for key, allowed in box.keys)
        cells = (f"`{box.name}`", box.meaning, keys)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _meaning(cls: Declaration) -> str:
    """The first sentence of its docstring, without the derivative."""
    paragraph = " ".join(cls.doc.partition("\n\n")[0].split())
    sentence = re.split(r"(?<=[^A-Z.]\.)(?<! al\.)\s", paragraph, maxsplit=1)[0]
    return re.split(r"[;,] (?:and |every )?d[abxPQW]\w* (?:=|is)", sentence, maxsplit=1)[0].rstrip(".:")


def _keys(cls: Declaration) -> tuple[tuple[str, str], ...]:
    shown = {name: field for name, field in cls.fields.items() if name not in HIDDEN_KEYS}
    return tuple((_with_default(name, field), _allowed(name, field)) for name, field in shown.items())


def _with_default(name: str, field: Field) -> str:
    if field.default is None and "None" not in field.types:
        return f"{name}=..."
    if isinstance(field.default, bool) or field.default is None:
        return f"{name}={ {None: 'null', True: 'true', False: 'false'}[field.default] }"
    return f"{name}={list(field.default) if isinstance(field.default, tuple) else field.default}"


def _allowed(name: str, field: Field) -> str:
    return "any activation" if name == "activation" else str(field)
