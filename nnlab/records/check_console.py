"""What a person sees of a check: a line for each rung and, where something is wrong, what to try."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap

from nnlab.errors import visible
from nnlab.records.text import duration, encodable, on_terminal
from nnlab.records.text_columns import LINE_WIDTH, labelled, wrapped

STATUS_COLOURS = {"pass": "32", "warn": "33", "fail": "31;1"}
FINDING_INDENT = " " * 21
ADVICE_ARROW = "-> "
ADVICE_INDENT = FINDING_INDENT + " " * len(ADVICE_ARROW)


class CheckConsole:
    """Shows verdicts on `stream`, each as soon as it is there.

    with CheckConsole(title, rungs) as console:
        console.verdict(verdict)      each rung
        console.close(folder)
    """

    def __init__(self, title: str, rungs: list[str], stream=None):
        self.stream = stream or sys.stdout
        self.waiting, self.statuses, self.seconds = list(rungs), [], 0.0
        self.on_terminal = on_terminal(self.stream)
        self.plain = not self.on_terminal or bool(os.environ.get("NO_COLOR"))
        self.width = LINE_WIDTH
        if self.on_terminal:
            self.width = min(shutil.get_terminal_size().columns, LINE_WIDTH)
        for part in wrapped(title):
            self._print(self._coloured(part, "1"))
        self._print("")
        self._announce()

    def verdict(self, verdict) -> None:
        """The rung's line; further findings and all advice below it."""
        self.statuses.append(verdict.status)
        self.seconds += verdict.seconds
        status = self._coloured(f"{verdict.status:4}", STATUS_COLOURS[verdict.status])
        for n, finding in enumerate(verdict.findings):
            head = f"  {status}  {verdict.rung:13}" if n == 0 else FINDING_INDENT
            self._print_lines(head, FINDING_INDENT, self._wrapped(finding.found))
            advice = self._wrapped(finding.advice, len(ADVICE_ARROW))
            self._print_lines(FINDING_INDENT + ADVICE_ARROW, ADVICE_INDENT, advice)
        self.waiting.remove(verdict.rung)
        self._announce()

    def close(self, folder) -> None:
        """How many of each, how long it took, where the files are."""
        counts = {"pass": "passed", "warn": "warned", "fail": "failed"}
        words = [f"{self.statuses.count(s)} {word}" for s, word in counts.items() if s in self.statuses]
        self._print("")
        self._print(f"  {', '.join(words)} in {duration(self.seconds)}")
        for line in labelled("check folder", visible(str(folder))):
            self._print(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.on_terminal:
            self.stream.write("\x1b[2K")
            self.stream.flush()

    def _announce(self) -> None:
        """The rung that is under way, on a terminal: its verdict then takes this line."""
        if self.on_terminal and self.waiting:
            self.stream.write(f"  ...   {self.waiting[0]}\r")
            self.stream.flush()

    def _wrapped(self, text: str, less: int = 0) -> list[str]:
        width = max(30, self.width - len(FINDING_INDENT) - less)
        return textwrap.wrap(visible(text), width, break_long_words=False)

    def _print_lines(self, head: str, indent: str, lines: list[str]) -> None:
        """The first line behind its head, the others below it."""
        for line in lines[:1]:
            self._print(head + line)
        for line in lines[1:]:
            self._print(indent + line)

    def _coloured(self, text: str, colour: str) -> str:
        return visible(text) if self.plain else f"\x1b[{colour}m{visible(text)}\x1b[0m"

    def _print(self, line: str) -> None:
        """A line whose parts are `visible`, since it may have colours."""
        erase = "\x1b[2K" if self.on_terminal else ""
        print(erase + encodable(line, self.stream), file=self.stream, flush=True)
