"""Writing what `nnlab report` asks for: the page of each folder, into it or where the user says.

Everything here may import torch: report.py imports it once the words are known to be right.
"""

from __future__ import annotations

import os
from pathlib import Path

from nnlab import interruption
from nnlab.commands.messages import advice_on_stderr
from nnlab.commands.new_file import naming_output, new_file
from nnlab.errors import UserError
from nnlab.records.files import atomic_write
from nnlab.records.terminal import Terminal
from nnlab.records.text_columns import labelled_lines
from nnlab.report.folder_page import PAGE_FILE, folder_page
from nnlab.report.page import is_own_page

HTML_ENDINGS = (".html", ".htm")


def run(jobs: list[tuple[str, Path]], output: str | None) -> int:
    """Write the page of each job, a kind and its folder, and say where it is; 0."""
    files = [_file_of(folder, output) for _, folder in jobs]  # all are refused before any is written
    screen = Terminal()
    with advice_on_stderr("report"), interruption.raise_on_signals():
        for (kind, folder), file in zip(jobs, files, strict=True):
            page = folder_page(kind, folder)
            with naming_output(file), atomic_write(file) as temporary:
                temporary.write_text(page, encoding="utf-8")
            for line in labelled_lines("report", file):
                screen.line(line)
    return 0


def _file_of(folder: Path, output: str | None) -> Path:
    """Where the page goes. Raises `UserError` for a file that somebody else may have written."""
    if output is not None:
        return new_file("output", output, HTML_ENDINGS)
    file = folder / PAGE_FILE
    if os.path.lexists(file) and not is_own_page(file):
        raise UserError(f"'{file}' is not a page of nnlab report: it stays; choose another by output=FILE")
    return file
