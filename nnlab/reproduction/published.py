"""A published table: what was measured, under which settings, and the words by which `nnlab reproduce` trains
it. The shipped ones are the YAML files of nnlab/reproduction/tables; docs/extending.md says how to write one.

    table = read_table("dropconnect")
    table.cells["relu/dropout"].published.mean       # 1.28, in `table.unit`
    table.words("relu/dropout", "quick", ["seeds=3"])  # what nnlab train would get

Nothing here knows torch or Hydra: words are words.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from nnlab.allowed import LARGEST_COUNT
from nnlab.errors import UserError, nearest, unknown
from nnlab.untrusted import is_count, is_number, read_yaml

TABLES_FOLDER = Path(__file__).parent / "tables"
REPRODUCTION_FILE = "reproduction.json"  # in the folder of a reproduction, see reproduction.py
VERSIONS = ("quick", "full")
UNITS = {"%": 100.0, "": 1.0}  # the unit of the published values -> the factor from ours
PLACES = ("hydra", "resume", "table", "version", "cells", "plan")  # what only the command line says
TEST_MEASURES = ("test_", "vote_")  # how the names of measures of the test set begin
LEVELS = re.compile(r"\s*([<>])\s*")


@dataclass(frozen=True)
class Published:
    """A value as it was printed: the mean of n trainings and their standard deviation, as far as known."""

    mean: float
    sd: float | None = None
    n: int | None = None


@dataclass(frozen=True)
class Cell:
    """A cell of the table. `words` are those in which it differs from the others."""

    row: str
    column: str  # "" where the table has one
    words: tuple[str, ...]
    measure: str
    published: Published | None  # None: of a figure, without numbers
    more: dict[str, tuple[str, ...]] = field(default_factory=dict)  # version -> words in place of some

    @property
    def name(self) -> str:
        return f"{self.row}/{self.column}" if self.column else self.row

    def words_of(self, version: str) -> tuple[str, ...]:
        return merged(self.words, self.more.get(version, ()))


@dataclass(frozen=True)
class Claim:
    """An order that was published: every cell of a level is better than every one of the next level.

    `relu/dropconnect < relu/dropout < relu/none`; a level may have several cells, with commas.
    """

    text: str
    levels: tuple[tuple[str, ...], ...]
    larger_first: bool

    @property
    def cells(self) -> list[str]:
        return [name for level in self.levels for name in level]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Of each two levels that follow each other, every cell of the one and of the other."""
        neighbours = zip(self.levels, self.levels[1:], strict=False)
        return [(a, b) for first, second in neighbours for a in first for b in second]


@dataclass(frozen=True)
class Version:
    """The quick or the full job: its words, over those that all cells share."""

    words: tuple[str, ...] = ()
    with_path: tuple[str, ...] = ()  # further ones where the command line has data.path
    without_path: tuple[str, ...] = ()  # ... and where it has not: other data in place of a file's
    best_of: tuple[str, ...] = ()  # every cell is trained with each of these words, and the best counts
    best_of_with_path: tuple[str, ...] = ()  # with each of these where the command line has data.path
    cells: tuple[str, ...] = ()  # patterns; (): all
    cost: str = ""  # `about 30 h of one core`

    def all_words(self, given: Iterable[str]) -> tuple[str, ...]:
        return merged(self.words, self.with_path if _names_data(given) else self.without_path)

    def tried(self, given: Iterable[str]) -> tuple[str, ...]:
        """The words of which a cell has the best; (): it has its own alone."""
        return (_names_data(given) and self.best_of_with_path) or self.best_of


@dataclass(frozen=True)
class PublishedTable:
    """One table of a paper. `tree` is its YAML, by which a reproduction is stored."""

    name: str
    title: str
    source: str
    unit: str
    settings: tuple[str, ...]
    versions: dict[str, Version]
    cells: dict[str, Cell]
    claims: tuple[Claim, ...]
    notes: tuple[str, ...]
    tree: dict = field(repr=False, compare=False)

    @property
    def needs_path(self) -> bool:
        """Whether the full job needs data.path=FOLDER."""
        return "data=idx" in self.settings

    @property
    def factor(self) -> float:
        """From what nnlab measures to the table's unit."""
        return UNITS[self.unit]

    @cached_property
    def keys_of_cells(self) -> set[str]:
        words = [w for cell in self.cells.values() for v in VERSIONS for w in cell.words_of(v)]
        tried = [w for v in self.versions.values() for w in (*v.best_of, *v.best_of_with_path)]
        return {key_of(word) for word in words + tried}

    def words(self, cell: str, version: str, given: Sequence[str] = ()) -> tuple[str, ...]:
        """The words of `nnlab train` for a cell, with those of the command line. Raises `UserError` for one
        by which the cells differ."""
        for word in given:
            if key_of(word) in self.keys_of_cells:
                raise UserError(
                    f"{word}: the cells of {self.name} differ in {key_of(word)}; cells= picks some"
                )
        cell_words = self.cells[cell].words_of(version)
        shared = merged(self.settings, self.versions[version].all_words(given), given)
        return merged(shared, cell_words, keep=given)

    def picked(self, patterns: Iterable[str]) -> list[str]:
        """The cells of these names, rows or columns (`*` stands for anything). Raises `UserError`."""
        chosen: dict[str, None] = {}
        for pattern in patterns:
            matching = [name for name, cell in self.cells.items() if _matches(pattern, cell)]
            if not matching:
                names = {n for c in self.cells.values() for n in (c.name, c.row, c.column) if n}
                raise unknown(f"cell of {self.name}", pattern, names)
            chosen |= dict.fromkeys(matching)
        return [name for name in self.cells if name in chosen] if chosen else [*self.cells]


def _matches(pattern: str, cell: Cell) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in (cell.name, cell.row, cell.column) if name)


def _names_data(given: Iterable[str]) -> bool:
    return any(key_of(word) in ("data", "data.path") for word in given)


def key_of(word: str) -> str:
    return word.lstrip("+").partition("=")[0]


def merged(*layers: Iterable[str], keep: Iterable[str] = ()) -> tuple[str, ...]:
    """The words of all layers; of two with one key the later counts. The choice of a group drops the keys of
    the choice before it, but for those to `keep`.

    >>> merged(["schedule=step", "schedule.every=5", "epochs=9"], ["schedule=constant", "epochs=3"])
    ('schedule=constant', 'epochs=3')
    """
    words: dict[str, str] = {}
    kept = {key_of(word) for word in keep}
    for layer in layers:
        layer = [*layer]
        groups = {key_of(word) for word in layer} & words.keys()
        replaced = {key for key in words if key.partition(".")[0] in groups - {key} and key not in kept}
        words = {key: word for key, word in words.items() if key not in replaced}
        words |= {key_of(word): word for word in layer}
    return tuple(words.values())


# ---- reading


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


KEYS = (
    "title", "source", "measure", "unit", "settings", *VERSIONS, "rows", "columns", "published", "n",
    "claims", "notes",
)  # fmt: skip
WORD_KEYS = ("words", "with_path", "without_path", "best_of", "best_of_with_path")  # of a version
VERSION_KEYS = (*WORD_KEYS, "cells", "cost")
LINE_KEYS = ("words", "measure", *VERSIONS)  # of a row or a column
VALUE_KEYS = ("mean", "sd", "n")


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
