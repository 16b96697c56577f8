"""Refuses configuration files that choose where nnlab writes, what it runs, or what it reads.

A file may come from a stranger. Only the command line, which the user typed, names places to write to and
variables.
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

RESERVED_NAMES = (
    "best",
    "trials",
    ".best",
    ".reserved",
    ".lock",
)  # files and folders that nnlab itself makes in a run's or a sweep's folder


@contextmanager
def environment_named_in(words: Iterable[str]) -> Iterator[None]:
    """Within this context `${oc.env:NAME}` reads only the variables that these words name.

    Whatever a configuration reads is written into the run's folder: a file from somebody else may not pick
    what of the environment that is.
    """
    allowed_names = set(re.findall(r"oc\.env:\s*(\w+)", " ".join(words)))

    def read(name, *default):
        if str(name) not in allowed_names:
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


def check_swept_params(params: dict) -> None:
    """Raise `UserError` if a file's `hydra.sweeper.params` sweep over a place to write to."""
    for key, values in params.items():
        if str(key).lstrip("+~ ").split(".")[0].split("@")[0].split("/")[0] in LOCATION_KEYS:
            raise UserError(
                f"hydra.sweeper.params: {key}={values}: a configuration file may not say where nnlab writes; "
                f"if you want it, write it on the command line"
            )


def check_output_locations(config: DictConfig, typed_keys: set[str]) -> None:
    """Raise `UserError` if a file of `-cd` says where nnlab writes: only the command line, with the keys
    `typed_keys`, may.
    """
    for key in hydra_overrides.HYDRA_KEYS:
        value = hydra_errors.raw_value(config, key)
        if key not in typed_keys and value not in (None, *_default_locations().get(key, ())):
            raise UserError(
                f"{key} = '{value}': a configuration file may not say where nnlab writes; if you want it, "
                f"write it on the command line"
            )


def check_launcher(config: DictConfig, typed_keys: set[str]) -> None:
    """Raise `UserError` if a file says which cluster trains: whoever has it could run anything here."""
    address = OmegaConf.select(config, "launcher.address")
    if address is not None and "launcher.address" not in typed_keys:
        raise UserError(
            f"launcher.address = '{address}': a configuration file may not say which cluster trains; if you "
            f"want it, write it on the command line"
        )


@cache
def _default_locations() -> dict[str, set]:
    """key -> the output locations that nnlab's own configurations, and Hydra's, give it."""
    defaults = {"hydra.output_subdir": {".hydra"}}
    for file in CONFIG_DIR.glob("*.yaml"):
        config = OmegaConf.load(file)
        for key in hydra_overrides.HYDRA_KEYS:
            defaults.setdefault(key, set()).add(hydra_errors.raw_value(config, key))
    return defaults


def check_composed(config: DictConfig, options: hydra_overrides.Options) -> None:
    """Raise `UserError` for anything else that no configuration file may say: callbacks, launchers, folder
    names."""
    choices = config.hydra.runtime.choices
    subdir = OmegaConf.select(config, "hydra.output_subdir", throw_on_missing=True)
    if subdir is not None and (subdir in ("", ".", "..") or Path(subdir).name != subdir):
        raise UserError(
            f"hydra.output_subdir = '{subdir}': expected a name, of a folder in the run's, or null"
        )
    if subdir is not None and (Path(subdir).suffix or subdir in RESERVED_NAMES):
        raise UserError(f"hydra.output_subdir = '{subdir}': a file or folder of the run's own is called so")
    if config.hydra.callbacks:
        raise UserError("hydra.callbacks is not empty: nnlab never runs Hydra callbacks")
    if choices.get("hydra/launcher") != "basic":
        raise UserError(f"hydra/launcher={choices.get('hydra/launcher')}: nnlab does not use Hydra launchers")
    for key in set(config) - {"hydra"} - set(choices) - hydra_overrides.COMBINABLE:
        if options(key):  # Hydra takes a list of choices for any group and merges them
            raise UserError(f"{key} takes one of {', '.join(options(key))}, not a list of them")
