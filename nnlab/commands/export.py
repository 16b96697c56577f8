"""`nnlab export`: a trained run as a file that runs without nnlab."""

from pathlib import Path

from nnlab.commands import hydra_entry
from nnlab.commands.command_settings import ExportSettings
from nnlab.commands.composing import ComposedRun
from nnlab.errors import UserError
from nnlab.prediction.export_names import FORMAT_OF_ENDING


def main(argv: list[str]) -> int:
    return hydra_entry.run("export", argv, act)


def act(runs: list[ComposedRun]) -> int:
    """Export; 0."""
    from nnlab.commands.new_file import new_file
    from nnlab.commands.run_request import run_request

    request = run_request("export", runs[0], ExportSettings)
    output, format = request.settings.output, request.settings.format
    if output is not None:
        if request.is_folder_named:
            raise UserError("output= and hydra.run.dir= both say where the file goes: leave one of them out")
        new_file("output", output, [*FORMAT_OF_ENDING])
        meant = FORMAT_OF_ENDING.get(Path(output).suffix.lower(), format)
        if meant != format:
            raise UserError(f"output = '{output}' is the name of another format: write format={meant}")
    # Importing torch takes seconds: wrong words have been refused before.
    from nnlab.commands import export_command

    return export_command.run(request)
