"""`nnlab predict`: new examples through a trained run, into predictions.csv."""

from nnlab.commands import hydra_entry
from nnlab.commands.command_settings import PREDICTIONS_ENDINGS, PredictSettings
from nnlab.commands.composing import ComposedRun
from nnlab.errors import UserError


def main(argv: list[str]) -> int:
    return hydra_entry.run("predict", argv, act)


def act(runs: list[ComposedRun]) -> int:
    """Predict; 0."""
    from nnlab.commands.new_file import new_file
    from nnlab.commands.run_request import run_request

    request = run_request("predict", runs[0], PredictSettings)
    if request.settings.output is not None:
        if request.is_folder_named:
            raise UserError("output= and hydra.run.dir= both say where predictions go: leave one of them out")
        new_file("output", request.settings.output, PREDICTIONS_ENDINGS)
    # Importing torch takes seconds: wrong words have been refused before.
    from nnlab.commands import predict_command

    return predict_command.run(request)
