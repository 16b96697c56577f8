"""Writes and reads runs.json in the folder of all runs of `-m`: the names of their folders, in order."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from nnlab.errors import UserError
from nnlab.records.files import write_json
from nnlab.untrusted import read_json, unlinked_file

RUNS_FILE = "runs.json"


def write_run_names(folder: Path, runs: list[Path]) -> None:
    """Write the file. Raises `OSError`, which names the folder."""
    try:
        write_json(folder / RUNS_FILE, {"runs": [run.relative_to(folder).as_posix() for run in runs]})
    except OSError as e:
        raise OSError(e.errno, e.strerror, str(folder)) from e


def stored_run_names(folder: Path) -> list[str]:
    """What the file says. Somebody else may have written it: raises `UserError` for what is not below it."""
    path = folder / RUNS_FILE
    tree = read_json(unlinked_file(path))
    names = tree.get("runs") if isinstance(tree, dict) else None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise UserError(f"'{path}': expected runs, a list of the names of folders below it")
    if len({*names}) < len(names):
        raise UserError(f"'{path}': two runs have one folder")
    refuse_outside(folder, path, names)
    return names


def refuse_outside(folder: Path, path: Path, names: list[str]) -> None:
    """Raise `UserError` for names in the file `path` that lead out of the folder, by links too."""
    if not all(map(_is_below, names)):
        raise UserError(f"'{path}': expected runs, a list of the names of folders below it")
    for name in names:
        ancestors = [folder / part for part in (PurePosixPath(name), *PurePosixPath(name).parents[:-1])]
        if link := next((ancestor for ancestor in ancestors if ancestor.is_symlink()), None):
            raise UserError(f"'{link}' is a link: nothing outside of a run's folder is read")


def _is_below(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and "\0" not in name and parts[0] != "/" and ".." not in parts
