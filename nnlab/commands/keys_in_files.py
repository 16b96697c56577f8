"""Refuses a user's configuration file that sets a key of a command, such as the sampler of `nnlab sweep`.

A command's own file comes after the experiment that it trains, so that what an experiment's file says of such
a key would be lost without a word; `nnlab train` has no use for it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from nnlab.commands import config_files, hydra_private
from nnlab.commands.command_keys import LOCATION_KEYS, keys_of
from nnlab.errors import UserError, shortened
from nnlab.records.text import shell_word

COMMANDS_WITH_KEYS = ("sweep", "compare", "check", "graph")  # beside the keys of nnlab train


def refuse_keys_of_commands(config_name: str, overrides: list[str]) -> None:
    """Raise `UserError` if a file, of those that Hydra has just composed, sets a key that a command adds.

    A file of `-cn`, which comes after the command's own, may.
    """
    users = config_files.users_files()
    if not users:
        return
    merged = hydra_private.merged_files(config_name, overrides)
    names = [entry.name for entry in merged]
    own = next((name for name in names if name in COMMANDS_WITH_KEYS), None)
    for entry in merged[: names.index(own)] if own else merged:
        for file, key, value in _settings(entry, users):
            commands = commands_with(key)
            if own in commands or commands and key not in keys_of("train"):
                raise UserError(
                    f"{choice_of(file)}: its file sets {key}, which is {not_of_an_experiment(commands)}: "
                    f"write {_word(key, value)} on the command line"
                )


def commands_with(key: str) -> list[str]:
    """The commands that add this key or group to those of `nnlab train`."""
    return [command for command in COMMANDS_WITH_KEYS if key in keys_of(command)]


def choice_of(file: str) -> str:
    """`experiment=mine`, as the file experiment/mine is chosen."""
    group, _, name = file.partition("/")
    return f"{group}={name}" if name else f"{file}.yaml"


def not_of_an_experiment(commands: list[str]) -> str:
    """What a key or group of these commands is, in a sentence about a file."""
    return f"no key of an experiment but a word of nnlab {' and '.join(commands)}"


def _settings(entry: hydra_private.MergedFile, users: dict[str, dict]) -> Iterator[tuple[str, str, object]]:
    """(file, key, value) of every key at the top of the settings that a user's file sets by this entry."""
    head, group = entry.package.partition(".")[0], posixpath.dirname(entry.name)
    if not head:
        yield from ((entry.name, key, value) for key, value in users.get(entry.name, {}).items())
    elif head == group and entry.parent in users:  # its own defaults make a choice
        yield entry.parent, head, posixpath.basename(entry.name)
    elif head != group and entry.name in users:  # by its line `# @package`
        yield entry.name, head, users[entry.name]


def _word(key: str, value) -> str:
    """The word that says the same on the command line; of a location, or of much, only its beginning."""
    from nnlab.commands import grammar  # only for this sentence: numpy comes with it

    if key in LOCATION_KEYS:
        return f"{key}=..."
    while isinstance(value, dict) and value:
        name, value = next(iter(value.items()))
        key = key if name == "name" else f"{key}.{name}"
    word = shell_word(grammar.override_for(key, value))
    return word if shortened(word) == word else f"{key}=..."
