"""`nnlab check`: is it the gradient, the data, the initialisation or the learning rate?"""

from nnlab.commands import hydra_entry
from nnlab.commands.composing import ComposedRun


def main(argv: list[str]) -> int:
    return hydra_entry.run("check", argv, act)


def act(runs: list[ComposedRun]) -> int:
    """Climb the ladder for each; 1 if a rung failed."""
    # The door to torch: nobody waits for it before the words are known to be right.
    from nnlab.commands import check_command

    return check_command.run(runs)
