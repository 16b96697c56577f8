"""The words of `nnlab predict`, `evaluate` and `export`: RUN and DATA need no key, and have any letters."""

from __future__ import annotations

import os
import re
from pathlib import Path

from nnlab.catalogue import Catalogue
from nnlab.commands.quoting import quote_text
from nnlab.errors import UserError, shortened

BARE_KEYS = ("run", "data")  # the keys of words without one, in this order
SYNONYMS = {
    "model": "run", "folder": "run", "path": "data", "file": "data", "data.path": "data",
    "data.target": "target", "out": "output",
}  # fmt: skip


def run_overrides(command: str, words: list[str]) -> list[str]:
    """The words as overrides in Hydra's grammar, RUN and DATA with their keys. Raises `UserError`.

    >>> run_overrides("predict", ["outputs/train/a_lr=0.1,b=[2]", "my data (1).csv", "row=3"])
    ["run='outputs/train/a_lr=0.1,b=[2]'", "data='my data (1).csv'", 'row=3']
    """
    keys = Catalogue(command).keys()
    overrides, bare_words = [], []
    for word in words:
        key, equals, value = word.partition("=")
        key = _resolve_synonym(key.lstrip("+"), keys)
        if not equals or key not in keys and _is_path(word):
            bare_words.append(word)
        else:
            overrides.append(f"{key}={_value(value, keys[key].field.types if key in keys else ())}")
    given = {override.partition("=")[0] for override in overrides}
    free_keys = [key for key in BARE_KEYS if key in keys and key not in given]
    if len(bare_words) > len(free_keys):
        raise UserError(_too_many(command, bare_words[len(free_keys)], free_keys, "data" in keys))
    if (
        _is_data_before_run(bare_words)
        or free_keys == [*BARE_KEYS]
        and len(bare_words) == 1
        and _is_data(bare_words[0])
    ):
        free_keys.reverse()
    return [f"{key}={quote_text(word)}" for key, word in zip(free_keys, bare_words, strict=False)] + overrides


def _resolve_synonym(key: str, keys) -> str:
    """The key itself, or the key of this command that it is a synonym of."""
    return SYNONYMS[key] if key not in keys and SYNONYMS.get(key) in keys else key


def _is_path(word: str) -> bool:
    """Whether a word with an equals sign is a path, as folders have it that are named after overrides."""
    return "/" in word.partition("=")[0] or os.path.lexists(word)


def _value(value: str, types: tuple[str, ...]) -> str:
    """The value of a key of these types as Hydra reads it: text in quotes, unless it has some."""
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    is_number = "int" in types and re.fullmatch(r"-?\d+", value)
    return value if "str" not in types or is_quoted or is_number or value == "null" else quote_text(value)


def _is_data_before_run(bare_words: list[str]) -> bool:
    """Whether the data stand before the run."""
    return len(bare_words) == 2 and _is_data(bare_words[0]) and Path(bare_words[1]).is_dir()


def _is_data(word: str) -> bool:
    """Whether it is a file of examples, and not one in the folder of a run."""
    return Path(word).is_file() and not (Path(word).parent / "config.yaml").is_file()


def _too_many(command: str, word: str, free_keys: list[str], takes_data: bool) -> str:
    if not takes_data:
        return f"'{shortened(word)}': nnlab {command} takes one run; a path with spaces needs quotes"
    if free_keys == [*BARE_KEYS]:
        return (
            f"'{shortened(word)}': nnlab {command} takes one run and one file of examples; a path with "
            f"spaces needs quotes"
        )
    return f"'{shortened(word)}': the run and the data are given already"
