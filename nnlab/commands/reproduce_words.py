"""The words of `nnlab reproduce`: TABLE, quick, full and FOLDER need no key."""

from __future__ import annotations

import os
from collections.abc import Iterable

from nnlab.commands.quoting import quote_text
from nnlab.errors import UserError, nearest, shortened
from nnlab.reproduction.published import REPRODUCTION_FILE, VERSIONS
from nnlab.reproduction.table_file import table_names

FLAGS = {f"--{version}": f"version={version}" for version in VERSIONS}
TEXT_KEYS = ("table", "version", "cells", "resume")  # whose values are quoted for Hydra's grammar


HELP_FLAGS = ("--help", "-h")


def help_words(argv: list[str]) -> list[str]:
    """The words, of which `TABLE --help` shows the table; help for anything else is the same for all tables.

    >>> help_words(["mnist1d", "quick", "--help"]), help_words(["mnist1d", "optimizer", "--help"])
    (['mnist1d'], ['optimizer', '--help'])
    """
    if not {*argv} & {*HELP_FLAGS}:
        return argv
    others = [word for word in argv if word not in (*HELP_FLAGS, *VERSIONS, *FLAGS)]
    tables = [word for word in others if word in table_names() or word.endswith((".yaml", ".yml"))]
    if tables and len(tables) == len(others):
        return tables
    return [word for word in argv if word not in tables] if tables else argv


def with_keys(words: Iterable[str]) -> list[str]:
    """The words as overrides. Raises `UserError` for a second table, or a second version.

    >>> with_keys(["dropconnect", "quick", "seeds=3", "cells=relu,tanh"])
    ["table='dropconnect'", "version='quick'", 'seeds=3', "cells='relu,tanh'"]
    """
    texts: dict[str, str] = {}
    overrides = []
    for word in words:
        key, value = _key_and_value(word)
        if key not in TEXT_KEYS:
            overrides.append(word)
            continue
        if value != texts.setdefault(key, value):
            kind = "folder" if key == "resume" else key
            meant = nearest(value, VERSIONS) if key == "table" else ""
            meant *= "mean" in meant
            raise UserError(
                f"'{texts[key]}' and '{shortened(value)}': nnlab reproduce takes one {kind}{meant}"
            )
        overrides.append(f"{key}={_quoted(value)}")
    return overrides


def _quoted(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value if is_quoted or value == "null" else quote_text(value)


def _key_and_value(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    is_folder = "/" in key or os.path.isfile(os.path.join(word, REPRODUCTION_FILE))
    if equals and not is_folder:
        return key, value
    if word in VERSIONS:
        return "version", word
    is_file = word.endswith((".yaml", ".yml"))
    return "resume" if is_folder and not is_file else "table", word
