"""Ctrl-C while training: it ends with the epoch, so that the best weights so far are kept.

A flag for the whole process, since a signal has no other place to put it. Workers are forks and inherit the
handler; each has a flag of its own.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

NOTE = b"\nfinishing this epoch, to keep the best weights so far; Ctrl-C again stops at once\n"

_asked = False
_seen_to = False  # somebody is there who lets training end


def asked() -> bool:
    """Whether training is to end with the epoch under way."""
    return _asked


def ask() -> None:
    """Let training end with the epoch under way."""
    global _asked
    _asked = True


@contextmanager
def between_epochs() -> Iterator[bool]:
    """While this lasts, a first Ctrl-C only asks; a second raises `KeyboardInterrupt`, as ever.

    Yields whether it is for the caller to see to what was asked, and not for somebody around it.
    """
    global _asked, _seen_to
    if _seen_to:
        yield False
        return

    def handle(number, frame):
        if _asked:
            _handle_with(signal.SIG_IGN)  # what is raised now is not interrupted on its way out
            raise KeyboardInterrupt
        ask()
        os.write(2, NOTE)  # `print` may not be called from a handler that interrupted a `print`

    before = _handle_with(handle)
    _seen_to = mine = before is not None
    try:
        yield mine
    finally:
        if mine:
            signal.signal(signal.SIGINT, before)
        if mine or not _seen_to:  # else somebody else was asked meanwhile, in another thread
            _asked = _seen_to = False


def only_ask() -> None:
    """For a worker: however often it is interrupted, its parent says when it ends."""
    _handle_with(lambda number, frame: ask())
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@contextmanager
def deferred() -> Iterator[None]:
    """A Ctrl-C within comes after it: for what must not be left half done."""
    if not hasattr(signal, "pthread_sigmask"):  # not on this system
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _handle_with(handler):
    """Set the handler; the one before, or None in a thread, where there is none to set."""
    try:
        return signal.signal(signal.SIGINT, handler)
    except ValueError:
        return None
