"""Files of users: found and opened without waiting for ever or filling the memory."""

from __future__ import annotations

import csv
import gzip
import io
import os
import stat
import zlib
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from nnlab.errors import UserError, nearest, shortened
from nnlab.runtime.machine import available, in_bytes

# Of the free memory, for the content of a file: training needs room for a copy of part of it.
CONTENT_MEMORY_SHARE = 2 / 3
BYTES_BETWEEN_CHECKS = 2**24  # read between two looks at the free memory
MOST_NEIGHBOURS = 1000  # files of a folder that are searched for a similar name
# What files begin with that are often mistaken for CSV.
FORMAT_SIGNATURES = {
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"PK\x03\x04": "a zip archive, as .xlsx is",
    b"\xd0\xcf\x11\xe0": "an .xls file",
}
KIND_OF_MODE = {
    stat.S_IFDIR: "folder",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


def path_of(path: str | None, what: str) -> Path:
    """`data.path` as a path; raises `UserError` if it is not set."""
    if not path:
        given = "null" if path is None else repr(path)
        raise UserError(f"data.path = {given}: write data.path={what}")
    try:
        return Path(path).expanduser()
    except RuntimeError as e:  # ~nobody
        raise UserError(f"data.path = '{shortened(path)}': {e}") from e


def file_of(path: str | None, what: str) -> Path:
    """The file at `data.path`; raises `UserError` with the nearest name if there is none."""
    file = path_of(path, what)
    kind = kind_of(file)
    if kind != "file":
        raise UserError(f"data.path = '{path}' is a {kind}: write data.path={what}")
    return file


def kind_of(file: Path) -> str:
    """file, folder, pipe, device or socket; raises `UserError` if it does not exist or cannot be examined."""
    try:
        return KIND_OF_MODE.get(stat.S_IFMT(os.stat(file).st_mode), "file")
    except (FileNotFoundError, NotADirectoryError):
        raise missing(file) from None
    except (OSError, ValueError) as e:
        raise UserError(f"'{shortened(str(file))}' cannot be read: {_reason(e)}") from e


def missing(file: Path) -> UserError:
    """The error of a missing file, with the nearest name in its folder: `did you mean 'churn.csv'?`"""
    where, folder = (shortened(str(path), 200) for path in (file, file.parent))
    if not os.path.isdir(file.parent):
        return UserError(f"there is no file {where}: there is no folder {folder}")
    try:
        neighbours = [other.name for other in islice(file.parent.iterdir(), MOST_NEIGHBOURS)]
    except OSError:  # a folder that may be entered, but not listed
        neighbours = []
    hint = nearest(file.name, neighbours)
    # A list of all the files in the folder would not help.
    suggestion = hint if "mean" in hint else ""
    return UserError(f"there is no file {where}{suggestion}")


@contextmanager
def reading(path: Path):
    """Turn whatever goes wrong in reading the file into a `UserError` that names it."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as e:
        raise UserError(f"{path} is a damaged gzip file: {e}") from e
    except UnicodeDecodeError as e:
        raise UserError(f"{path} is not text in UTF-8: {_why_not_utf8(e)}") from e
    except csv.Error as e:
        raise UserError(f"{path} is not a table: {e}") from e
    except OSError as e:
        raise UserError(f"{path} cannot be read: {_reason(e)}") from e


def _why_not_utf8(error: UnicodeDecodeError) -> str:
    """What is wrong and what to do: `it is an .xls file; save it as a CSV file in UTF-8`."""
    begin = error.object[:4]
    file_format = next((name for sign, name in FORMAT_SIGNATURES.items() if begin.startswith(sign)), None)
    if file_format is None:
        return f"{error.reason} at byte {error.start}; save it as UTF-8"
    if file_format.startswith("UTF"):
        return f"it is {file_format}; save it as UTF-8"
    return f"it is {file_format}; save it as a CSV file in UTF-8"


@contextmanager
def opened(path: Path):
    """The bytes of a regular file, decompressed if it is a gzip file, as far as they fit into memory."""
    with reading(path), regular(path) as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        with gzip.open(file) if is_gzip else file as content:
            yield io.BufferedReader(Watched(content, path), 2**16)


@contextmanager
def opened_text(path: Path):
    """The same as text in UTF-8; lines keep their line ends."""
    with opened(path) as content:
        yield io.TextIOWrapper(content, encoding="utf-8-sig", newline="")


def regular(path: Path):
    """A regular file, open for reading."""
    # Without O_NONBLOCK, opening a pipe waits until somebody writes into it, perhaps for ever.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise UserError(f"{path} is a {kind_of(path)}, expected a file")
    return open(handle, "rb")


def refuse_what_fills_memory(path: Path, count: int, free: int | None) -> None:
    """Raise `UserError` if `count` bytes are too many for `free` bytes of memory."""
    if free is not None and count > CONTENT_MEMORY_SHARE * free:
        raise UserError(
            f"{path} does not fit into memory: it announces {in_bytes(count)}, and of the "
            f"{in_bytes(max(0, free))} that are free a third is needed to train"
        )


class Watched(io.RawIOBase):
    """The bytes of `content`, until they fill the memory: then a `UserError`.

    The size of the file does not bound them: a small .gz may hold any number of bytes.
    """

    def __init__(self, content, path: Path):
        self._content, self._path = content, path
        self._bytes_read, self._next_check = 0, BYTES_BETWEEN_CHECKS
        self._free_at_start = available()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        count = self._content.readinto(buffer)
        self._bytes_read += count
        if self._bytes_read >= self._next_check:
            self._next_check += BYTES_BETWEEN_CHECKS
            self._refuse_full_memory()
        return count

    def _refuse_full_memory(self) -> None:
        # What is made of the bytes (numbers, lists of cells) takes memory too, so the memory itself is asked.
        left = available()
        if left is not None and left < (1 - CONTENT_MEMORY_SHARE) * self._free_at_start:
            raise UserError(
                f"{self._path} does not fit into memory: after {in_bytes(self._bytes_read)} of its content "
                f"{in_bytes(max(0, left))} are left of {in_bytes(self._free_at_start)}, too few to train"
            )


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
