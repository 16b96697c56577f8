"""Which files `data.path` names: one, a list of them, or those that match a glob."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from nnlab.data.files import data_file, data_path, other_reader
from nnlab.errors import UserError, shortened

EXPECTED_FILE = "FILE, a table: CSV, TSV, Parquet, Feather, JSON lines or Excel"
GLOB_CHARACTERS = re.compile(r"[*?\[]")
URL_PATTERN = re.compile(r"[a-z][a-z0-9+.-]+://.*", re.IGNORECASE | re.DOTALL)
MOST_FILES = 10_000


def table_files(path: str | Sequence[str] | None) -> list[Path]:
    """The files, in the order of the list; those of a glob in that of their names. Raises `UserError`."""
    if isinstance(path, str | Path) or path is None:
        return _files_of(path)
    files = [file for item in path for file in _files_of(item)]
    if not files:
        raise UserError(f"data.path = []: write data.path={EXPECTED_FILE}")
    return _bounded(files, "data.path")


def _files_of(path) -> list[Path]:
    if path is not None and not isinstance(path, str | Path):
        raise UserError(f"data.path = {shortened(repr(path))}: expected the name of a file")
    text = None if path is None else str(path)
    if text and URL_PATTERN.fullmatch(text):
        raise UserError(
            f"data.path = '{shortened(text)}' is an address: download the file, and write its name"
        )
    file = data_path(text, EXPECTED_FILE)
    if not GLOB_CHARACTERS.search(str(file)) or file.exists():
        if file.is_dir():
            every = f"; for all its files, data.path='{shortened(text.rstrip('/'))}/*.csv' or the like"
            raise UserError(
                f"data.path = '{shortened(text)}' is a folder: write data.path={EXPECTED_FILE}"
                f"{other_reader(file) or every}"
            )
        return [data_file(text, EXPECTED_FILE)]
    matches = islice(glob.iglob(str(file), recursive=True), MOST_FILES + 1)
    files = sorted(match for match in map(Path, matches) if match.is_file())
    if not files:
        raise UserError(f"data.path = '{shortened(text)}' matches no file")
    return _bounded(files, f"data.path = '{shortened(text)}'")


def _bounded(files: list[Path], what: str) -> list[Path]:
    if len(files) > MOST_FILES:
        raise UserError(f"{what} names more than {MOST_FILES:,} files: join them first")
    return files
