"""Reads published tables, each part checked: the YAML may be a stranger's. The shipped ones are those of
nnlab/reproduction/tables; docs/extending.md says how to write one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from nnlab.allowed import LARGEST_COUNT
from nnlab.errors import UserError, nearest
from nnlab.reproduction.published import (
    UNITS,
    VERSIONS,
    Cell,
    Claim,
    Published,
    PublishedTable,
    Version,
    key_of,
    merged,
)
from nnlab.untrusted import is_count, is_number, read_yaml

TABLES_FOLDER = Path(__file__).parent / "tables"
PLACES = ("hydra", "resume", "table", "version", "cells", "plan")  # what only the command line says
TEST_MEASURES = ("test_", "vote_")  # how the names of measures of the test set begin
LEVELS = re.compile(r"\s*([<>])\s*")
KEYS = (
    "title", "source", "measure", "unit", "settings", *VERSIONS, "rows", "columns", "published", "n",
    "claims", "notes",
)  # fmt: skip
WORD_KEYS = ("words", "with_path", "without_path", "best_of", "best_of_with_path")  # of a version
VERSION_KEYS = (*WORD_KEYS, "cells", "cost")
LINE_KEYS = ("words", "measure", *VERSIONS)  # of a row or a column
VALUE_KEYS = ("mean", "sd", "n")


def table_names() -> list[str]:
    """The tables that nnlab has."""
    return sorted(file.stem for file in TABLES_FOLDER.glob("*.yaml"))


def read_table(name: str) -> PublishedTable:
    """The shipped table of this name, or that of a YAML file. Raises `UserError`."""
    file = Path(name)
    if file.suffix in (".yaml", ".yml"):
        return table_from(file.stem, read_yaml(file, by_hand=True), f"'{name}'")
    if name not in table_names():
        raise UserError(f"unknown table '{name}'{nearest(name, table_names())}")
    return table_from(name, read_yaml(TABLES_FOLDER / f"{name}.yaml", by_hand=True), name)


def table_from(name: str, tree, where: str) -> PublishedTable:
    """The table that a YAML says. `where` begins the `UserError` of one that is wrong."""
    reader = _Reader(tree, where)
    cells, versions = reader.cells(), {version: reader.version(version) for version in VERSIONS}
    reader.refuse_choice_by_test(cells, versions)
    return PublishedTable(
        name=name,
        title=reader.text("title"),
        source=reader.text("source"),
        unit=reader.one_of("unit", UNITS),
        settings=reader.words("settings", tree.get("settings", [])),
        versions=versions,
        cells=cells,
        claims=tuple(reader.claim(text, cells) for text in reader.texts("claims")),
        notes=tuple(reader.texts("notes")),
        tree=tree,
    )


@dataclass(frozen=True)
class _Line:
    """What is common to a row, or to a column."""

    words: tuple[str, ...] = ()
    measure: str | None = None
    more: dict[str, tuple[str, ...]] = field(default_factory=dict)


class _Reader:
    """Takes the parts of a table from its YAML, each checked."""

    def __init__(self, tree, where: str):
        self.where, self.tree = where, tree
        self._known(tree, "the table", KEYS)

    def refuse(self, what: str):
        raise UserError(f"{self.where}: {what}")

    def _known(self, tree, what: str, keys: Iterable[str]) -> None:
        if not isinstance(tree, dict):
            self.refuse(f"{what}: expected keys and values, {', '.join(keys)}")
        if wrong := next((key for key in tree if key not in keys), None):
            self.refuse(f"{what} has no key '{wrong}'{nearest(wrong, keys)}")

    def text(self, key: str) -> str:
        value = self.tree.get(key)
        if not isinstance(value, str) or not value:
            self.refuse(f"{key} = {value!r}: expected a text")
        return " ".join(value.split())

    def texts(self, key: str) -> list[str]:
        values = self.tree.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            self.refuse(f"{key}: expected a list of sentences")
        return [" ".join(value.split()) for value in values]

    def one_of(self, key: str, allowed: Iterable[str]) -> str:
        value = self.tree.get(key, "")
        if value not in [*allowed]:  # which may be no text
            self.refuse(f"{key} = {value!r:.40}: expected one of {', '.join(map(repr, allowed))}")
        return value

    def words(self, what: str, values) -> tuple[str, ...]:
        """KEY=VALUE words, none of which says where nnlab writes: the file may be a stranger's."""
        is_list = isinstance(values, list) and all(isinstance(word, str) and "=" in word for word in values)
        if not is_list:
            self.refuse(f"{what}: expected a list of words KEY=VALUE")
        for word in values:
            if key_of(word).partition(".")[0] in PLACES:
                self.refuse(f"{what}: {word}: only the command line says so")
        return tuple(values)

    def version(self, name: str) -> Version:
        tree = self.tree.get(name, {})
        self._known(tree, name, VERSION_KEYS)
        words = {key: self.words(f"{name}.{key}", tree.get(key, [])) for key in WORD_KEYS}
        patterns = tree.get("cells", [])
        if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
            self.refuse(f"{name}.cells: expected a list of names of cells")
        cost = tree.get("cost", "")
        if not isinstance(cost, str):
            self.refuse(f"{name}.cost = {cost!r}: expected a text")
        return Version(**words, cells=tuple(patterns), cost=cost)

    def refuse_choice_by_test(self, cells: dict[str, Cell], versions: dict[str, Version]) -> None:
        """Raise `UserError` where the best of several settings would be chosen by the test set."""
        for name, version in versions.items():
            key = "best_of" if version.best_of else "best_of_with_path"
            for cell in cells.values() if getattr(version, key) else ():
                if cell.measure.startswith(TEST_MEASURES):
                    self.refuse(
                        f"{name}.{key}: {cell.name} would have the best of several settings by "
                        f"{cell.measure}, and a test set chooses nothing; name the chosen one in its words"
                    )

    def cells(self) -> dict[str, Cell]:
        """Name -> cell: those of which `published` says something, if only null."""
        rows = self._lines("rows")
        columns = self._lines("columns") if "columns" in self.tree else None
        published = self.tree.get("published")
        self._known(published, "published", rows)
        cells = {}
        for row, values in published.items():
            if columns is None:
                values = {"": values}
            self._known(values, f"published.{row}", columns or [""])
            for column, value in values.items():
                of_row, of_column = rows[row], columns[column] if columns else _Line()
                measure = of_column.measure or of_row.measure or self.text("measure")
                words = merged(of_row.words, of_column.words)
                more = {v: merged(of_row.more[v], of_column.more.get(v, ())) for v in VERSIONS}
                cell = Cell(row, column, words, measure, self._published(row, value), more)
                cells[cell.name] = cell
        if not cells:
            self.refuse("published: a table has at least one cell")
        return cells

    def _lines(self, key: str) -> dict[str, _Line]:
        """The rows, or the columns."""
        lines = self.tree.get(key)
        if not isinstance(lines, dict) or not lines:
            self.refuse(f"{key}: expected names with a list of words each")
        read = {}
        for name, line in lines.items():
            if re.search(r"[<>,/]", name):
                self.refuse(f"{key}: the name '{name}' has one of < > , /")
            line = {"words": line} if isinstance(line, list) else line
            self._known(line, f"{key}.{name}", LINE_KEYS)
            measure = line.get("measure")
            if measure is not None and not isinstance(measure, str):
                self.refuse(f"{key}.{name}.measure = {measure!r}: expected the name of a metric")
            more = {v: self.words(f"{key}.{name}.{v}", line.get(v, [])) for v in VERSIONS}
            read[name] = _Line(self.words(f"{key}.{name}", line.get("words", [])), measure, more)
        return read

    def _published(self, where: str, value) -> Published | None:
        """Of a number, or of mean, sd and n; `n` of the table is that of every cell which says none."""
        if value is None:
            return None
        tree = value if isinstance(value, dict) else {"mean": value}
        self._known(tree, f"published.{where}", VALUE_KEYS)
        mean, sd, n = tree.get("mean"), tree.get("sd"), tree.get("n", self.tree.get("n"))
        if not is_number(mean) or not (sd is None or is_number(sd) and sd >= 0):
            self.refuse(f"published.{where}: expected a number, or {{mean: 1.62, sd: 0.04, n: 5}}")
        if not (n is None or is_count(n) and 0 < n <= LARGEST_COUNT):
            self.refuse(f"published.{where}: n = {n!r:.40}: expected how many were trained")
        return Published(float(mean), None if sd is None else float(sd), n)

    def claim(self, text: str, cells: dict[str, Cell]) -> Claim:
        parts = LEVELS.split(text)
        levels, signs = parts[::2], {*parts[1::2]}
        if len(signs) != 1:
            self.refuse(f"claims: '{text}': expected names of cells with < or > between them")
        named = tuple(tuple(name.strip() for name in level.split(",")) for level in levels)
        for name in (name for level in named for name in level):
            if name not in cells:
                self.refuse(f"claims: '{text}': unknown cell '{name}'{nearest(name, cells)}")
        if len({cells[name].measure for level in named for name in level}) > 1:
            self.refuse(f"claims: '{text}': its cells measure different things")
        return Claim(text, named, signs == {">"})
