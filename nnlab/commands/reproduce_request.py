"""What `nnlab reproduce` is asked for: a table, its version, words of `nnlab train`. It imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

from nnlab.commands.command_keys import keys_of
from nnlab.commands.command_line import CommandLine, by_key, key_of
from nnlab.commands.command_settings import ReproduceSettings
from nnlab.commands.grammar import to_python
from nnlab.errors import UserError
from nnlab.records.text import shell_line
from nnlab.suggestions import near

OWN_KEYS = tuple(field.name for field in fields(ReproduceSettings))


@dataclass(frozen=True)
class ReproduceRequest:
    """What a command line asks for: the command's own settings, where results go, and words of training."""

    settings: ReproduceSettings
    given: tuple[str, ...]
    places: tuple[str, ...]  # hydra.run.dir, hydra.sweep.dir
    line: CommandLine

    @property
    def text(self) -> str:
        """The line, as it is repeated."""
        settings = self.settings
        bare = [word for word in (settings.table, settings.version) if word]
        cells = [f"cells={settings.cells}"] if settings.cells else []
        return shell_line(["nnlab", "reproduce", *bare, *cells, *self.given])

    @property
    def cells(self) -> list[str]:
        return [each.strip() for each in (self.settings.cells or "").split(",") if each.strip()]


def read_request(line: CommandLine) -> ReproduceRequest:
    """The request of a parsed line. Raises `UserError`."""
    if line.multirun or line.config_name is not None:
        flag = "-m" if line.multirun else "-cn"
        raise UserError(f"{flag}: nnlab reproduce trains the cells of a table; cells= picks some")
    settings = {key: _value(word) for key, word in by_key(line.overrides).items() if key in OWN_KEYS}
    given = tuple(word for word in line.overrides if key_of(word) not in OWN_KEYS)
    places = tuple(word for word in given if key_of(word).startswith("hydra."))
    given = tuple(word for word in given if word not in places)
    _refuse_unknown(given)
    return ReproduceRequest(ReproduceSettings(**settings), given, places, line)


def _refuse_unknown(given: Iterable[str]) -> None:
    """Raise `UserError` for a key that is nearly one of the command's own; others are those of nnlab train,
    which refuses what it does not know."""
    for word in given:
        key = key_of(word)
        if "." not in key and key not in keys_of("train") and (meant := near(key, OWN_KEYS)):
            raise UserError(f"unknown key '{key}'; did you mean '{meant[0]}'?")


def _value(word: str):
    return to_python(OverridesParser.create().parse_override(word).value())


def without_own(line: CommandLine) -> CommandLine:
    """The line as one of `nnlab train`, for --help and --cfg."""
    return line.with_overrides(word for word in line.overrides if key_of(word) not in OWN_KEYS)


def folder_of(request: ReproduceRequest) -> Path | None:
    """The folder of an earlier reproduction; None if the line begins one. Raises `UserError`."""
    settings = request.settings
    if settings.resume is None:
        return None
    if settings.table or settings.version or request.given:
        raise UserError(f"'{settings.resume}': a reproduction goes on with its own table and words")
    return Path(settings.resume)
