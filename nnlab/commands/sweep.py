"""`nnlab sweep`: a search over settings, its trials trained as stacks; the winner in a run folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnlab.commands import compared_samplers, hydra_entry
from nnlab.commands.command_line import CommandLine
from nnlab.commands.continued_sweep import typed_value, with_folders_quoted
from nnlab.commands.messages import advice_on_stderr, one_sentence_errors
from nnlab.commands.sweep_definition import drop_searched

if TYPE_CHECKING:
    from nnlab.commands.sweep_request import SweepRequest


def main(argv: list[str]) -> int:
    return hydra_entry.run_guarded("sweep", argv, act, drop_searched)


def act(line: CommandLine) -> int:
    """Search; 1 if no trial was trained to its end."""
    line = with_folders_quoted(line)
    with advice_on_stderr("sweep"):
        with one_sentence_errors():
            lines = compared_samplers.split(line)
            requests = {sampler: _request(each) for sampler, each in lines.items()}
            if len(lines) > 1:
                lines = compared_samplers.with_equal_budget(lines, requests)
                requests = {sampler: _request(each) for sampler, each in lines.items()}
        # Importing torch takes seconds: wrong input has been refused before.
        from nnlab.commands import sweep_command

        if len(requests) == 1:
            (request,) = requests.values()
            return sweep_command.run(request, line if typed_value("refine", line) else None)
        from nnlab.commands import sampler_comparison

        return sampler_comparison.run(requests, line)


def _request(line: CommandLine) -> SweepRequest:
    """What the line asks for. Raises `UserError`."""
    from nnlab.commands import sweep_request

    if typed_value("refine", line) is not None:
        from nnlab.commands.refinement import refined_command_line  # reads a study: torch and optuna

        line = refined_command_line(line)
    return sweep_request.read(line)
