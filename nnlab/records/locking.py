"""Locks on folders: the system releases a lock when its process ends, however it ends."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import IO

from nnlab.errors import UserError, advise
from nnlab.untrusted import refuse_link

try:
    import fcntl
except ImportError:  # not on this system: then nothing is locked
    fcntl = None

LOCK_TAKEN_ERRNOS = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)  # errors of a lock that another process holds


def open_locked(path: Path, command: str) -> IO[bytes]:
    """The file, open and locked: while it stays open, no other process of `command` writes into its folder.

    The lock is of the kind that a fork does not inherit, so that no worker keeps it. Raises `UserError` if it
    is taken, or the file is a link.
    """
    if os.path.lexists(path):
        refuse_link(path, path.lstat())
    file = open(path, "ab+")
    if fcntl is None:
        return file
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        if e.errno in LOCK_TAKEN_ERRNOS:
            file.close()
            raise UserError(f"'{path.parent}' is being written to by another {command}") from e
        advise(
            f"the file system of '{path.parent}' has no locks ({e.strerror}): make sure that no other "
            f"{command} writes there meanwhile"
        )
    os.set_inheritable(file.fileno(), False)
    return file
