"""`nnlab train`: one experiment, over seeds and folds if asked, into a run folder; with -m, several."""

from nnlab.commands import hydra_entry
from nnlab.commands.command_line import CommandLine
from nnlab.commands.composing import ComposedRun
from nnlab.commands.resume_folder import resume_folder, without_resume


def main(argv: list[str]) -> int:
    return hydra_entry.run_guarded("train", argv, act_on_line, without_resume)


def act_on_line(line: CommandLine) -> int:
    """Begin the runs that the line asks for, or go on with those in the folder that it names."""
    if resume_folder(line) is None:
        return hydra_entry.compose_and_act(line, act)
    # Reading a checkpoint needs torch.
    from nnlab.commands import resumed_train

    return resumed_train.run(line)


def act(runs: list[ComposedRun]) -> int:
    """Train the runs; returns 1 if every row of some run diverged."""
    # Importing torch takes seconds: wrong input has been refused before.
    from nnlab.commands import train_command

    return train_command.run(runs)
