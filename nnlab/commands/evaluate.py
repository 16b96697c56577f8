"""`nnlab evaluate`: the report of a trained run on labelled examples."""

from nnlab.commands import hydra_entry
from nnlab.commands.command_settings import EvaluateSettings
from nnlab.commands.composing import ComposedRun


def main(argv: list[str]) -> int:
    return hydra_entry.run("evaluate", argv, act)


def act(runs: list[ComposedRun]) -> int:
    """Evaluate; 0."""
    from nnlab.commands.run_request import run_request

    request = run_request("evaluate", runs[0], EvaluateSettings)
    # Importing torch takes seconds: wrong words have been refused before.
    from nnlab.commands import evaluate_command

    return evaluate_command.run(request)
