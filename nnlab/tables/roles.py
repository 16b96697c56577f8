"""What the columns are that settings name: the target, groups, times, weights, parts of a split."""

from __future__ import annotations

from dataclasses import dataclass

from nnlab.errors import UserError, shortened
from nnlab.tables.column_names import ColumnNames
from nnlab.tables.judged import ReadingSettings
from nnlab.tables.settings import Tabular
from nnlab.tables.source import Source
from nnlab.tables.types import TypeSettings

OPTIONAL_ROLES = ("group", "time", "weight", "part")


@dataclass(frozen=True)
class Roles:
    """The columns that settings name, found in a table."""

    target: str
    drop: tuple[str, ...]
    types: dict[str, str]
    group: str | None
    time: str | None
    weight: str | None
    part: str | None

    @classmethod
    def of(cls, settings: Tabular, source: Source) -> Roles:
        """Raises `UserError` for a column that the table does not have, or that is to be two things."""
        names = ColumnNames(tuple(source.table.column_names), source.name)
        optional = {
            key: None if (value := getattr(settings, key)) is None else names.find(f"data.{key}", value)
            for key in OPTIONAL_ROLES
        }
        types = {names.find(f"data.types.{name}", name): type_ for name, type_ in settings.types.items()}
        drop = names.find_all("data.drop", settings.drop)
        roles = cls(names.target(settings.target), drop, types, **optional)
        roles._refuse_two_meanings()
        return roles

    def _refuse_two_meanings(self) -> None:
        for key, name in self._keys().items():
            if name in self.drop:
                raise UserError(f"data.drop and {key} both name '{shortened(name)}': leave one of them out")
            if name in self.types and key != "data.time":
                raise UserError(f"data.types and {key} both name '{shortened(name)}', which is not an input")
            if key != "data.target" and name == self.target:
                raise UserError(f"data.target and {key} both name '{shortened(name)}'")

    def _keys(self) -> dict[str, str]:
        """key -> the column that it names, of the keys that take one column."""
        named = {f"data.{key}": getattr(self, key) for key in ("target", *OPTIONAL_ROLES)}
        return {key: name for key, name in named.items() if name is not None}

    def type_settings(self, settings: Tabular) -> TypeSettings:
        """What the judgement of columns needs to know."""
        no_inputs = {name: key for key, name in self._keys().items() if key != "data.time"}
        return TypeSettings(self.types, self.drop, no_inputs, self.time, reading_of(settings))


def reading_of(settings: Tabular) -> ReadingSettings:
    """How cells are read."""
    return ReadingSettings(settings.decimal_mark, settings.one_hot, settings.missing)
