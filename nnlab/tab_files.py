"""Completion candidates that are files, folders or column names."""

from __future__ import annotations

import os
import re
from pathlib import Path

from nnlab.catalogue import Catalogue, Key
from nnlab.data.headers import header_names
from nnlab.suggestions import EXTENSIONS_OF_DATA, dataset_for_file, datasets_for_file

SWEEP_FOLDER_KEYS = ("resume", "refine")  # their values are folders of sweeps


def takes_path(key: Key) -> bool:
    """Whether the value of the key is a file or a folder."""
    return key.name in SWEEP_FOLDER_KEYS or key.name.rpartition(".")[2] in ("path", "file", "folder")


def paths(key: Key, typed: str) -> list[str]:
    """The paths that such a key may have, as far as `typed` begins them."""
    if key.name in SWEEP_FOLDER_KEYS:
        return [path for path in _matching_paths(typed) if _leads_to_sweep(path)]
    if key.name.endswith("folder"):
        return folders(typed)
    return list(filter(_needs_no_quotes, _matching_paths(typed)))


def data_files(catalogue: Catalogue, typed: str) -> list[str]:
    """Folders, and files that the chosen data set reads, by their endings.

    If it reads none, those that any data set reads: `data=csv` may still follow.
    """
    reader = next(iter(catalogue.chosen("data")), "")
    readers = [reader] if reader in EXTENSIONS_OF_DATA else list(EXTENSIONS_OF_DATA)
    candidates = [
        path
        for path in _matching_paths(typed)
        if path.endswith("/") or set(datasets_for_file(path)) & set(readers)
    ]
    return list(filter(_needs_no_quotes, candidates))


def run_or_data_paths(key: str, typed: str) -> list[str]:
    """The folders that lead to a run, for a `run`; and for `data` folders, and files that nnlab reads."""
    candidates = _matching_paths(typed)
    if key == "run":
        return [path for path in candidates if path.endswith("/") and _leads_to("model.safetensors", path)]
    return [
        path for path in candidates if path.endswith("/") or dataset_for_file(path) or "idx3-ubyte" in path
    ]


def column_names(catalogue: Catalogue) -> list[str]:
    """The names in the first line of the file at data.path."""
    path = catalogue.assignments.get("data.path", "").strip("'\"")
    if not path:
        return []
    return [
        name
        for name in header_names(os.path.expanduser(path))
        if name.isprintable() and _needs_no_quotes(name)
    ]


def folders(typed: str) -> list[str]:
    """The folders whose paths begin as typed."""
    return [path for path in _matching_paths(typed) if path.endswith("/")]


def _leads_to_sweep(path: str) -> bool:
    """Whether it is the folder of a sweep, or contains one up to two levels below."""
    return path.endswith("/") and _leads_to("sweep.json", path)


def _leads_to(name: str, path: str) -> bool:
    """Whether the folder has a file of that name, or contains one that has, up to two levels below."""
    folder = Path(path).expanduser()
    return any(next(folder.glob(f"{level}{name}"), None) for level in ("", "*/", "*/*/"))


def _matching_paths(typed: str) -> list[str]:
    """Files, and folders with a slash, whose paths begin as typed; hidden ones only after a dot."""
    head, slash, last = typed.rpartition("/")
    try:
        entries = list(os.scandir(Path(f"{head}{slash}" or ".").expanduser()))
        visible_entries = [
            e for e in entries if e.name.startswith(last) and (last or not e.name.startswith("."))
        ]
        candidates = [
            f"{head}{slash}{e.name}{'/' * e.is_dir()}" for e in visible_entries if e.is_dir() or e.is_file()
        ]
    except (OSError, ValueError):
        return []
    # A name with control characters could not be typed, and might act on the terminal.
    return sorted(path for path in candidates if path.isprintable())


def _needs_no_quotes(path: str) -> bool:
    """Whether a command line takes it as it is: commas separate values, and brackets begin lists."""
    return re.fullmatch(r"[^][{},'\"$\\]+", path) is not None and path.strip() == path
