"""Reads a PNG of a folder that may be a stranger's, for a page to show."""

from __future__ import annotations

from pathlib import Path

from nnlab.untrusted import plain_file, unlinked_file

MOST_BYTES = 2**22
PNG_BEGINNING = b"\x89PNG\r\n\x1a\n"


def stored_png(file: Path) -> bytes | None:
    """The content of a picture; None if there is none, or it is too large, or something else. Raises
    `UserError` for a link."""
    if not file.is_file():
        return None
    with plain_file(unlinked_file(file)) as opened:
        content = opened.read(MOST_BYTES + 1)
    return content if content.startswith(PNG_BEGINNING) and len(content) <= MOST_BYTES else None
