"""How a user wants files of tables to be read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReadOptions:
    """The settings of reading.

    separator  auto; comma, semicolon, tab, pipe, blank, or the character itself
    encoding   auto, or a name that Python knows: utf-8, cp1252, utf-16, shift_jis
    header     auto, True, False: whether the first line of a text table has the names of the columns
    target     name or number of the target column: where it stands in the first line, that is a header
    """

    separator: str = "auto"
    encoding: str = "auto"
    header: bool | str = "auto"
    target: str | int | None = None
