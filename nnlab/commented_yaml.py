"""Reads YAML files with their comments, which say what the settings mean."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nnlab.errors import UserError
from nnlab.untrusted import MAX_FILE_BYTES, read_text, read_yaml


@dataclass(frozen=True)
class CommentedYaml:
    """A YAML file: its settings, the comment at its head, and the comments by key."""

    settings: dict
    head: str
    comments: dict[str, str]


@cache
def read(file: Path) -> CommentedYaml:
    """A YAML file with its comments; one without settings and comments, if it cannot be read."""
    try:
        text = read_text(file, MAX_FILE_BYTES["YAML"])
        settings = read_yaml(file)
    except UserError:
        return CommentedYaml({}, "", {})
    head, comments = parse_comments(text)
    return CommentedYaml(settings if isinstance(settings, dict) else {}, head, comments)


_KEY_LINE = re.compile(
    r"^(?P<indent> *)(?P<key>[\w.]+):(?P<value>(?:[^#'\"]|'[^']*'|\"[^\"]*\"|(?<! )#)*)(?P<comment>#.*)?$"
)


def parse_comments(text: str) -> tuple[str, dict[str, str]]:
    """The comment at the head of a YAML file, and that beside each key, by its path.

    >>> parse_comments("# Head.\\na:\\n  b: 1   # one\\n         # more\\n")
    ('Head.', {'a.b': 'one more'})
    """
    lines = text.splitlines()
    head = []
    for line in lines:
        if not line.startswith("#"):
            break
        head += [line[1:].removeprefix(" ")] if not line.startswith("# @package") else []
    comments: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    key, column = "", 0
    for line in lines:
        match = _KEY_LINE.match(line)
        if match:
            indent = len(match["indent"])
            path = [(depth, name) for depth, name in path if depth < indent] + [(indent, match["key"])]
            key = ".".join(name for _, name in path)
            column = match.start("comment") if match["comment"] else 0
            if column:
                comments[key] = match["comment"][1:].strip()
        elif column and line.lstrip().startswith("#") and line.index("#") == column:
            comments[key] += " " + line.strip()[1:].strip()
        else:
            column = 0
    return "\n".join(head), comments
