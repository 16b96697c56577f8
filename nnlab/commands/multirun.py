"""Expands a command line into its runs: one, or with `-m` one for every combination of values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from nnlab.commands import config_checks, hydra_overrides, hydra_private
from nnlab.commands.command_line import CommandLine
from nnlab.commands.composing import ComposedRun, Composer, make_run, open_composer, set_hydra_job
from nnlab.commands.text_values import TextQuoter


def composed_runs(line: CommandLine) -> list[ComposedRun]:
    """Each run that the command line asks for, its settings composed and checked. Raises `UserError`."""
    with open_composer(line) as composer:
        # The words are checked before the files are composed, which may turn `-m` on and add some.
        typed_overrides = composer.read(line.overrides, allow_several=True)
        line = replace(line, multirun=_is_multirun(line, _compose_chosen_groups(typed_overrides, composer)))
        sweep_from_files(line, typed_overrides, composer)  # refused here, if at all: before runs are counted
        combinations = [composer.read(words) for words in _combinations(line, composer)]
        configs = [composer.compose(overrides) for overrides in combinations]
        for number, config in enumerate(configs):
            set_hydra_job(config, number if line.multirun else None)
            config_checks.check_composed(config, composer.options)
        if line.config_dir is not None:
            for config, overrides in zip(configs, combinations, strict=True):
                config_checks.check_output_locations(
                    config, {override.key_or_group for override in overrides}
                )
    runs = []
    for config, overrides in zip(configs, combinations, strict=True):
        OmegaConf.copy_cache(configs[0], config)  # ${now:} is the same in all
        runs.append(make_run(config, overrides, line.prefix()))
    return runs


def _combinations(line: CommandLine, composer: Composer) -> list[list[str]]:
    """The words of each run."""
    overrides = composer.read(line.overrides, line.multirun)
    if not line.multirun:
        hydra_overrides.refuse_multirun_folders(
            overrides, "add -m, or write hydra.run.dir for the folder of one run"
        )
        return [[override.input_line for override in overrides]]
    hydra_overrides.refuse_two_folders(overrides)
    hydra_overrides.check_count(overrides)  # before they are listed: a short word may ask for millions
    combinations = hydra_private.multirun_combinations(overrides)
    combinations = [more for words in combinations for more in _split_by_files(line, words, composer)]
    hydra_overrides.check_runs(len(combinations), " ".join(line.overrides))
    return combinations


def _split_by_files(line: CommandLine, words: list[str], composer: Composer) -> list[list[str]]:
    """The runs that one combination of `-m` becomes if the files that it chooses sweep over more values."""
    sweep_params = sweep_from_files(line, composer.read(words), composer)
    overrides = composer.read([*words, *sweep_params], allow_several=True)
    hydra_overrides.check_count(overrides)
    return hydra_private.multirun_combinations(overrides)


def sweep_from_files(line: CommandLine, typed_overrides: Iterable[Override], composer: Composer) -> list[str]:
    """The values that a configuration file sweeps over, an experiment's, say: its `hydra.sweeper.params`, as
    words. Files of groups for which `typed_overrides` has several choices are not read.

    A file with `hydra.mode: MULTIRUN` turns `-m` on, as in Hydra. The command line goes before it.
    """
    config = _compose_chosen_groups(typed_overrides, composer)
    if not _is_multirun(line, config):
        return []
    sweep_params = config.hydra.sweeper.get("params") or {}
    config_checks.check_swept_params(sweep_params)
    keys = {override.key_or_group for override in typed_overrides}
    texts = TextQuoter(line.catalogue("train"), allow_several=True)
    return texts.quote_texts(f"{key}={values}" for key, values in sweep_params.items() if key not in keys)


def _compose_chosen_groups(typed_overrides: Iterable[Override], composer: Composer) -> DictConfig:
    return composer.compose_groups_of(o for o in typed_overrides if not o.is_sweep_override())


def _is_multirun(line: CommandLine, config: DictConfig) -> bool:
    return line.multirun or config.hydra.mode == RunMode.MULTIRUN
