"""Ctrl-C while training: it ends after the epoch, so that the best weights so far are kept.

A command treats SIGTERM (a batch system's time is up) and SIGHUP (the terminal is gone) in the same way.

The flags are global, since a signal handler has no other place for them. Workers are forks: they inherit the
handler, and each has flags of its own.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

FINISHING_NOTE = b"\nfinishing this epoch, to keep the best weights so far; Ctrl-C again stops at once\n"
ENDING_SIGNALS = tuple(getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n))

_asked = False  # whether training is to end after the current epoch
_is_handled = False  # whether a caller of `between_epochs` looks at `_asked`
_last_signal = 0  # the number of the last signal that interrupted; 0 if none did


def asked() -> bool:
    """Whether training is to end after the current epoch."""
    return _asked


def ask() -> None:
    """Let training end after the current epoch."""
    global _asked
    _asked = True


def happened() -> bool:
    """Whether the process was interrupted, even if a library has caught the exception."""
    return _last_signal != 0


def code() -> int:
    """The exit code of an interrupted process: 130 after Ctrl-C."""
    return 128 + (_last_signal or signal.SIGINT)


def ends_at_once(command: str) -> None:
    """Let a Ctrl-C end the process with one sentence, as long as there is nothing to keep."""

    # No exception: it would be raised anywhere, and a library that is being imported turns it into another.
    def handle(number, frame):
        _say(f"{command}: interrupted\n".encode())
        os._exit(128 + number)

    _handle_with(handle, signal.SIGINT)


@contextmanager
def raising() -> Iterator[None]:
    """Let each of the `ENDING_SIGNALS` raise `KeyboardInterrupt`, since there is something to keep."""
    global _last_signal
    _last_signal = 0
    before = _handle_with(_raise, *ENDING_SIGNALS)
    try:
        yield
    finally:
        _restore(before)


@contextmanager
def between_epochs() -> Iterator[bool]:
    """While this lasts, a first Ctrl-C only sets `asked`; a second raises `KeyboardInterrupt`.

    Yields whether the caller has to look at `asked`: not if it runs within somebody else's `between_epochs`.
    """
    global _asked, _is_handled
    if _is_handled:
        yield False
        return
    # Other signals only ask too, where `raising` handles them. In somebody else's program SIGTERM is theirs.
    others = [n for n in ENDING_SIGNALS if n != signal.SIGINT and signal.getsignal(n) is _raise]

    def handle(number, frame):
        global _last_signal
        if _asked:
            _handle_with(signal.SIG_IGN, *before)  # a third must not interrupt the clean-up
            _raise(number, frame)
        _last_signal = number
        ask()
        _say(FINISHING_NOTE)

    before = _handle_with(handle, signal.SIGINT, *others)
    _is_handled = is_outermost = bool(before)
    try:
        yield is_outermost
    finally:
        _restore(before)
        # Otherwise the flags belong to somebody in another thread, who came meanwhile.
        if is_outermost or not _is_handled:
            _asked = _is_handled = False


def only_ask() -> None:
    """For a worker: no number of signals ends it, only its parent does."""
    _handle_with(lambda number, frame: ask(), *ENDING_SIGNALS)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)


@contextmanager
def deferred() -> Iterator[None]:
    """Defer a Ctrl-C until the end of the block, which must not be left half done."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _raise(number, frame):
    global _last_signal
    _last_signal = number
    raise KeyboardInterrupt


def _say(text: bytes) -> None:
    # Not `print`: the handler may have interrupted one. If the terminal is gone or the disk full, nothing
    # can be said.
    with contextlib.suppress(OSError):
        os.write(2, text)


def _handle_with(handler, *numbers) -> dict:
    """Set the handler of these signals; returns the previous ones, by number.

    An ignored signal stays ignored, as under nohup. Only the main thread can set handlers: in others, {}.
    """
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
