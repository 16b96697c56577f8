"""Atomic writes of files, JSON without NaN, and new folders that no two processes share.

Without numpy, so that help and TAB need not wait for it.
"""

import contextlib
import itertools
import json
import math
import os
import re
from pathlib import Path

from nnlab.errors import UserError
from nnlab.untrusted import refuse_link

# Settings of what is recorded, which are not part of an experiment.
RECORDING_KEYS = ("picture", "predictions", "show", "caption", "checkpoint", "resume")
TEMPORARY_PATTERN = re.compile(r"\.(.+)\.[0-9]+")
EVENT_FILE_PREFIX = "events.out.tfevents."  # of the names of TensorBoard's files


def to_jsonable(value):
    """The value in JSON's types: no numpy, no tuples, None for NaN and the infinities."""
    if isinstance(value, dict):
        return {str(key): to_jsonable(v) for key, v in value.items()}
    if hasattr(value, "tolist"):
        return to_jsonable(value.tolist())
    if isinstance(value, list | tuple):
        return [to_jsonable(v) for v in value]
    return finite_or_none(value)


def finite_or_none(value):
    """None for NaN and the infinities, which JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def make_unique_folder(folder: Path, first: int = 1) -> Path:
    """Make `folder`, or `folder-2`, `folder-3`, ...: `mkdir` decides between competing processes."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for n in itertools.count(first):
        candidate = folder if n == 1 else folder.with_name(f"{folder.name}-{n}")
        with contextlib.suppress(FileExistsError):
            candidate.mkdir()
            return candidate
    raise AssertionError("unreachable")


def write_json(path: Path, value) -> None:
    """Write a JSON file atomically; NaN and the infinities become null."""
    with atomic_write(path) as temporary:
        text = json.dumps(to_jsonable(value), indent=2, allow_nan=False, ensure_ascii=False)
        # Labels from data must not control the terminal of whoever prints the file.
        text = re.sub(r"[^\n -~]", lambda m: m[0] if m[0].isprintable() else json.dumps(m[0])[1:-1], text)
        temporary.write_text(text + "\n", encoding="utf-8")


def open_to_append(path: Path):
    """Open for appending, after removing the partial last line that a killed process may have left."""
    if path.exists():
        text = path.read_bytes()
        if not text.endswith(b"\n"):
            os.truncate(path, text.rfind(b"\n") + 1)
    return open(path, "ab+")


def open_cut(path: Path, size: int):
    """Open for appending, after cutting off what follows the first `size` bytes. Raises `UserError` where
    there are fewer, or for a link, which may lead out of the folder."""
    refuse_links(path)
    there = os.path.getsize(path) if path.exists() else 0
    if there < size:
        raise UserError(f"'{path}' has {there:,} bytes; of this run it had {size:,}")
    os.truncate(path, size)
    return open(path, "ab+")


def refuse_links(path: Path) -> None:
    """Raise `UserError` if the path is a link or not a plain file, or its folder is a link."""
    if path.parent.is_symlink():
        raise UserError(f"'{path.parent}' is a link: nothing outside of a run's folder is written")
    if os.path.lexists(path):
        refuse_link(path, path.lstat())


def synced_size(file) -> int:
    """Have all that was written to a file on the disk; its size in bytes."""
    file.flush()
    os.fsync(file.fileno())
    return file.seek(0, os.SEEK_END)


@contextlib.contextmanager
def atomic_write(path: Path):
    """Yield a temporary path to write to, which then replaces `path`, or is removed if writing failed."""
    temporary = temporary_path(path, os.getpid())
    try:
        # Anew, since what is there may be a link that somebody left in a folder of theirs.
        temporary.unlink(missing_ok=True)
        temporary.touch(exist_ok=False)
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)  # safetensors creates files that only their owner can read
        # Otherwise the name may reach the disk before the content, and a power cut leaves an empty file.
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporaries(folder: Path) -> None:
    """Remove what a process that was killed while it wrote has left in the folder."""
    for file in folder.iterdir():
        if TEMPORARY_PATTERN.fullmatch(file.name) and file.is_file() and not file.is_symlink():
            file.unlink(missing_ok=True)


def temporary_path(path: Path, process: int) -> Path:
    """The file in which a process prepares the content of `path`."""
    return path.with_name(f".{path.name}.{process}")


def _sync_folder(folder: Path) -> None:
    """Make the rename durable through a power cut, where folders can be opened."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
