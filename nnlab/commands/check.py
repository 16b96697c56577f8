"""`nnlab check`: is it the gradient, the data, the initialisation or the learning rate?"""

from nnlab.commands import hydra_entry
from nnlab.commands.composing import ComposedRun


def main(argv: list[str]) -> int:
    return hydra_entry.run("check", argv, act)


def act(runs: list[ComposedRun]) -> int:
    """Climb the ladder for each; 1 if a rung failed."""
    # The door to torch: wrong words are refused before anybody waits for its import.
    from nnlab.commands import check_command

    return check_command.run(runs)
