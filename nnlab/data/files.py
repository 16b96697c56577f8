"""Opens a user's data files safely: regular files only, decompressed only while they fit into memory."""

from __future__ import annotations

import csv
import gzip
import io
import os
import shlex
import stat
import zlib
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from nnlab.errors import UserError, nearest, shortened
from nnlab.runtime.machine import available_memory, in_bytes
from nnlab.suggestions import dataset_for_folder

# The share of the free memory that a file's content may take: training needs the rest for copies.
CONTENT_MEMORY_SHARE = 2 / 3
BYTES_BETWEEN_CHECKS = 2**24  # read between two checks of the free memory
MOST_NEIGHBOURS = 1000  # files of a folder that are searched for a similar name
# The first bytes of formats that are often mistaken for CSV.
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


def data_path(path: str | None, expected: str) -> Path:
    """`data.path` as a path; raises `UserError` if it is not set."""
    if not path:
        value = "null" if path is None else repr(path)
        raise UserError(f"data.path = {value}: write data.path={expected}")
    try:
        return Path(path).expanduser()
    except RuntimeError as e:  # ~nobody
        raise UserError(f"data.path = '{shortened(path)}': {e}") from e


def data_file(path: str | None, expected: str) -> Path:
    """The file at `data.path`; raises `UserError` with the nearest name if there is none."""
    file = data_path(path, expected)
    kind = file_kind(file)
    if kind != "file":
        other = other_reader(file) if kind == "folder" else ""
        raise UserError(f"data.path = '{path}' is a {kind}: write data.path={expected}{other}")
    return file


def other_reader(folder: Path, name: str = "") -> str:
    """What to say of a folder that data=`name` does not read: which data set does, if one is known."""
    reader = dataset_for_folder(str(folder))
    if reader in (None, name):
        return ""
    holds = "images" if reader == "images" else "MNIST's format"
    data = f"data={reader} data.path={shlex.quote(str(folder))}"
    return f"; {shortened(str(folder))} holds {holds}, which are {data}"


def file_kind(file: Path) -> str:
    """file, folder, pipe, device or socket; raises `UserError` if there is none or it cannot be examined."""
    try:
        return KIND_OF_MODE.get(stat.S_IFMT(os.stat(file).st_mode), "file")
    except (FileNotFoundError, NotADirectoryError):
        raise missing_file_error(file) from None
    except (OSError, ValueError) as e:
        raise UserError(f"'{shortened(str(file))}' cannot be read: {_reason(e)}") from e


def missing_file_error(file: Path) -> UserError:
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
def read_errors_as_user_errors(path: Path):
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
    """What is wrong and how to fix it: `it is an .xls file; save it as a CSV file in UTF-8`."""
    first_bytes = error.object[:4]
    file_format = next(
        (name for signature, name in FORMAT_SIGNATURES.items() if first_bytes.startswith(signature)), None
    )
    if file_format is None:
        return f"{error.reason} at byte {error.start}; save it as UTF-8"
    if file_format.startswith("UTF"):
        return f"it is {file_format}; save it as UTF-8"
    return f"it is {file_format}; save it as a CSV file in UTF-8"


@contextmanager
def open_decompressed(path: Path):
    """Open a regular file as bytes, decompressed if it is gzip; reading stops before memory is full."""
    with read_errors_as_user_errors(path), open_regular(path) as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        with gzip.open(file) if is_gzip else file as content:
            yield io.BufferedReader(MemoryCheckedReader(content, path), 2**16)


@contextmanager
def open_text(path: Path):
    """Open a regular file as UTF-8 text, decompressed if it is gzip; lines keep their line ends."""
    with open_decompressed(path) as content:
        yield io.TextIOWrapper(content, encoding="utf-8-sig", newline="")


def open_regular(path: Path):
    """Open a regular file for reading; raises `UserError` for a pipe, device or folder."""
    # Without O_NONBLOCK, opening a pipe waits until somebody writes into it, perhaps for ever.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UserError(f"{path} is a {file_kind(path)}, expected a file")
    return open(descriptor, "rb")


def refuse_too_large(path: Path, count: int, free: int | None) -> None:
    """Raise `UserError` if `count` bytes do not fit into `free` bytes of memory."""
    if free is not None and count > CONTENT_MEMORY_SHARE * free:
        raise UserError(
            f"{path} does not fit into memory: it announces {in_bytes(count)}, and of the "
            f"{in_bytes(max(0, free))} that are free a third is needed to train"
        )


def read_up_to(file, count: int) -> bytearray:
    """So many bytes of a file, or as many as there are; memory is taken for these alone.

    `file.read(count)` would take it for `count`, which a header may put at any number.
    """
    content = bytearray()
    while piece := file.read(min(count - len(content), BYTES_BETWEEN_CHECKS)):
        content += piece
    return content


class MemoryCheckedReader(io.RawIOBase):
    """Reads `content`, and raises `UserError` when the free memory runs low.

    The size of the file does not bound it: a small .gz may decompress to any number of bytes.
    """

    def __init__(self, content, path: Path):
        self._content, self._path = content, path
        self._bytes_read, self._next_check = 0, BYTES_BETWEEN_CHECKS
        self._free_at_start = available_memory()

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
        # What becomes of the bytes (numbers, lists of cells) takes memory too, so check the memory itself.
        free = available_memory()
        if free is not None and free < (1 - CONTENT_MEMORY_SHARE) * self._free_at_start:
            raise UserError(
                f"{self._path} does not fit into memory: after {in_bytes(self._bytes_read)} of its content "
                f"{in_bytes(max(0, free))} are left of {in_bytes(self._free_at_start)}, too few to train"
            )


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
