"""Files that appear whole or not at all, and folders that no two runs share.

Without numpy, so that help and TAB need not wait for it.
"""

import contextlib
import itertools
import json
import math
import os
import re
from pathlib import Path

RECORDING_KEYS = (
    "picture",
    "predictions",
)  # settings that say what is recorded, of which an experiment knows nothing


def plain(value):
    """The same as JSON knows it: no numpy, no tuples, None for NaN and the infinities."""
    if isinstance(value, dict):
        return {str(key): plain(v) for key, v in value.items()}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return finite(value)


def finite(value):
    """None for NaN and the infinities, which JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def made_new(folder: Path, first: int = 1) -> Path:
    """Make `folder`, or `folder-2`, `folder-3`, ...: `mkdir` decides who of several was first."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for n in itertools.count(first):
        candidate = folder if n == 1 else folder.with_name(f"{folder.name}-{n}")
        with contextlib.suppress(FileExistsError):
            candidate.mkdir()
            return candidate
    raise AssertionError("unreachable")


def write_json(path: Path, value) -> None:
    """Write a file of JSON, which appears complete or not at all; NaN and the infinities are null."""
    with replacing(path) as aside:
        text = json.dumps(plain(value), indent=2, allow_nan=False, ensure_ascii=False)
        # Whoever prints the file does not mean to let its labels control the terminal.
        text = re.sub(r"[^\n -~]", lambda m: m[0] if m[0].isprintable() else json.dumps(m[0])[1:-1], text)
        aside.write_text(text + "\n", encoding="utf-8")


def open_to_append(path: Path):
    """Open for appending, without the half line that a killed process may have left at the end."""
    if path.exists():
        text = path.read_bytes()
        if not text.endswith(b"\n"):
            os.truncate(path, text.rfind(b"\n") + 1)
    return open(path, "ab+")


@contextlib.contextmanager
def replacing(path: Path):
    """A path to write to; it then becomes `path` at one stroke, or is gone if writing failed."""
    new = aside(path, os.getpid())
    try:
        new.touch()
        mode = new.stat().st_mode
        yield new
        new.chmod(mode)  # safetensors makes files that only their owner can read
        # Else the name may be on disk before the content is, and a power cut leaves an empty file.
        with open(new, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(new, path)
        _sync_folder(path.parent)
    finally:
        new.unlink(missing_ok=True)


def aside(path: Path, process: int) -> Path:
    """Where a process writes what is to become `path`."""
    return path.with_name(f".{path.name}.{process}")


def _sync_folder(folder: Path) -> None:
    """Make the rename itself last through a power cut, where folders can be opened at all."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
