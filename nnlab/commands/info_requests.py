"""Command lines that print information instead of running: --help by nnlab, --cfg and --info by Hydra."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace

from hydra import version
from omegaconf import OmegaConf

from nnlab.commands import composing, config_files, help, hydra_private, multirun
from nnlab.commands.column_types import is_of_types
from nnlab.commands.command_line import CommandLine
from nnlab.commands.messages import one_sentence_errors
from nnlab.commands.parsing import InfoRequest
from nnlab.errors import UserError
from nnlab.paths import CONFIG_DIR

DropSearched = Callable[[CommandLine], CommandLine]  # removes the overrides that are to be searched


def help_page(line: CommandLine, drop_searched: DropSearched) -> str:
    """The text of --help; wrong overrides raise the same error as without --help."""
    without_topics = line.with_overrides(word for word in line.overrides if "=" in word)
    with one_sentence_errors():
        composing.primary_config_name(without_topics)
        if without_topics.overrides:
            multirun.composed_runs(drop_searched(without_topics))
    return help.help_text(line)


def print_hydra_info(line: CommandLine, request: InfoRequest) -> int:
    """Print the answer to --cfg, --info and the like by calling what `@hydra.main` calls; returns 0."""
    has_types = any(is_of_types(word.partition("=")[0]) for word in line.overrides)
    if request.cfg and (has_types and not line.multirun or not line.catalogue().groups):
        return _print_settings(line, request)
    version.setbase("1.3")
    config_files.use_bounded_reader()
    with one_sentence_errors():
        flags = _checked_flags(line, request)
    stdout, stderr = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            with _environment_variables(HYDRA_FULL_ERROR="1"), _program_name("nnlab"):
                hydra_private.run_hydra_main(flags, CONFIG_DIR, line.command)
    except SystemExit as e:
        if e.code:
            raise UserError(stderr.getvalue()) from e
    except Exception:
        with one_sentence_errors():
            # Hydra's exceptions take many lines: composing the same overrides gives a one-sentence error.
            if line.overrides and not request.hydra_help:
                multirun.composed_runs(line)
            raise
    sys.stdout.write(stdout.getvalue())
    sys.stderr.write(stderr.getvalue())
    return 0


def _print_settings(line: CommandLine, request: InfoRequest) -> int:
    """--cfg of a line that Hydra itself cannot read: it would take keys for groups, columns for keys."""
    with one_sentence_errors():
        (run,) = multirun.composed_runs(line)
    parts = {"job": run.settings, "hydra": OmegaConf.masked_copy(run.config, "hydra"), "all": run.config}
    print(OmegaConf.to_yaml(parts[request.cfg]), end="")
    return 0


def _checked_flags(line: CommandLine, request: InfoRequest) -> dict:
    """The flags for Hydra, with checked overrides and those that keep files from running code."""
    composing.primary_config_name(line)
    checked_overrides = []
    if not request.hydra_help and line.catalogue().groups:
        checked_overrides = composing.checked_overrides(line) + composing.searchpath_overrides(line)
    # --cfg job shows what would run: the values, with interpolations resolved.
    resolved_request = replace(request, resolve=request.resolve or request.cfg == "job")
    return asdict(resolved_request) | {
        "overrides": checked_overrides,
        "config_dir": line.config_dir,
        "config_name": line.config_name,
        "multirun": line.multirun,
    }


@contextlib.contextmanager
def _environment_variables(**values: str) -> Iterator[None]:
    previous_values = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in previous_values.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@contextlib.contextmanager
def _program_name(name: str) -> Iterator[None]:
    """Set `sys.argv[0]`, after which Hydra's shell completion names the program."""
    previous_name = sys.argv[0]
    sys.argv[0] = name
    try:
        yield
    finally:
        sys.argv[0] = previous_name
