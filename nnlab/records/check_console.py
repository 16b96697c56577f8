"""Screen output of `nnlab check`: a line for each rung and, where something is wrong, advice."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap

from nnlab.errors import visible
from nnlab.records.text import format_duration, is_terminal, make_encodable
from nnlab.records.text_columns import LINE_WIDTH, labelled_lines, wrap_line

STATUS_COLOURS = {"pass": "32", "warn": "33", "fail": "31;1"}
FINDING_INDENT = " " * 21
ADVICE_ARROW = "-> "
ADVICE_INDENT = FINDING_INDENT + " " * len(ADVICE_ARROW)


class CheckConsole:
    """Prints verdicts to `stream`, each as soon as it is known.

    with CheckConsole(title, rungs) as console:
        console.verdict(verdict)      each rung
        console.close(folder)
    """

    def __init__(self, title: str, rungs: list[str], stream=None):
        self.stream = stream or sys.stdout
        self.pending_rungs, self.statuses, self.seconds = list(rungs), [], 0.0
        self.on_terminal = is_terminal(self.stream)
        self.plain = not self.on_terminal or bool(os.environ.get("NO_COLOR"))
        self.width = LINE_WIDTH
        if self.on_terminal:
            self.width = min(shutil.get_terminal_size().columns, LINE_WIDTH)
        for part in wrap_line(title):
            self._print(self._coloured(part, "1"))
        self._print("")
        self._show_running_rung()

    def verdict(self, verdict) -> None:
        """Print the rung's line, with further findings and all advice below it."""
        self.statuses.append(verdict.status)
        self.seconds += verdict.seconds
        status = self._coloured(f"{verdict.status:4}", STATUS_COLOURS[verdict.status])
        for n, finding in enumerate(verdict.findings):
            prefix = f"  {status}  {verdict.rung:13}" if n == 0 else FINDING_INDENT
            self._print_lines(prefix, FINDING_INDENT, self._wrap(finding.found))
            advice = self._wrap(finding.advice, len(ADVICE_ARROW))
            self._print_lines(FINDING_INDENT + ADVICE_ARROW, ADVICE_INDENT, advice)
        self.pending_rungs.remove(verdict.rung)
        self._show_running_rung()

    def close(self, folder, pictures: list[str] | None = None) -> None:
        """Print how many rungs passed, warned and failed, the time, the folder, and the pictures in it."""
        counts = {"pass": "passed", "warn": "warned", "fail": "failed"}
        parts = [f"{self.statuses.count(s)} {word}" for s, word in counts.items() if s in self.statuses]
        self._print("")
        self._print(f"  {', '.join(parts)} in {format_duration(self.seconds)}")
        for line in labelled_lines("check folder", visible(str(folder))):
            self._print(line)
        if pictures:
            label = f"  {'pictures':19}"
            self._print_lines(label, " " * len(label), self._wrap(", ".join(pictures)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.on_terminal:
            self.stream.write("\x1b[2K")
            self.stream.flush()

    def _show_running_rung(self) -> None:
        """Name the running rung on a terminal; its verdict will overwrite this line."""
        if self.on_terminal and self.pending_rungs:
            self.stream.write(f"  ...   {self.pending_rungs[0]}\r")
            self.stream.flush()

    def _wrap(self, text: str, prefix_width: int = 0) -> list[str]:
        width = max(30, self.width - len(FINDING_INDENT) - prefix_width)
        return textwrap.wrap(visible(text), width, break_long_words=False)

    def _print_lines(self, prefix: str, indent: str, lines: list[str]) -> None:
        """Print the first line behind the prefix, the others indented."""
        for line in lines[:1]:
            self._print(prefix + line)
        for line in lines[1:]:
            self._print(indent + line)

    def _coloured(self, text: str, colour: str) -> str:
        return visible(text) if self.plain else f"\x1b[{colour}m{visible(text)}\x1b[0m"

    def _print(self, line: str) -> None:
        """Print a line whose parts are already `visible`; the line itself may have colour codes."""
        erase = "\x1b[2K" if self.on_terminal else ""
        print(erase + make_encodable(line, self.stream), file=self.stream, flush=True)
