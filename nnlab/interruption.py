"""Signal handling: a Ctrl-C while training stops it after the epoch, so that the best weights are saved.

A command treats SIGTERM (a batch system's time is up) and SIGHUP (the terminal is gone) in the same way.

The flags are global, since a signal handler can keep its state nowhere else. Worker processes are forks: they
inherit the handler, and each has its own copy of the flags.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

FINISHING_EPOCH = b"\nfinishing this epoch, to keep the best weights so far; Ctrl-C again stops at once\n"
FINISHING_STEP = b"\nfinishing this step, to save the run; Ctrl-C again stops at once\n"
# `timeout` sends its signal to a process and to its group: the second one is nobody's wish.
REPEAT_SECONDS = 0.1
ENDING_SIGNALS = tuple(getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n))

_stop_requested = False  # whether training is to end after the current epoch
_is_handled = False  # whether a caller of `stop_at_epoch_end` checks `_stop_requested`
_last_signal = 0  # the number of the last signal that interrupted; 0 if none did
_told_of_signal = False  # whether a stop is requested since another process got a signal, this one not yet
_ignores_sigterm = False  # for good
_deferring = 0  # how many blocks of `signals_deferred` are open
_deferred_signal = 0  # the number of the signal that arrived in one of them and is to interrupt; 0: none


def stop_requested() -> bool:
    """Whether training is to end after the current epoch."""
    return _stop_requested


def request_stop(by_signal: int = 0) -> None:
    """Ask training to end after the current epoch; perhaps since another process got that signal."""
    global _stop_requested, _last_signal, _told_of_signal
    if by_signal and not _stop_requested:
        _told_of_signal = True
    _stop_requested = True
    _last_signal = by_signal or _last_signal


def last_signal() -> int:
    """The number of the last signal that interrupted; 0 if none did."""
    return _last_signal


def was_interrupted() -> bool:
    """Whether the process was interrupted, even if a library has caught the exception."""
    return _last_signal != 0


def exit_code() -> int:
    """The exit code of an interrupted process: 130 after Ctrl-C."""
    return 128 + (_last_signal or signal.SIGINT)


def exit_on_ctrl_c(command: str) -> None:
    """Let a Ctrl-C end the process with one sentence, while there is nothing to save."""

    # No exception: it would be raised anywhere, and a library that is being imported turns it into another.
    def handle(number, frame):
        _write_to_stderr(f"{command}: interrupted\n".encode())
        os._exit(128 + number)

    _handle_with(handle, signal.SIGINT)


@contextmanager
def raise_on_signals() -> Iterator[None]:
    """Let each of the `ENDING_SIGNALS` raise `KeyboardInterrupt`, since there is something to save."""
    global _last_signal
    _last_signal = 0
    previous_handlers = _handle_with(_raise, *ENDING_SIGNALS)
    try:
        yield
    finally:
        _restore(previous_handlers)


@contextmanager
def stop_at_epoch_end(note: bytes = FINISHING_EPOCH) -> Iterator[bool]:
    """Within the block a first Ctrl-C only requests a stop, and writes `note`; a second raises
    `KeyboardInterrupt`.

    Yields whether the caller has to check `stop_requested`: not if it is nested in another such block.
    """
    global _stop_requested, _is_handled, _told_of_signal
    if _is_handled:
        yield False
        return
    # Other signals request a stop too, but only where `raise_on_signals` handles them: in a program that uses
    # nnlab as a library, SIGTERM belongs to the program.
    other_signals = [n for n in ENDING_SIGNALS if n != signal.SIGINT and signal.getsignal(n) is _raise]

    first_signal = 0.0  # the time of it

    def handle(number, frame):
        global _last_signal, _told_of_signal
        nonlocal first_signal
        if _told_of_signal:  # the same wish: a batch system's signals arrive here and there, one by one
            _told_of_signal, first_signal = False, time.monotonic()
        if _stop_requested and time.monotonic() - first_signal < REPEAT_SECONDS:
            return
        first_signal = time.monotonic() if not _stop_requested else first_signal
        if _stop_requested:
            _handle_with(signal.SIG_IGN, *previous_handlers)  # a third must not interrupt the clean-up
            _raise(number, frame)
        _last_signal = number
        request_stop()
        _write_to_stderr(note)

    previous_handlers = _handle_with(handle, signal.SIGINT, *other_signals)
    _is_handled = is_outermost = bool(previous_handlers)
    try:
        yield is_outermost
    finally:
        _restore(previous_handlers)
        # Otherwise the flags belong to a block that another thread has entered meanwhile.
        if is_outermost or not _is_handled:
            _stop_requested = _is_handled = _told_of_signal = False


def ignore_sigterm() -> None:
    """From now on, for a process that is ending: whoever starts several ends all once one of them is lost."""
    global _ignores_sigterm
    _ignores_sigterm = True
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def request_stop_on_signals() -> None:
    """For a worker process: however many signals arrive, only its parent ends it."""
    global _deferring, _deferred_signal
    _deferring = _deferred_signal = 0  # of the parent, which started the worker in such a block
    _handle_with(lambda number, frame: request_stop(number), *ENDING_SIGNALS)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Defer signals until the end of the block, which must not be left half done."""
    global _deferring
    if threading.current_thread() is not threading.main_thread():  # which handles no signals
        yield
        return
    has_masks = hasattr(signal, "pthread_sigmask")  # not on Windows
    previous_mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS) if has_masks else set()
    _deferring += 1
    try:
        yield
    finally:
        _deferring = max(0, _deferring - 1)  # a fork has begun anew
        if has_masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, previous_mask)
        _raise_deferred()


def _raise_deferred() -> None:
    if _deferred_signal and not _deferring:
        _raise(_deferred_signal, None)


def _raise(number, frame):
    global _last_signal, _deferred_signal
    if _deferring:  # another thread, whose mask does not block it, has taken the signal in
        _deferred_signal = number
        return
    _deferred_signal = 0
    _last_signal = number
    raise KeyboardInterrupt


def _write_to_stderr(text: bytes) -> None:
    # Not `print`: the handler may have interrupted one. If the terminal is gone or the disk full, nothing
    # can be said.
    with contextlib.suppress(OSError):
        os.write(2, text)


def _handle_with(handler, *numbers) -> dict:
    """Set the handler of these signals; returns the previous ones, by number.

    An ignored signal stays ignored, as under nohup. Only the main thread can set handlers: in others, {}.
    """
    previous_handlers = {}
    for number in numbers:
        try:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                previous_handlers[number] = signal.signal(number, handler)
        except ValueError:
            return {}
    return previous_handlers


def _restore(previous_handlers: dict) -> None:
    for number, handler in previous_handlers.items():
        if not (_ignores_sigterm and number == signal.SIGTERM):
            signal.signal(number, handler)
