"""`nnlab check`: is it the gradient, the data, the initialisation or the learning rate?"""

from nnlab.commands import hydra_entry
from nnlab.commands.composing import ComposedRun


def main(argv: list[str]) -> int:
    return hydra_entry.run("check", argv, act)


def act(runs: list[ComposedRun]) -> int:
    """Climb the ladder of checks for each run; returns 1 if a rung failed."""
    # Importing torch takes seconds: wrong input has been refused before.
    from nnlab.commands import check_command

    return check_command.run(runs)
