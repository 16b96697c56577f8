"""Where a command begins: its line is read, Hydra composes its settings, and every mistake is one sentence.

    run("train", argv, act) -> exit code

`act(runs)` gets the composed runs of the line: one, or several with `-m`. Wrong input is one sentence on
stderr and exit code 2 (NNLAB_TRACEBACK=1 shows where it came from); nothing is left behind.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

from hydra.core.hydra_config import HydraConfig

from nnlab import interruption
from nnlab.commands import composing, config_checks, multirun, questions
from nnlab.commands.command_line import CommandLine
from nnlab.commands.early_end import EndedEarly
from nnlab.commands.messages import advise, one_sentence
from nnlab.commands.parsing import Question, parsed
from nnlab.errors import UserError, fault, say
from nnlab.records.text import on_terminal


def run(command: str, argv: list[str], act: Callable[[list[composing.ComposedRun]], int]) -> int:
    """Do what the command line `nnlab <command> <argv>` says; returns the exit code."""

    def of_line(line: CommandLine) -> int:
        with one_sentence():
            runs = multirun.composed_runs(line)
        advise(command, (note for each in runs for note in each.notes()))
        return act(runs)

    return guarded(command, argv, of_line)


def guarded(
    command: str,
    argv: list[str],
    act: Callable[[CommandLine], int],
    settled: questions.Settled = lambda line: line,
) -> int:
    """`act(line)` on the parsed command line, its errors put into one sentence; the exit code.

    --help, --cfg and the like are answered here, of what `settled(line)` leaves.
    """
    before = HydraConfig.instance().cfg
    try:
        line, question = parsed(command, argv)
        with config_checks.environment_named_in(line.words):
            return _answer(line, question, act, settled)
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
        return interruption.code()
    except Exception as e:
        sentence = fault(e)
        if sentence is None:
            raise
        say(command, sentence)
        return 1
    finally:
        # It is global: the next command in this process, a test or a notebook's, must not find this one's.
        HydraConfig.instance().cfg = before


def _answer(line: CommandLine, question: Question, act: Callable, settled: questions.Settled) -> int:
    if question.help and not question.hydra_help:
        print(questions.help_page(line, settled), end="")
        return 0
    if question.is_for_hydra():
        with one_sentence():
            asked = settled(line)
        return questions.hydras_answer(asked, question)
    _show_a_sign(line.command)
    return act(line)


def _show_a_sign(command: str) -> None:
    """On a terminal, that something is under way: on a busy machine torch takes seconds to import. What is
    printed next is longer, begins in the same column, and so takes its place."""
    if on_terminal(sys.stdout):
        print(f"nnlab {command} ...", end="\r", flush=True)
