"""`nnlab data`: what is in a table, and the words to train on it."""

from nnlab.commands import hydra_entry
from nnlab.commands.composing import ComposedRun


def main(argv: list[str]) -> int:
    return hydra_entry.run("data", argv, act)


def act(runs: list[ComposedRun]) -> int:
    """Show the table; 0."""
    # pyarrow takes a while to import: wrong words have been refused before.
    from nnlab.commands import data_command

    return data_command.run(runs[0])
