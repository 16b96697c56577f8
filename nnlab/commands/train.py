"""`nnlab train`: one experiment, over seeds and folds if asked, into a run folder; with -m, several."""

from nnlab.commands import hydra_entry
from nnlab.commands.composing import ComposedRun


def main(argv: list[str]) -> int:
    return hydra_entry.run("train", argv, act)


def act(runs: list[ComposedRun]) -> int:
    """Train the runs; returns 1 if every row of some run diverged."""
    # Importing torch takes seconds: wrong input has been refused before.
    from nnlab.commands import train_command

    return train_command.run(runs)
