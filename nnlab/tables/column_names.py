"""Finds the columns of a table that settings name: by their names, or by their numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from nnlab.errors import UserError, nearest, shortened
from nnlab.suggestions import hint

MOST_NAMES_LISTED = 20  # in an error


@dataclass(frozen=True)
class ColumnNames:
    """The names of the columns of a table; `where` is its file, or what else a sentence calls it."""

    names: tuple[str, ...]
    where: str

    def find(self, key: str, value: str | int) -> str:
        """The name of the column that the setting `key` means. A number counts from 0, or from -1 at the end.

        Raises `UserError` with the nearest name.
        """
        if str(value) in self.names:
            return str(value)
        if re.fullmatch(r"-?\d{1,9}", str(value)) and -len(self.names) <= int(value) < len(self.names):
            return self.names[int(value)]
        raise UserError(
            f"{key} = {_shown(value)}: {self.where} has no such column{self._allowed(str(value))}"
        )

    def find_all(self, key: str, values: Iterable[str | int]) -> tuple[str, ...]:
        return tuple(self.find(key, value) for value in values)

    def target(self, value: str | int | None) -> str:
        """The name of the target. Raises `UserError` if there is none."""
        if len(self.names) < 2:
            only = shortened(self.names[0])
            raise UserError(f"{self.where} has only one column, '{only}': expected inputs and a target")
        if value is None:
            allowed = nearest("", self.names) if len(self.names) <= MOST_NAMES_LISTED else ""
            raise UserError(f"data.target = null: {self.where} needs the name of its target column{allowed}")
        return self.find("data.target", value)

    def _allowed(self, value: str) -> str:
        near = hint(shortened(value), list(self.names))
        if near:
            return near
        if len(self.names) <= MOST_NAMES_LISTED:
            return f"; it has {', '.join(shortened(name) for name in self.names)}"
        first, last = shortened(self.names[0]), shortened(self.names[-1])
        return f"; it has {len(self.names):,}, from '{first}' to '{last}'"


def _shown(value) -> str:
    return f"'{shortened(value)}'" if isinstance(value, str) else str(value)
