"""`nnlab sweep`: a search over settings, its trials trained as stacks; the winner in a run folder."""

from __future__ import annotations

from nnlab.commands import hydra_entry
from nnlab.commands.command_line import CommandLine
from nnlab.commands.continued_sweep import typed_value, with_folders_quoted
from nnlab.commands.messages import advice_on_stderr, one_sentence_errors
from nnlab.commands.sweep_definition import drop_searched


def main(argv: list[str]) -> int:
    return hydra_entry.run_guarded("sweep", argv, act, drop_searched)


def act(line: CommandLine) -> int:
    """Search; 1 if no trial was trained to its end."""
    from nnlab.commands import sweep_request

    line = with_folders_quoted(line)
    with advice_on_stderr("sweep"):
        with one_sentence_errors():
            if typed_value("refine", line) is not None:
                from nnlab.commands.refinement import refined_command_line  # reads a study: torch and optuna

                line = refined_command_line(line)
            request = sweep_request.read(line)
        # Importing torch takes seconds: wrong input has been refused before.
        from nnlab.commands import sweep_command

        return sweep_command.run(request)
