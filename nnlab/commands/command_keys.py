"""The keys that belong to a command, and not to the experiment: declared here, and asked for nowhere else.

A command's YAML says which keys and groups it adds to those of `nnlab train`. Listed by hand are only those
that some rule treats apart.
"""

from __future__ import annotations

from functools import cache

from nnlab.catalogue import read
from nnlab.paths import CONFIG_DIR
from nnlab.records.files import OF_RECORDING

FOLDER_KEYS = ("resume", "refine")  # of earlier sweeps: their folders have = and , in their names
# Where nnlab reads and writes: never a file's to say.
PLACE_KEYS = ("hydra", "storage", "study", *FOLDER_KEYS)
CHANGEABLE_KEYS = {"trials", "plan", "report", *FOLDER_KEYS}  # with which a sweep may go on changed


@cache
def keys_of(command: str) -> frozenset[str]:
    """The keys and groups that a command adds: `nnlab train` to the experiment, others to `nnlab train`."""
    if command == "train":
        return frozenset(OF_RECORDING)
    settings = read(CONFIG_DIR / f"{command}.yaml").settings
    groups = {key for entry in settings["defaults"] if isinstance(entry, dict) for key in entry}
    return frozenset({*settings, *groups} - {"defaults", "hydra"})


def of_train(settings: dict) -> dict:
    """A sweep's settings as `nnlab train` has them: without those of the search."""
    return {key: value for key, value in settings.items() if key not in keys_of("sweep")}


def of_experiment(settings: dict, command: str = "train") -> dict:
    """A command's settings that describe the experiment. (Of another command's keys, which a file of the
    user's may have, the experiment itself says that it does not know them.)"""
    owned = keys_of("train") | keys_of(command)
    return {key: value for key, value in settings.items() if key not in owned}
