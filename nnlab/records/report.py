"""report.html: a sweep on one page, which needs no network. Optuna's figures, curves, a table.

Optuna's figures need plotly, whose import takes a second: `Artist` does it in a process of its own while
the sweep is under way.
"""

from __future__ import annotations

import contextlib
import html
import multiprocessing
import signal
import sys
from pathlib import Path

from nnlab.errors import visible
from nnlab.records.files import aside, replacing
from nnlab.records.report_story import PLACE_OF_WINNER, Story

REPORT = "report.html"
# Optuna imports these for figures and importances of other kinds, and does without if it must: 0.2 seconds of
# processor time instead of 2.1 for all that is imported.
NOT_NEEDED = ("sklearn", "matplotlib")


class Artist:
    """Draws the report in a process of its own, which begins to import what it needs at once.

    Without forks (not on Linux), or if it may not (`apart`), it draws in this process, when it is asked.
    """

    def __init__(self, apart: bool = True):
        self._pipe = self._process = self._work = None
        if apart and sys.platform.startswith("linux"):
            fork = multiprocessing.get_context("fork")
            self._pipe, theirs = fork.Pipe()
            self._process = fork.Process(target=_draw_in_time, args=(theirs, self._pipe), daemon=True)
            self._process.start()
            theirs.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process:
            self._pipe.close()
            self._process.terminate()
            self._process.join()
            if self._work:  # ended while it wrote
                aside(self._work[0], self._process.pid).unlink(missing_ok=True)

    def begin(self, path: Path, story: Story) -> None:
        """Begin to draw the page at `path`."""
        self._work = path, story
        if self._pipe:
            with contextlib.suppress(OSError):  # `end` will say that nobody is there
                self._pipe.send(self._work)

    def end(self) -> tuple[dict[str, float], str]:
        """Wait until it is drawn; the parameters' importances, and why the page is missing, if it is.

        No sweep is lost for a picture: whatever goes wrong in drawing is a note.
        """
        try:
            result = self._pipe.recv() if self._pipe else _drawn(*self._work)
        except (EOFError, OSError):
            result = "its process was killed"
        if isinstance(result, str):
            return {}, f"{REPORT} was not drawn: {result}"
        return result, ""


def _draw_in_time(pipe, parents_end) -> None:
    """The artist's process: import, wait for the story, draw it, send the importances."""
    parents_end.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # its parent ends it
    try:
        for name in NOT_NEEDED:
            sys.modules.setdefault(name, None)
        _load()
        pipe.send(_drawn(*pipe.recv()))
    except (EOFError, ConnectionError):
        pass  # the sweep ended before it had something to draw
    except Exception as e:
        pipe.send(f"{type(e).__name__}: {e}")


def _load():
    """The module that draws, which imports plotly."""
    from nnlab.records import report_page

    return report_page


def _drawn(path: Path, story: Story) -> dict[str, float] | str:
    """The importances, once the page is drawn; or why it could not be."""
    try:
        return _load().draw(path, story)
    except Exception as e:
        return f"{type(e).__name__}: {e}"


def add_lines(path: Path, lines: list[str]) -> None:
    """Put lines below those of the page that is drawn: what is known only when the winner has been tested."""
    text = "\n".join(line.removeprefix("  ") for line in lines)
    drawn = path.read_text(encoding="utf-8")
    added = f"<pre>{html.escape(visible(text))}</pre>" if lines else ""
    with replacing(path) as file:
        file.write_text(drawn.replace(PLACE_OF_WINNER, added, 1), encoding="utf-8")
