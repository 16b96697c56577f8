"""Reads the folder in `nnlab train resume=FOLDER` without Hydra: names of run folders contain = and ,"""

from __future__ import annotations

from pathlib import Path

from nnlab.commands.command_line import CommandLine, by_key, key_of

RESUME_KEY = "resume"


def resume_folder(line: CommandLine) -> Path | None:
    """The folder to go on with; None if the line begins a run."""
    text = by_key(line.overrides).get(RESUME_KEY, "").partition("=")[2]
    if text in ("", "null"):
        return None
    return Path(unquote_folder(text))


def unquote_folder(text: str) -> str:
    """The folder that was typed, in Hydra's quotes or not."""
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    if not is_quoted or Path(text).exists():
        return text
    return text[1:-1].replace("\\" + text[0], text[0])


def without_resume(line: CommandLine) -> CommandLine:
    """The line as it would begin a run."""
    return line.with_overrides(word for word in line.overrides if key_of(word) != RESUME_KEY)
