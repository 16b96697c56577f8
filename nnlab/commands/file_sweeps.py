"""What configuration files sweep over by themselves, an experiment's, say: their `hydra.sweeper.params`."""

from __future__ import annotations

from collections.abc import Iterable

from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig

from nnlab.commands import config_checks
from nnlab.commands.command_line import CommandLine
from nnlab.commands.composing import Composer
from nnlab.commands.text_values import TextQuoter


def sweep_from_files(line: CommandLine, typed_overrides: Iterable[Override], composer: Composer) -> list[str]:
    """The values that a configuration file sweeps over, as words. Files of groups for which
    `typed_overrides` has several choices are not read.

    A file with `hydra.mode: MULTIRUN` turns `-m` on, as in Hydra. The command line goes before it.
    """
    config = compose_chosen_groups(typed_overrides, composer)
    if not is_multirun(line, config):
        return []
    sweep_params = config.hydra.sweeper.get("params") or {}
    config_checks.check_swept_params(sweep_params)
    keys = {override.key_or_group for override in typed_overrides}
    texts = TextQuoter(line.catalogue("train"), allow_several=True)
    return texts.quote_texts(f"{key}={values}" for key, values in sweep_params.items() if key not in keys)


def compose_chosen_groups(typed_overrides: Iterable[Override], composer: Composer) -> DictConfig:
    """The configuration of those group choices that are one value."""
    return composer.compose_groups_of(o for o in typed_overrides if not o.is_sweep_override())


def is_multirun(line: CommandLine, config: DictConfig) -> bool:
    """Whether the command line or a file asks for several runs."""
    return line.multirun or config.hydra.mode == RunMode.MULTIRUN
