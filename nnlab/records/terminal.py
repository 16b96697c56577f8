"""`Terminal`: prints lines to a stream and, on a terminal, keeps a live view below them."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from time import monotonic

from nnlab.records.text import is_terminal, make_printable
from nnlab.records.text_columns import wrap_line

REFRESH_SECONDS = 0.2


class Terminal:
    """Prints lines to `stream`; on a terminal `show` keeps a live view below them, until `stop`.

    `view(screen)` returns what rich renders as the live view.
    """

    def __init__(self, stream=None, view: Callable | None = None):
        self.stream, self.view = stream or sys.stdout, view
        self.is_terminal = is_terminal(self.stream)
        self._plain = not self.is_terminal or bool(os.environ.get("NO_COLOR"))
        self._live, self._shown_at = None, 0.0

    def line(self, text: str) -> None:
        """Print above the live view, wrapped, in characters that the stream can encode."""
        for part in wrap_line(make_printable(text, self.stream)):
            self._write(part)

    def title(self, text: str) -> None:
        """Print a line in bold."""
        for part in wrap_line(make_printable(text, self.stream)):
            self._write(part if self._plain else f"\x1b[1m{part}\x1b[0m")

    def _write(self, text: str) -> None:
        try:
            if self._live is not None:
                self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)
            else:
                print(text, file=self.stream, flush=True)
        except OSError as e:
            raise OSError(e.errno, e.strerror, "standard output") from e

    def show(self, should_show: Callable[[], bool]) -> None:
        """Start the live view once `should_show()`, and refresh it at most five times a second."""
        if not self.is_terminal:
            return
        now = monotonic()
        if self._live is None:
            if not should_show():
                return
            from nnlab.records.live import start_live  # imports rich

            self._live = start_live(self.view, self.stream)
            atexit.register(self.stop)  # restores the cursor that the live view hides
        elif now - self._shown_at >= REFRESH_SECONDS:
            self._live.refresh()
            self._shown_at = now

    def stop(self) -> None:
        """Remove the live view."""
        if self._live is not None:
            self._live.stop()
            self._live = None
            atexit.unregister(self.stop)
