"""Files that are there whole or not at all, on a disk of one machine or of many: content behind its digest.

A file is written beside its place and renamed into it, so that nobody reads half of it. It is not synced,
which takes longer than most jobs' writing: what a power cut tears has another digest, and is as good as gone.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from nnlab.runtime.machine import available_memory, in_bytes

DIGEST_BYTES = 16
MAX_BYTES = 2**36  # of a file that is read: nobody's data set is larger
LARGE_BYTES = 2**26  # of a file for which one looks whether it fits into memory
# What a file that another machine has removed meanwhile raises; the second is of NFS.
GONE = (errno.ENOENT, errno.ESTALE)


class Damaged(Exception):
    """A file that is not as nnlab wrote it: torn by a power cut, somebody else's, or a link."""


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, or replace it; nobody ever sees half of it. Raises `OSError` with its name."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with _naming(path):
            # Anew, and through no link, which somebody may have left in a folder of theirs.
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
            with open(handle, "wb") as file:
                file.write(_digest(content))
                file.write(content)
            os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def read_whole(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """The content of a file. Raises `FileNotFoundError` if it is gone, `Damaged`, and `MemoryError`."""
    try:
        # Without O_NONBLOCK, opening a pipe waits until somebody writes into it.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode) or status.st_size > max_bytes + DIGEST_BYTES:
                raise Damaged(f"'{path}' is not a file of nnlab's")
            if status.st_size > LARGE_BYTES:
                _refuse_too_large(path, status.st_size)
            digest, content = file.read(DIGEST_BYTES), file.read()
    except OSError as e:
        if e.errno == errno.ELOOP:
            raise Damaged(f"'{path}' is a link") from e
        if e.errno in GONE:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from e
        raise OSError(e.errno, e.strerror, str(path)) from e
    if digest != _digest(content):
        raise Damaged(f"'{path}' is not whole")
    return content


def rename(source: Path, target: Path) -> bool:
    """Rename a file; False if it is gone: somebody else was quicker."""
    try:
        os.rename(source, target)
    except OSError as e:
        if e.errno not in GONE:
            raise
        # A server whose answer was lost is asked again, and then says that the file is gone.
        return os.path.lexists(target)
    return True


def remove(path: Path) -> None:
    """Remove a file, if it is there."""
    with ignoring_gone():
        os.unlink(path)


def names_in(folder: Path) -> list[str]:
    """The sorted names in a folder, read anew; none if it is gone."""
    with ignoring_gone():
        return sorted(os.listdir(folder))
    return []


@contextlib.contextmanager
def ignoring_gone() -> Iterator[None]:
    """Ignore that a file is gone already."""
    try:
        yield
    except OSError as e:
        if e.errno not in GONE:
            raise


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors of writing a file say which one: that of a full disk does not."""
    try:
        yield
    except OSError as e:
        raise OSError(e.errno, e.strerror, str(path)) from e


def _refuse_too_large(path: Path, size: int) -> None:
    """Raise `MemoryError` for a file that would take all memory: one of holes takes no room on a disk."""
    free = available_memory()
    if free is not None and size > free / 2:
        raise MemoryError(f"'{path}' has {in_bytes(size)}; this machine has {in_bytes(free)} left")


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()
