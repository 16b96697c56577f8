"""Refuses configuration files that choose where nnlab writes, what it runs, or what it reads.

A file may come from a stranger. Only the command line, which the user typed, names places and variables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.resolvers import oc

from nnlab.commands import hydra_errors, hydra_overrides
from nnlab.commands.command_keys import LOCATION_KEYS
from nnlab.errors import UserError
from nnlab.paths import CONFIG_DIR

OWN_NAMES = ("best", "trials", ".best", ".reserved", ".lock")  # of files in a run's or a sweep's folder


@contextmanager
def environment_named_in(words: Iterable[str]) -> Iterator[None]:
    """`${oc.env:NAME}` reads the variables that these words name, and no others.

    Whatever a configuration reads is written into the run's folder: a file from somebody else may not pick
    what of the environment that is.
    """
    named = set(re.findall(r"oc\.env:\s*(\w+)", " ".join(words)))

    def read(name, *default):
        if str(name) not in named:
            raise UserError(
                f"a configuration file may not read the environment; give the value of {name} on the command "
                f"line"
            )
        return oc.env(name, *default)

    OmegaConf.register_new_resolver("oc.env", read, replace=True)
    try:
        yield
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def check_swept(params: dict) -> None:
    """Raise `UserError` if a file's `hydra.sweeper.params` sweep over a place."""
    for key, values in params.items():
        if str(key).lstrip("+~ ").split(".")[0].split("@")[0].split("/")[0] in LOCATION_KEYS:
            raise UserError(
                f"hydra.sweeper.params: {key}={values}: a configuration file may not say where nnlab writes; "
                f"if you want it, write it on the command line"
            )


def check_places(config: DictConfig, given: set[str]) -> None:
    """Only the command line, which has `given` these keys, says where nnlab writes: no file of `-cd` does."""
    for key in hydra_overrides.HYDRA_KEYS:
        written = hydra_errors.raw(config, key)
        if key not in given and written not in (None, *_shipped_places().get(key, ())):
            raise UserError(
                f"{key} = '{written}': a configuration file may not say where nnlab writes; if you want it, "
                f"write it on the command line"
            )


@cache
def _shipped_places() -> dict[str, set]:
    """What nnlab's own configurations say of the places, and Hydra's."""
    shipped = {"hydra.output_subdir": {".hydra"}}
    for file in CONFIG_DIR.glob("*.yaml"):
        config = OmegaConf.load(file)
        for key in hydra_overrides.HYDRA_KEYS:
            shipped.setdefault(key, set()).add(hydra_errors.raw(config, key))
    return shipped


def check_composed(config: DictConfig, options: hydra_overrides.Options) -> None:
    """What a configuration file, an experiment or one of `-cd`, may not say either."""
    choices = config.hydra.runtime.choices
    inside = OmegaConf.select(config, "hydra.output_subdir", throw_on_missing=True)
    if inside is not None and (inside in ("", ".", "..") or Path(inside).name != inside):
        raise UserError(
            f"hydra.output_subdir = '{inside}': expected a name, of a folder in the run's, or null"
        )
    if inside is not None and (Path(inside).suffix or inside in OWN_NAMES):
        raise UserError(f"hydra.output_subdir = '{inside}': a file or folder of the run's own is called so")
    if config.hydra.callbacks:
        raise UserError("hydra.callbacks is not empty: nnlab never runs Hydra callbacks")
    if choices.get("hydra/launcher") != "basic":
        raise UserError(f"hydra/launcher={choices.get('hydra/launcher')}: nnlab does not use Hydra launchers")
    for key in set(config) - {"hydra"} - set(choices) - hydra_overrides.COMBINABLE:
        if options(key):  # Hydra takes a list of choices for any group and merges them
            raise UserError(f"{key} takes one of {', '.join(options(key))}, not a list of them")
