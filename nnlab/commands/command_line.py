"""A command line as a value: it is read once (parsing.py), and nothing rewrites it.

Whatever follows from a line is another line: that of a sweep to go on with, that of a sweep around the best
of an earlier one, that of a single trial. All of these are functions from words to words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from nnlab.catalogue import Catalogue


@dataclass(frozen=True)
class CommandLine:
    """`nnlab COMMAND -cd FOLDER -cn NAME -m KEY=VALUE ...`, the words as Hydra's grammar reads them."""

    command: str
    words: tuple[str, ...] = ()
    config_dir: str | None = None
    config_name: str | None = None
    multirun: bool = False
    storage: str | None = None  # what storage= says, with the password that no word shows
    folders: Mapping[str, str] = field(default_factory=dict)  # of earlier sweeps, by key, as they were typed

    def with_words(self, words: Iterable[str]) -> CommandLine:
        """The same command on other words."""
        return replace(self, words=tuple(words))

    def keys(self) -> set[str]:
        """The keys and groups that the words set."""
        return {key_of(word) for word in self.words}

    def catalogue(self, command: str | None = None) -> Catalogue:
        """What the words may be about; with another `command`, what they may be about there."""
        return Catalogue(command or self.command, list(self.words), self.config_dir, self.config_name)

    def prefix(self, command: str | None = None) -> list[str]:
        """The shell words of a line that repeats a run, up to its overrides."""
        words = ["nnlab", command or self.command]
        if self.config_dir:
            words += ["-cd", self.config_dir]
        if self.config_name:
            words += ["-cn", self.config_name]
        return words


def key_of(word: str) -> str:
    """`optimizer.lr` of `+optimizer.lr=0.1`."""
    return word.partition("=")[0].lstrip("+")


def by_key(words: Iterable[str]) -> dict[str, str]:
    """key -> its word; of two with one key the later counts, as in Hydra."""
    return {key_of(word): word for word in words}
