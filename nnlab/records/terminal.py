"""Lines on a stream and, on a terminal, a live view below them."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from time import monotonic

from nnlab.records.text import on_terminal, printable
from nnlab.records.text_columns import wrapped

REFRESH_SECONDS = 0.2


class Terminal:
    """Prints lines to `stream`; on a terminal `show` keeps a view below them, until `stop`.

    `view(screen)` is the view as rich renders it, for a screen of its own.
    """

    def __init__(self, stream=None, view: Callable | None = None):
        self.stream, self.view = stream or sys.stdout, view
        self.moves = on_terminal(self.stream)
        self._plain = not self.moves or bool(os.environ.get("NO_COLOR"))
        self._live, self._shown_at = None, 0.0

    def line(self, text: str) -> None:
        """Print above the live view, in letters that the stream has; what is too long in several lines."""
        for part in wrapped(printable(text, self.stream)):
            self._write(part)

    def title(self, text: str) -> None:
        """Print a line in bold."""
        for part in wrapped(printable(text, self.stream)):
            self._write(part if self._plain else f"\x1b[1m{part}\x1b[0m")

    def _write(self, text: str) -> None:
        try:
            if self._live is not None:
                self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)
            else:
                print(text, file=self.stream, flush=True)
        except OSError as e:
            raise OSError(e.errno, e.strerror, "standard output") from e

    def show(self, worth: Callable[[], bool]) -> None:
        """Start the live view once it is `worth` it, and refresh it five times a second at most."""
        if not self.moves:
            return
        now = monotonic()
        if self._live is None:
            if not worth():
                return
            from nnlab.records.live import start  # rich: only after a moment of training

            self._live = start(self.view, self.stream)
            atexit.register(self.stop)  # nobody can use a terminal whose cursor is hidden
        elif now - self._shown_at >= REFRESH_SECONDS:
            self._live.refresh()
            self._shown_at = now

    def stop(self) -> None:
        """Take the live view away."""
        if self._live is not None:
            self._live.stop()
            self._live = None
            atexit.unregister(self.stop)
