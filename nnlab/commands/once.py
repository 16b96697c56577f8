"""What one command does once, though several parts of it ask: read a file, compose a configuration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_kept: ContextVar[dict[str, dict]] = ContextVar("kept")


@contextmanager
def one_command() -> Iterator[None]:
    """What one command does: within, `kept` keeps."""
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def kept(kind: str) -> dict:
    """What the command under way has kept of a kind, to be read and added to. Outside of a command nothing is
    kept."""
    return _kept.get({}).setdefault(kind, {})
