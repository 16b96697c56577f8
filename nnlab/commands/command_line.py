"""The parsed command line as an immutable value: command, overrides and Hydra's flags.

It is parsed once (parsing.py). Resuming a sweep, refining one and repeating a single trial each derive
another `CommandLine` from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from nnlab.catalogue import Catalogue


@dataclass(frozen=True)
class CommandLine:
    """`nnlab COMMAND -cd FOLDER -cn NAME -m KEY=VALUE ...`, its overrides quoted for Hydra's grammar."""

    command: str
    overrides: tuple[str, ...] = ()  # KEY=VALUE; with --help also a bare group or key
    config_dir: str | None = None
    config_name: str | None = None
    multirun: bool = False
    storage: str | None = None  # the value of storage=, with the password that no override shows
    folders: Mapping[str, str] = field(default_factory=dict)  # resume= and refine=, as they were typed

    def with_overrides(self, overrides: Iterable[str]) -> CommandLine:
        """The same command with other overrides."""
        return replace(self, overrides=tuple(overrides))

    @property
    def has_user_files(self) -> bool:
        """Whether configuration files of the user's take part, and not nnlab's alone."""
        return self.config_dir is not None or self.config_name is not None

    def keys(self) -> set[str]:
        """The keys and groups that are overridden."""
        return {key_of(override) for override in self.overrides}

    def catalogue(self, command: str | None = None) -> Catalogue:
        """The groups and keys that can be overridden here, or in another `command`."""
        return Catalogue(command or self.command, list(self.overrides), self.config_dir, self.config_name)

    def prefix(self, command: str | None = None) -> list[str]:
        """The shell words that come before the overrides in a line that repeats a run."""
        words = ["nnlab", command or self.command]
        if self.config_dir:
            words += ["-cd", self.config_dir]
        if self.config_name:
            words += ["-cn", self.config_name]
        return words


def key_of(override: str) -> str:
    """`optimizer.lr` of `+optimizer.lr=0.1`."""
    return override.partition("=")[0].lstrip("+")


def by_key(overrides: Iterable[str]) -> dict[str, str]:
    """key -> its override; of two with one key the later counts, as in Hydra."""
    return {key_of(override): override for override in overrides}
