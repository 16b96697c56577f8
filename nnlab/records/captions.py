"""Says where a caption is read beside other settings than those of the experiment it was written for."""

from __future__ import annotations

import shlex

from nnlab.records.files import RECORDING_KEYS

# What changes no number that a caption speaks of.
HARMLESS_KEYS = {*RECORDING_KEYS, "experiment", "device", "threads", "histograms", "record"}


def with_changes(caption: str, commands: list[str]) -> str:
    """The caption and, where all these commands change the settings of an experiment, a sentence about that.

    >>> with_changes("It falls to 2%.", ["nnlab train experiment=lecture/mlp epochs=5"])
    'It falls to 2%. (Said of experiment=lecture/mlp as it stands; this is with epochs=5.)'
    """
    words = [_words(command) for command in commands]
    common = [word for word in words[0] if all(word in others for others in words)] if words else []
    experiments = [word for word in common if _key(word) == "experiment"]
    changed = [word for word in common if _changes_results(word)]
    if not caption or not experiments or not changed or any(_key(word) == "caption" for word in common):
        return caption
    return f"{caption} (Said of {experiments[0]} as it stands; this is with {' '.join(changed)}.)"


def _words(command: str) -> list[str]:
    try:
        return [word for word in shlex.split(command)[2:] if not word.startswith("-")]
    except ValueError:  # not by nnlab: it quotes what it writes
        return []


def _key(word: str) -> str:
    return word.lstrip("+~").partition("=")[0]


def _changes_results(word: str) -> bool:
    key = _key(word)
    return "=" in word and key not in HARMLESS_KEYS and not key.startswith(("hydra.", "checkpoint."))
