"""Which configuration keys belong to a command rather than to the experiment it trains.

A command's YAML file says which keys and groups it adds to those of `nnlab train`; the sets below are the
keys that need special treatment.
"""

from __future__ import annotations

from functools import cache

from nnlab import declarations
from nnlab.commented_yaml import read
from nnlab.paths import CONFIG_DIR
from nnlab.records.files import RECORDING_KEYS

# Their values are folders of earlier sweeps, whose names contain = and ,
SWEEP_FOLDER_KEYS = ("resume", "refine")
# Where nnlab reads and writes: a configuration file may not set these.
LOCATION_KEYS = ("hydra", "storage", "study", *SWEEP_FOLDER_KEYS)
# May differ when a sweep is resumed.
CHANGEABLE_ON_RESUME = {"trials", "plan", "report", "launcher", *SWEEP_FOLDER_KEYS}


@cache
def keys_of(command: str) -> frozenset[str]:
    """The keys and groups that a command adds: `nnlab train` to the experiment, others to `nnlab train`."""
    if command == "train":
        return frozenset(RECORDING_KEYS)
    settings = read(CONFIG_DIR / f"{command}.yaml").settings
    groups = {key for entry in settings["defaults"] if isinstance(entry, dict) for key in entry}
    keys = frozenset({*settings, *groups} - {"defaults", "hydra"})
    # What is the experiment's has only another default there, as the seeds of nnlab compare.
    return keys - declarations.experiment_fields().keys() if "train" in settings["defaults"] else keys


def train_settings(settings: dict) -> dict:
    """A sweep's settings without the keys of the search: what `nnlab train` takes."""
    return {key: value for key, value in settings.items() if key not in keys_of("sweep")}


def experiment_settings(settings: dict, command: str = "train") -> dict:
    """A command's settings without the command's keys: what describes the experiment.

    Keys of other commands, which a user's file may have, stay: `Experiment` refuses them as unknown.
    """
    command_keys = keys_of("train") | keys_of(command)
    return {key: value for key, value in settings.items() if key not in command_keys}
