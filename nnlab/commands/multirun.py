"""Expands a command line into its runs: one, or with `-m` one for every combination of values."""

from __future__ import annotations

from dataclasses import replace

from nnlab.commands import hydra_overrides, hydra_private
from nnlab.commands.command_line import CommandLine
from nnlab.commands.composing import ComposedRun, Composer, open_composer
from nnlab.commands.file_sweeps import compose_chosen_groups, is_multirun, sweep_from_files
from nnlab.commands.word_lists import compose_runs


def composed_runs(line: CommandLine) -> list[ComposedRun]:
    """Each run that the command line asks for, its settings composed and checked. Raises `UserError`."""
    with open_composer(line) as composer:
        # The words are checked before the files are composed, which may turn `-m` on and add some.
        typed_overrides = composer.read(line.overrides, allow_several=True)
        if line.has_user_files or not line.multirun:
            config = compose_chosen_groups(typed_overrides, composer)
            line = replace(line, multirun=is_multirun(line, config))
            sweep_from_files(line, typed_overrides, composer)  # refused here: before runs are counted
        combinations = [composer.read(words) for words in combinations_of(line, composer)]
        return compose_runs(line, combinations, composer)


def combinations_of(line: CommandLine, composer: Composer) -> list[list[str]]:
    """The words of each run, with those that files sweep over. Raises `UserError`."""
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
