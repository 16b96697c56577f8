"""Ctrl-C while training: it ends with the epoch, so that the best weights so far are kept.

To a command, SIGTERM (a batch system's time is up) and SIGHUP (the terminal is gone) say the same.

Flags for the whole process, since a signal has no other place to put them. Workers are forks and inherit the
handler; each has flags of its own.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

NOTE = b"\nfinishing this epoch, to keep the best weights so far; Ctrl-C again stops at once\n"
SIGNALS = tuple(getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n))

_asked = False
_seen_to = False  # somebody is there who lets training end
_number = 0  # of the last signal that interrupted; 0: none did


def asked() -> bool:
    """Whether training is to end with the epoch under way."""
    return _asked


def ask() -> None:
    """Let training end with the epoch under way."""
    global _asked
    _asked = True


def came() -> bool:
    """Whether the process was interrupted, whatever a library that was at work then made of it."""
    return _number != 0


def code() -> int:
    """The exit code of an interrupted process: 130 after Ctrl-C."""
    return 128 + (_number or signal.SIGINT)


def ends_at_once(command: str) -> None:
    """Until somebody has something to keep, a Ctrl-C ends the process, in one sentence.

    No exception: it would be raised wherever Python is, and libraries that are being imported make others
    of it.
    """

    def handle(number, frame):
        _say(f"{command}: interrupted\n".encode())
        os._exit(128 + number)

    _handle_with(handle, signal.SIGINT)


@contextmanager
def raising() -> Iterator[None]:
    """While this lasts, each of the `SIGNALS` raises `KeyboardInterrupt`, as there is something to keep."""
    global _number
    _number = 0
    before = _handle_with(_raise, *SIGNALS)
    try:
        yield
    finally:
        _restore(before)


@contextmanager
def between_epochs() -> Iterator[bool]:
    """While this lasts, a first Ctrl-C only asks; a second raises `KeyboardInterrupt`, as ever.

    Yields whether it is for the caller to see to what was asked, and not for somebody around it.
    """
    global _asked, _seen_to
    if _seen_to:
        yield False
        return
    # What else would raise is asked too; in a program of somebody else's, SIGTERM is for them.
    others = [n for n in SIGNALS if n != signal.SIGINT and signal.getsignal(n) is _raise]

    def handle(number, frame):
        global _number
        if _asked:
            _handle_with(signal.SIG_IGN, *before)  # what is raised now is not interrupted on its way out
            _raise(number, frame)
        _number = number
        ask()
        _say(NOTE)

    before = _handle_with(handle, signal.SIGINT, *others)
    _seen_to = mine = bool(before)
    try:
        yield mine
    finally:
        _restore(before)
        if mine or not _seen_to:  # else somebody else was asked meanwhile, in another thread
            _asked = _seen_to = False


def only_ask() -> None:
    """For a worker: however often it is interrupted, its parent says when it ends."""
    _handle_with(lambda number, frame: ask(), *SIGNALS)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


@contextmanager
def deferred() -> Iterator[None]:
    """A Ctrl-C within comes after it: for what must not be left half done."""
    if not hasattr(signal, "pthread_sigmask"):  # not on this system
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _raise(number, frame):
    global _number
    _number = number
    raise KeyboardInterrupt


def _say(text: bytes) -> None:
    """`print` may not be called from a handler that interrupted a `print`; of a terminal that is gone, or a
    full disk, nobody can be told."""
    with contextlib.suppress(OSError):
        os.write(2, text)


def _handle_with(handler, *numbers) -> dict:
    """Set the handler; those before, or none in a thread, where there is none to set. What is ignored, as
    under nohup, stays so."""
    before = {}
    for number in numbers:
        try:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, handler)
        except ValueError:
            return {}
    return before


def _restore(before: dict) -> None:
    for number, handler in before.items():
        signal.signal(number, handler)
