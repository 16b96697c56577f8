"""A published table: what was measured, under which settings, and the words by which `nnlab reproduce` trains
it; table_file.py reads one.

    table = read_table("dropconnect")
    table.cells["relu/dropout"].published.mean       # 1.28, in `table.unit`
    table.words("relu/dropout", "quick", ["seeds=3"])  # what nnlab train would get

Nothing here knows torch or Hydra: words are words.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from nnlab.errors import UserError, unknown

REPRODUCTION_FILE = "reproduction.json"  # in the folder of a reproduction, see reproduction.py
VERSIONS = ("quick", "full")
UNITS = {"%": 100.0, "": 1.0}  # the unit of the published values -> the factor from ours


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
