"""tuning/tuning.json: the words of a comparison that is being tuned, with which it can go on.

It is in the folder of the comparison, which gets its compare.json once its arms train. Somebody else may have
written it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from nnlab.allowed import Allowed, validate
from nnlab.errors import UserError
from nnlab.records.comparison_file import is_comparison
from nnlab.records.files import write_json
from nnlab.records.text import shell_line
from nnlab.untrusted import read_json, unlinked_file

TUNING_FOLDER, TUNING_FILE = "tuning", "tuning.json"


@dataclass(frozen=True)
class TuningFile:
    """The words that were typed, and the folder of configurations, -cd."""

    words: tuple[str, ...]
    config_dir: str | None


def is_being_tuned(folder: Path) -> bool:
    """Whether the arms of the comparison in the folder are not all tuned, or none of them trains yet."""
    return os.path.lexists(folder / TUNING_FOLDER / TUNING_FILE) and not is_comparison(folder)


def refuse_untuned(folder: Path) -> None:
    """Raise `UserError` if the comparison in the folder is still being tuned."""
    if is_being_tuned(folder):
        again = shell_line(["nnlab", "compare", str(folder)])
        raise UserError(f"'{folder}' has arms that are still to be tuned and trained: first {again}")


def write_tuning(folder: Path, file: TuningFile) -> None:
    write_json(folder / TUNING_FOLDER / TUNING_FILE, {"words": [*file.words], "config_dir": file.config_dir})


def read_tuning(folder: Path) -> TuningFile:
    """The file of the comparison in the folder. Raises `UserError` for another."""
    path = folder / TUNING_FOLDER / TUNING_FILE
    tree = read_json(unlinked_file(path))
    if not isinstance(tree, dict):
        raise UserError(f"'{path}' holds no keys with values")
    types = {"words": tuple[str, ...], "config_dir": str | None}
    return TuningFile(
        **{key: validate(tree.get(key), type_, Allowed(), f"'{path}': {key}") for key, type_ in types.items()}
    )
