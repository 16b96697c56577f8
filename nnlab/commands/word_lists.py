"""Composes runs from lists of words, one run a list: the combinations of `-m`, arms of a comparison, cells of
a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from nnlab.commands import config_checks, hydra_overrides
from nnlab.commands.command_line import CommandLine
from nnlab.commands.composing import ComposedRun, Composer, make_run, open_composer, set_hydra_job
from nnlab.commands.file_sweeps import sweep_from_files
from nnlab.commands.text_values import TextQuoter
from nnlab.errors import UserError


def composed_runs_of(line: CommandLine, combinations: Iterable[Iterable[str]]) -> list[ComposedRun]:
    """A run for each list of overrides, in their order, composed and checked as those of `-m` are; each
    override has one value. Raises `UserError`.

    `line` says whose configuration they override, and where more are (-cd, -cn); its own overrides are left
    out, so all that a run consists of is in its list:

        composed_runs_of(CommandLine("train"), [["data=iris", "epochs=3"], ["data=wine"]])
    """
    texts = TextQuoter(replace(line, overrides=()).catalogue(), allow_several=False)
    lists = [texts.quote_texts(words) for words in combinations]
    hydra_overrides.check_runs(len(lists), f"{len(lists):,} lists of words")
    line = replace(line, multirun=True)
    with open_composer(replace(line, overrides=())) as composer:
        combinations = [composer.read(words) for words in lists]
        for overrides in combinations:
            _refuse_sweeps_of_files(line, overrides, composer)
        return compose_runs(line, combinations, composer)


def _refuse_sweeps_of_files(line: CommandLine, overrides: list[Override], composer: Composer) -> None:
    """Raise `UserError` where a file that a list chooses sweeps over values: it would be several runs."""
    if swept := sweep_from_files(line, overrides, composer):
        words = " ".join(override.input_line for override in overrides)
        raise UserError(f"{words}: a file of it sweeps by itself, {swept[0]}: say which value")


def compose_runs(
    line: CommandLine, combinations: list[list[Override]], composer: Composer
) -> list[ComposedRun]:
    """A run for each list of overrides, its settings composed and checked. Raises `UserError`."""
    configs = [composer.compose(overrides) for overrides in combinations]
    for number, config in enumerate(configs):
        set_hydra_job(config, number if line.multirun else None)
        config_checks.check_composed(config, composer.options)
    if line.config_dir is not None:
        for config, overrides in zip(configs, combinations, strict=True):
            config_checks.check_output_locations(config, {override.key_or_group for override in overrides})
    runs = []
    for config, overrides in zip(configs, combinations, strict=True):
        OmegaConf.copy_cache(configs[0], config)  # ${now:} is the same in all
        runs.append(make_run(config, overrides, line.prefix()))
    return runs
