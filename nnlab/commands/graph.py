"""`nnlab graph`: the boxes of a network, their shapes and costs, and a picture of them."""

from nnlab.commands import hydra_entry
from nnlab.commands.composing import ComposedRun


def main(argv: list[str]) -> int:
    return hydra_entry.run("graph", argv, act)


def act(runs: list[ComposedRun]) -> int:
    """Show the graph of each run; 0."""
    # Importing torch takes seconds: wrong input has been refused before.
    from nnlab.commands import graph_command

    return graph_command.run(runs)
