"""Parses the shell words of a command into a `CommandLine`: the one module that knows Hydra's flags."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass, replace

from nnlab.catalogue import RUN_COMMANDS
from nnlab.commands import hydra_errors, hydra_private
from nnlab.commands.command_keys import SWEEP_FOLDER_KEYS
from nnlab.commands.command_line import CommandLine
from nnlab.commands.data_words import data_overrides
from nnlab.commands.passwords import without_passwords
from nnlab.commands.reproduce_words import with_keys
from nnlab.commands.run_words import run_overrides
from nnlab.commands.text_values import TextQuoter
from nnlab.errors import UserError


@dataclass(frozen=True)
class InfoRequest:
    """Information requested instead of a run: the flags of `@hydra.main`, under its names."""

    help: bool = False
    hydra_help: bool = False
    cfg: str | None = None
    info: str | None = None
    resolve: bool = False
    package: str | None = None

    def is_answered_by_hydra(self) -> bool:
        """Whether Hydra itself prints the answer; nnlab has its own --help."""
        return bool(self.hydra_help or self.cfg or self.info)


def parse_command_line(command: str, argv: list[str]) -> tuple[CommandLine, InfoRequest]:
    """The parsed line, and the information that its flags request. Raises `UserError`."""
    # First of all, since any error message below may quote the words.
    words, storage = without_passwords(argv)
    flags = _parser(command).parse_intermixed_args(words)
    _refuse(flags)
    if command in RUN_COMMANDS:
        _refuse_configurations(command, flags)
        if not flags.help:
            flags.overrides = run_overrides(command, flags.overrides)
    if command == "data":
        _refuse_configurations(command, flags)
        if not flags.help:
            flags.overrides = data_overrides(flags.overrides)
    if command == "reproduce" and not flags.help:
        flags.overrides = with_keys(flags.overrides)
    hydra_errors.refuse_keys_of_other_commands(command, flags.overrides)
    line = CommandLine(
        command, tuple(flags.overrides), flags.config_dir, flags.config_name, flags.multirun, storage
    )
    request = InfoRequest(flags.help, flags.hydra_help, flags.cfg, flags.info, flags.resolve, flags.package)
    if (request.resolve or request.package) and not (request.cfg or request.help):
        raise UserError("--resolve and --package go with --cfg, e.g. --cfg job --resolve")
    return quote_texts(line), request


def quote_texts(line: CommandLine) -> CommandLine:
    """The line with file and column names quoted where Hydra's grammar could not read them otherwise."""
    takes_several = line.command in ("sweep", "compare") or line.multirun
    texts = TextQuoter(line.catalogue(), takes_several, SWEEP_FOLDER_KEYS)
    return replace(line, overrides=tuple(texts.quote_texts(line.overrides)))


def _refuse(flags: Namespace) -> None:
    """Refuse Hydra's flags that would name code to run, or another folder to read from."""
    if flags.config_path is not None:
        raise UserError("--config-path: nnlab keeps its own; to add a folder of yours, use -cd FOLDER")
    if flags.experimental_rerun is not None:
        raise UserError("--experimental-rerun unpickles a file, which could run any code: not supported")
    if flags.shell_completion:
        raise UserError("-sc goes before the command: nnlab -sc install=bash")


def _refuse_configurations(command: str, flags: Namespace) -> None:
    """Refuse the flags that choose configuration files or several runs: a run has its configuration."""
    for flag, is_given in {
        "-m": flags.multirun,
        "-cd": flags.config_dir is not None,
        "-cn": flags.config_name is not None,
    }.items():
        if is_given:
            what = {"export": "one run", "data": "one table"}.get(command, "one run and its data")
            raise UserError(f"{flag}: nnlab {command} takes {what}, and no other configuration")


def _parser(command: str) -> ArgumentParser:
    def refuse(message: str):
        if message.startswith("unrecognized arguments: -"):
            message = hydra_errors.dashed_setting_message(command, message.split()[2])
        raise UserError(message)

    parser = hydra_private.argument_parser()
    parser.prog, parser.error = f"nnlab {command}", refuse
    return parser
