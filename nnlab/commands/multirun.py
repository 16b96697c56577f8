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
from nnlab.commands.text_values import Texts


def composed_runs(line: CommandLine) -> list[ComposedRun]:
    """Each run that the command line asks for, its settings composed and checked. Raises `UserError`."""
    with open_composer(line) as composer:
        # The words are checked before the files are composed, which may turn `-m` on and add some.
        given = composer.read(line.overrides, allow_several=True)
        line = replace(line, multirun=_is_multirun(line, _chosen(given, composer)))
        swept_by_files(line, given, composer)  # refused here, if at all: before runs are counted
        each = [composer.read(words) for words in _combinations(line, composer)]
        configs = [composer.compose(read) for read in each]
        for number, config in enumerate(configs):
            set_hydra_job(config, number if line.multirun else None)
            config_checks.check_composed(config, composer.options)
        if line.config_dir is not None:
            for config, read in zip(configs, each, strict=True):
                config_checks.check_places(config, {override.key_or_group for override in read})
    runs = []
    for config, read in zip(configs, each, strict=True):
        OmegaConf.copy_cache(configs[0], config)  # ${now:} is the same in all
        runs.append(make_run(config, read, line.prefix()))
    return runs


def _combinations(line: CommandLine, composer: Composer) -> list[list[str]]:
    """The words of each run."""
    read = composer.read(line.overrides, line.multirun)
    if not line.multirun:
        hydra_overrides.refuse_multirun_folders(
            read, "add -m, or write hydra.run.dir for the folder of one run"
        )
        return [[override.input_line for override in read]]
    hydra_overrides.check_count(read)  # before they are listed: a short word may ask for millions
    each = hydra_private.combinations(read)
    each = [more for words in each for more in _split_by_files(line, words, composer)]
    hydra_overrides.check_runs(len(each), " ".join(line.overrides))
    return each


def _split_by_files(line: CommandLine, words: list[str], composer: Composer) -> list[list[str]]:
    """A run of `-m` in the runs that the files which it chooses make of it."""
    swept = swept_by_files(line, composer.read(words), composer)
    read = composer.read([*words, *swept], allow_several=True)
    hydra_overrides.check_count(read)
    return hydra_private.combinations(read)


def swept_by_files(line: CommandLine, given: Iterable[Override], composer: Composer) -> list[str]:
    """The values that a configuration file sweeps over, an experiment's, say: its `hydra.sweeper.params`, as
    words. Groups of which several choices are `given` are not looked at.

    A file with `hydra.mode: MULTIRUN` turns `-m` on, as in Hydra. The command line goes before it.
    """
    config = _chosen(given, composer)
    if not _is_multirun(line, config):
        return []
    swept = config.hydra.sweeper.get("params") or {}
    config_checks.check_swept(swept)
    keys = {override.key_or_group for override in given}
    texts = Texts(line.catalogue("train"), several=True)
    return texts.readable(f"{key}={values}" for key, values in swept.items() if key not in keys)


def _chosen(given: Iterable[Override], composer: Composer) -> DictConfig:
    return composer.compose_groups_of(o for o in given if not o.is_sweep_override())


def _is_multirun(line: CommandLine, config: DictConfig) -> bool:
    return line.multirun or config.hydra.mode == RunMode.MULTIRUN
