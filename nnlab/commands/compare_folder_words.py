"""The words of `nnlab compare FOLDER ...`: folders of runs, the measure, and how many more seeds to train."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnlab.commands import hydra_errors
from nnlab.commands.command_line import key_of
from nnlab.errors import UserError, unknown
from nnlab.records.measures import MEASURES

OPTIONS_WITH_VALUE = ("-cd", "--config-dir", "-cn", "--config-name", "-c", "--cfg", "-i", "--info")
EXPECTED_WORDS = "expected folders of runs, or keys with several values, such as optimizer=sgd,adam"


@dataclass(frozen=True)
class FoldersRequest:
    """Folders to compare, by which measure, and how many seeds are to be added, or there in the end."""

    folders: list[Path]
    measure: str | None  # None: as the folder says, or the usual one
    more_seeds: int = 0  # seeds=+5
    seeds: int | None = None  # seeds=15
    target: float | None = None  # of the measure's curve

    @property
    def asks_for_seeds(self) -> bool:
        return bool(self.more_seeds) or self.seeds is not None

    @property
    def seeds_text(self) -> str:
        return f"+{self.more_seeds}" if self.more_seeds else str(self.seeds)


def names_folders(argv: Sequence[str]) -> bool:
    """Whether a word is a folder."""
    return bool(_folders(argv)) and not {"--help", "-h"} & {*argv}


def _folders(argv: Sequence[str]) -> list[str]:
    """The words that are folders: without options and their values. Names of run folders have an equals sign
    too."""
    pairs = zip(["", *argv], argv, strict=False)  # a word after the one before it
    return [
        word
        for before, word in pairs
        if before not in OPTIONS_WITH_VALUE
        and not word.startswith("-")
        and ("=" not in word or "/" in word.partition("=")[0] or os.path.isdir(word))
    ]


def read_folders(argv: list[str]) -> FoldersRequest:
    """The folders, and what is to be done with them. Raises `UserError`."""
    folders = [Path(word).expanduser() for word in _folders(argv)]
    for folder in folders:
        if not folder.is_dir():
            raise _not_a_folder(str(folder))
    hydra_errors.refuse_keys_of_other_commands("compare", [word for word in argv if "=" in word])
    words = [word for word in argv if word not in _folders(argv)]
    for word in words:
        _refuse_word(word, folders)
    several = [key for key in {key_of(word) for word in words} if sum(key_of(w) == key for w in words) > 1]
    if several:
        raise UserError(f"{several[0]}= is there twice")
    given = {key_of(word): word.partition("=")[2] for word in words}
    more, total = _seeds(given.get("seeds"))
    if (measure := given.get("measure")) not in (None, *MEASURES):
        raise unknown("measure", measure, MEASURES)
    return FoldersRequest(folders, given.get("measure"), more, total, _target(given.get("target")))


def _refuse_word(word: str, folders: list[Path]) -> None:
    key = key_of(word)
    if word.startswith("-"):
        raise UserError(f"{word}: folders are compared without options")
    if key not in ("measure", "seeds", "target"):
        raise UserError(
            f"{word}: the runs in '{folders[0]}' keep the settings that they were trained with; beside "
            f"folders there are measure=NAME, target=VALUE and seeds=+N"
        )


def _target(text: str | None) -> float | None:
    try:
        value = None if text is None else float(text)
    except ValueError:
        value = math.nan
    if value is not None and not math.isfinite(value):
        raise UserError(f"target={text}: expected a number, a value of the measure's curve")
    return value


def _seeds(text: str | None) -> tuple[int, int | None]:
    """(how many more, how many in all) of +5 or 15; read from the word, since Hydra's grammar drops the +."""
    if text is None:
        return 0, None
    digits = text.removeprefix("+")
    if not digits.isascii() or not digits.isdigit() or not 0 < int(digits[:10]) < 10**9 or len(digits) > 9:
        raise UserError(
            f"seeds={text}: expected how many more, seeds=+5, or how many there are to be, seeds=15"
        )
    return (int(digits), None) if text.startswith("+") else (0, int(digits))


def _not_a_folder(word: str) -> UserError:
    if os.path.isfile(word):
        return UserError(f"'{word}' is a file; {EXPECTED_WORDS}")
    return UserError(f"there is no folder '{word}'; {EXPECTED_WORDS}")
