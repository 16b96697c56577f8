"""Renders report.html of a sweep in a subprocess: one self-contained page of figures and a table.

Optuna's figures need plotly, which takes a second to import: `ReportRenderer` imports it in a subprocess
while the sweep is running.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
from pathlib import Path

from nnlab.records.files import atomic_write, temporary_path
from nnlab.report.sweep_data import WINNER_PLACEHOLDER, ReportData, winner_html

REPORT_FILE = "report.html"
# Optuna imports these for other figures and importances, but works without them: all imports then take 0.2
# seconds of processor time instead of 2.1.
SKIPPED_IMPORTS = ("sklearn", "matplotlib")


class ReportRenderer:
    """Renders the report in a subprocess, which starts importing plotly at once.

    Where there is no fork (not on Linux), or without `in_subprocess`, it renders in this process on demand.
    """

    def __init__(self, in_subprocess: bool = True):
        self._pipe = self._process = self._job = None
        if in_subprocess and sys.platform.startswith("linux"):
            fork = multiprocessing.get_context("fork")
            self._pipe, child_end = fork.Pipe()
            self._process = fork.Process(target=_run_subprocess, args=(child_end, self._pipe), daemon=True)
            self._process.start()
            child_end.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process:
            self._pipe.close()
            self._process.terminate()
            self._process.join()
            if self._job:  # terminated while it was writing
                temporary_path(self._job[0], self._process.pid).unlink(missing_ok=True)

    def submit(self, path: Path, data: ReportData) -> None:
        """Start rendering the page to `path`."""
        self._job = path, data
        if self._pipe:
            with contextlib.suppress(OSError):  # `result` will report that the process is gone
                self._pipe.send(self._job)

    def result(self) -> tuple[dict[str, float], str]:
        """Wait for the page; return the parameters' importances, and why the page is missing, if it is.

        A sweep must not fail because of its report, so any error in rendering is only a note.
        """
        try:
            reply = self._pipe.recv() if self._pipe else _draw(*self._job)
        except (EOFError, OSError):
            reply = "its process was killed"
        if isinstance(reply, str):
            return {}, f"{REPORT_FILE} was not drawn: {reply}"
        return reply, ""


def _run_subprocess(pipe, parent_end) -> None:
    """Main function of the subprocess: import, wait for the data, render, send the importances."""
    parent_end.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent terminates it
    try:
        for name in SKIPPED_IMPORTS:
            sys.modules.setdefault(name, None)
        _import_sweep_page()
        pipe.send(_draw(*pipe.recv()))
    except (EOFError, ConnectionError):
        pass  # the sweep ended before there was anything to render
    except Exception as e:
        pipe.send(f"{type(e).__name__}: {e}")


def _import_sweep_page():
    """The module that renders, which imports plotly."""
    from nnlab.report import sweep_page

    return sweep_page


def _draw(path: Path, data: ReportData) -> dict[str, float] | str:
    """Render the page; return the importances, or the error message."""
    try:
        return _import_sweep_page().write_report(path, data)
    except Exception as e:
        return f"{type(e).__name__}: {e}"


def insert_winner(path: Path, lines: list[str]) -> None:
    """Insert the winner's results, which are known only after its test, into a rendered page."""
    page = path.read_text(encoding="utf-8")
    with atomic_write(path) as file:
        file.write_text(page.replace(WINNER_PLACEHOLDER, winner_html(lines), 1), encoding="utf-8")
