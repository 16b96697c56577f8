"""Entry point of the Hydra commands: parses the command line, composes the runs, reports errors.

    run("train", argv, act) -> exit code

`act(runs)` gets the composed runs: one, or several with `-m`. Wrong input is one sentence on stderr and exit
code 2 (NNLAB_TRACEBACK=1 shows where it came from); nothing is left behind.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

from hydra.core.hydra_config import HydraConfig

from nnlab import interruption
from nnlab.commands import composing, config_checks, info_requests, multirun
from nnlab.commands.command_line import CommandLine
from nnlab.commands.early_end import EndedEarly
from nnlab.commands.messages import one_sentence_errors, print_advice
from nnlab.commands.once import one_command
from nnlab.commands.parsing import InfoRequest, parse_command_line
from nnlab.errors import UserError, describe_machine_fault, say
from nnlab.records.text import is_terminal


def run(command: str, argv: list[str], act: Callable[[list[composing.ComposedRun]], int]) -> int:
    """Run `act` on the composed runs of the command line `nnlab <command> <argv>`; returns the exit code."""

    return run_guarded(command, argv, lambda line: compose_and_act(line, act))


def compose_and_act(line: CommandLine, act: Callable[[list[composing.ComposedRun]], int]) -> int:
    """Run `act` on the composed runs of a parsed command line."""
    with one_sentence_errors():
        runs = multirun.composed_runs(line)
    print_advice(line.command, (note for each in runs for note in each.notes()))
    return act(runs)


def run_guarded(
    command: str,
    argv: list[str],
    act: Callable[[CommandLine], int],
    drop_searched: info_requests.DropSearched = lambda line: line,
) -> int:
    """Run `act(line)` on the parsed command line; an error becomes one sentence. Returns the exit code.

    --help, --cfg and the like are answered here, for the overrides that `drop_searched(line)` leaves.
    """

    def parse_and_act() -> int:
        line, request = parse_command_line(command, argv)
        with config_checks.environment_named_in(line.overrides), one_command():
            return _answer_or_act(line, request, act, drop_searched)

    return guarded(command, parse_and_act)


def guarded(command: str, act: Callable[[], int]) -> int:
    """Run `act()`; an error becomes one sentence. Returns the exit code."""
    previous_config = HydraConfig.instance().cfg
    try:
        return act()
    except UserError as e:
        if os.environ.get("NNLAB_TRACEBACK", "0") not in ("", "0"):
            traceback.print_exc()
        say(command, str(e))
        return 2
    except EndedEarly as e:
        say(command, str(e))
        return e.code
    except KeyboardInterrupt:
        say(command, "interrupted")
        return interruption.exit_code()
    except Exception as e:
        sentence = describe_machine_fault(e)
        if sentence is None:
            raise
        say(command, sentence)
        return 1
    finally:
        # It is global: the next command in this process, a test or a notebook's, must not find this one's.
        HydraConfig.instance().cfg = previous_config


def _answer_or_act(
    line: CommandLine, request: InfoRequest, act: Callable, drop_searched: info_requests.DropSearched
) -> int:
    """Print the information that was requested, or else run the command."""
    if request.help and not request.hydra_help:
        print(info_requests.help_page(line, drop_searched), end="")
        return 0
    if request.is_answered_by_hydra():
        with one_sentence_errors():
            fixed_line = drop_searched(line)
        return info_requests.print_hydra_info(fixed_line, request)
    _show_activity(line.command)
    return act(line)


def _show_activity(command: str) -> None:
    """Show on a terminal that the command has started: on a busy machine torch takes seconds to import.

    The first line of the command is longer, begins in the same column, and so overwrites this one.
    """
    if is_terminal(sys.stdout):
        print(f"nnlab {command} ...", end="\r", flush=True)
