"""Files that users bring: finding and opening them, without waiting for ever or filling the memory."""

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

SHARE = 2 / 3  # of the free memory that a file's content may take: training lays it out once more
LOOK_BYTES = 2**24  # read between two looks at what is left
NEIGHBOURS = 1000  # files in a folder among which a similar name is looked for
SIGNS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"PK\x03\x04": "a zip archive, as .xlsx is",
         b"\xd0\xcf\x11\xe0": "an .xls file"}  # fmt: skip
KINDS = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device",
         stat.S_IFBLK: "device"}  # fmt: skip


def path_of(path: str | None, what: str) -> Path:
    """`data.path` as a path; raises `UserError` if it is not set."""
    if not path:
        raise UserError(f"data.path = {'null' if path is None else repr(path)}: write data.path={what}")
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
    """file, folder, pipe, device or socket; raises `UserError` if it is not there or cannot be looked at."""
    try:
        return KINDS.get(stat.S_IFMT(os.stat(file).st_mode), "file")
    except (FileNotFoundError, NotADirectoryError):
        raise missing(file) from None
    except (OSError, ValueError) as e:
        raise UserError(f"'{shortened(str(file))}' cannot be read: {_reason(e)}") from e


def missing(file: Path) -> UserError:
    """`there is no file data/churm.csv; did you mean 'churn.csv'?`"""
    where, folder = (shortened(str(path), 200) for path in (file, file.parent))
    if not os.path.isdir(file.parent):
        return UserError(f"there is no file {where}: there is no folder {folder}")
    try:
        neighbours = [other.name for other in islice(file.parent.iterdir(), NEIGHBOURS)]
    except OSError:  # a folder that may be entered, but not listed
        neighbours = []
    hint = nearest(file.name, neighbours)
    return UserError(f"there is no file {where}{hint if 'mean' in hint else ''}")


@contextmanager
def reading(path: Path):
    """What goes wrong in reading the file is a `UserError` that names it."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as e:
        raise UserError(f"{path} is a damaged gzip file: {e}") from e
    except UnicodeDecodeError as e:
        begin = e.object[:4]
        what = next((f"it is {name}" for sign, name in SIGNS.items() if begin.startswith(sign)), "")
        what = what or f"{e.reason} at byte {e.start}"
        way = "as a CSV file in UTF-8" if "UTF" not in what and "it is" in what else "as UTF-8"
        raise UserError(f"{path} is not text in UTF-8: {what}; save it {way}") from e
    except csv.Error as e:
        raise UserError(f"{path} is not a table: {e}") from e
    except OSError as e:
        raise UserError(f"{path} cannot be read: {_reason(e)}") from e


@contextmanager
def opened(path: Path):
    """The bytes of a regular file, unpacked if it is gzip's, as far as they fit into memory."""
    with reading(path), regular(path) as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        with gzip.open(file) if packed else file as content:
            yield io.BufferedReader(Watched(content, path), 2**16)


@contextmanager
def opened_text(path: Path):
    """The same as text in UTF-8, whose lines keep their ends."""
    with opened(path) as content:
        yield io.TextIOWrapper(content, encoding="utf-8-sig", newline="")


def regular(path: Path):
    """A regular file, open for reading: whoever opens a pipe or a device may wait for ever."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise UserError(f"{path} is a {kind_of(path)}, expected a file")
    return open(handle, "rb")


def refuse_what_fills_memory(path: Path, count: int, there: int | None) -> None:
    """Raises `UserError` if so many bytes are too many for a memory of which `there` are free."""
    if there is not None and count > SHARE * there:
        raise UserError(
            f"{path} does not fit into memory: it announces {in_bytes(count)}, and of the "
            f"{in_bytes(max(0, there))} that are free a third is needed to train"
        )


class Watched(io.RawIOBase):
    """The bytes of `content`, which end in a `UserError` if they, and what is made of them, fill the memory:
    a small .gz may hold any number of them."""

    def __init__(self, content, path: Path):
        self._content, self._path, self._read, self._look = content, path, 0, LOOK_BYTES
        self._free = available()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        count = self._content.readinto(buffer)
        self._read += count
        if self._read >= self._look:
            self._look += LOOK_BYTES
            left = available()
            if left is not None and left < (1 - SHARE) * self._free:
                raise UserError(
                    f"{self._path} does not fit into memory: after {in_bytes(self._read)} of its content "
                    f"{in_bytes(max(0, left))} are left of {in_bytes(self._free)}, too few to train"
                )
        return count


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
