"""The command line that a run's folder records, taken apart and changed. Somebody may have edited it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from nnlab.commands.command_line import by_key
from nnlab.records.text import shell_line


def recorded_words(command: str) -> list[str]:
    """The words of the line; of what is no line of nnlab's the first two.

    >>> recorded_words("nnlab train optimizer=adam"), recorded_words("ls -a")
    (['nnlab', 'train', 'optimizer=adam'], ['nnlab', 'train'])
    """
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    return words if words[:1] == ["nnlab"] else ["nnlab", "train"]


def recorded_overrides(command: str) -> list[str]:
    """The KEY=VALUE words among them."""
    return [word for word in recorded_words(command)[2:] if "=" in word]


def with_words(command: str, words: Iterable[str]) -> str:
    """The recorded line with these KEY=VALUE words, in place of others with the same keys.

    >>> with_words("nnlab train -cd mine seed=1 epochs=5", ["seed=7"])
    'nnlab train -cd mine seed=7 epochs=5'
    """
    before = recorded_words(command)
    flags = [word for word in before[2:] if "=" not in word]
    overrides = by_key([*recorded_overrides(command), *words])
    return shell_line([*before[:2], *flags, *overrides.values()])
