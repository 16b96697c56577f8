"""Lines that ask and run nothing: --help, which nnlab answers; --cfg and --info, which Hydra does."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace

from hydra import version

from nnlab.commands import composing, config_files, help, hydra_private, multirun
from nnlab.commands.command_line import CommandLine
from nnlab.commands.messages import one_sentence
from nnlab.commands.parsing import Question
from nnlab.errors import UserError
from nnlab.paths import CONFIG_DIR

Settled = Callable[[CommandLine], CommandLine]  # the line without what has several values


def help_page(line: CommandLine, settled: Settled) -> str:
    """What --help says; of wrong words what is wrong, as without it."""
    overrides = line.with_words(word for word in line.words if "=" in word)
    with one_sentence():
        composing.primary(overrides)
        if overrides.words:
            multirun.composed_runs(settled(overrides))
    return help.text(line)


def hydras_answer(line: CommandLine, question: Question) -> int:
    """--cfg, --info and the like, by what `@hydra.main` itself calls."""
    version.setbase("1.3")
    config_files.install()
    with one_sentence():
        flags = _checked_flags(line, question)
    shown, complaint = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(complaint):
            with _environment(HYDRA_FULL_ERROR="1"), _program("nnlab"):
                hydra_private.answer(flags, CONFIG_DIR, line.command)
    except SystemExit as e:
        if e.code:
            raise UserError(complaint.getvalue()) from e
    except Exception:
        with one_sentence():
            # Hydra's exceptions take many lines: composing the same words says it in one sentence.
            if line.words and not question.hydra_help:
                multirun.composed_runs(line)
            raise
    sys.stdout.write(shown.getvalue())
    sys.stderr.write(complaint.getvalue())
    return 0


def _checked_flags(line: CommandLine, question: Question) -> dict:
    """The same question with checked overrides, and with those that keep files from running code."""
    composing.primary(line)
    words = []
    if not question.hydra_help:
        words = composing.checked(line) + composing.searchpath(line)
    # --cfg job shows what would run: the values, and not how they come about.
    resolved = replace(question, resolve=question.resolve or question.cfg == "job")
    return asdict(resolved) | {
        "overrides": words,
        "config_dir": line.config_dir,
        "config_name": line.config_name,
        "multirun": line.multirun,
    }


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@contextlib.contextmanager
def _program(name: str) -> Iterator[None]:
    """Hydra names the program in its shell completion after `sys.argv[0]`."""
    before = sys.argv[0]
    sys.argv[0] = name
    try:
        yield
    finally:
        sys.argv[0] = before
