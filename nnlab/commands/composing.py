"""From overrides to plain settings, by Hydra's Compose API: no code of a configuration runs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hydra import version
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from nnlab.commands import automatic, config_files, hydra_errors, hydra_private, overrides, plugin_choices
from nnlab.commands.command_line import CommandLine
from nnlab.commands.unknown_key import unknown_key
from nnlab.errors import UserError, nearest
from nnlab.paths import CONFIG_DIR
from nnlab.records.text import shell_line

Base = Callable[[tuple[str, ...]], DictConfig]  # what a choice of groups composes to


@dataclass(frozen=True)
class ComposedRun:
    """One run, as its command line and the configuration files describe it."""

    settings: dict  # plain Python, interpolations resolved, without Hydra's part
    config: DictConfig  # as Hydra composed it, with its part
    overrides: list[str]  # what was overridden
    hydra_keys: frozenset[str]  # overridden settings of Hydra: hydra.run.dir, ...
    command: str  # the shell line that repeats it

    def notes(self) -> list[str]:
        """What to say of settings that follow from others."""
        return automatic.notes(self.config, self.settings)

    @property
    def is_multirun(self) -> bool:
        """Whether it is one of the runs of -m: a configuration file may turn that on."""
        return self.config.hydra.mode == RunMode.MULTIRUN


@dataclass(frozen=True)
class Composer:
    """Hydra on the configurations of one command line; made by `opened`, within which alone it composes."""

    line: CommandLine
    options: overrides.Options
    base: Base

    def read(self, words: Iterable[str], several=False, search=False) -> list[Override]:
        """The words as overrides, checked; of `several` values each, as with -m or in a `search`."""
        return overrides.read(list(words), self.options, several, self.has_default, search)

    def has_default(self, group: str) -> bool:
        """Whether the configuration makes a choice of the group, if only null."""
        return group in self.base(()).hydra.runtime.choices

    def is_group(self, override: Override) -> bool:
        """Whether it picks a choice of a group, and not a value."""
        return overrides.is_group(override, self.options)

    def recomposes(self, override: Override) -> bool:
        """Whether Hydra has to compose anew for it: a choice of a group, or a setting of Hydra's own."""
        return overrides.is_hydras(override) or self.is_group(override)

    def with_groups(self, given: Iterable[Override]) -> DictConfig:
        """What the choices among these overrides compose to, and the settings of Hydra's own."""
        return self.base(tuple(o.input_line for o in given if self.recomposes(o)))

    def compose(self, given: list[Override]) -> DictConfig:
        """Compose the groups (and Hydra's settings), then set the values, as Hydra does."""
        config = copy.deepcopy(self.with_groups(given))
        for override in given:
            if not self.recomposes(override):
                set_value(config, override)
        config.hydra.overrides.task = [o.input_line for o in given if not overrides.is_hydras(o)]
        return config

    def reopened(self, groups: tuple[str, ...]) -> DictConfig:
        """What a choice of groups composes to, after the session in which this composer was made."""
        with session(self.line):
            return self.base(groups)


@contextmanager
def opened(line: CommandLine) -> Iterator[Composer]:
    """A composer, and the session of Hydra in which it composes."""
    base = base_of(line)
    with session(line) as loader:
        yield Composer(line, options_of(loader), base)


@contextmanager
def session(line: CommandLine) -> Iterator[ConfigLoader]:
    """Hydra on nnlab's configurations and, after them, those of `-cd`, as `@hydra.main` has it."""
    version.setbase("1.3")
    config_files.install()
    # Hydra has one session in a process, and refuses a second: Python's user may have left one open.
    GlobalHydra.instance().clear()
    try:
        yield hydra_private.loader(line.command, CONFIG_DIR, line.config_dir)
    finally:
        GlobalHydra.instance().clear()


def base_of(line: CommandLine) -> Base:
    """Composing takes 0.2 s, setting a value nothing: compose once per combination of groups."""
    name, fixed = primary(line), searchpath(line)

    @cache
    def base(groups: tuple[str, ...]) -> DictConfig:
        config = plugin_choices.composed(name, [*fixed, *groups])
        drop_keys_of_others(config, groups, base)
        return config

    return base


def drop_keys_of_others(config: DictConfig, groups: tuple[str, ...], base: Base) -> None:
    """An experiment's keys belong to its own choices: where the command line makes another choice, such as
    `data=digits`, those go that the other does not have."""
    words = {word.partition("=")[0]: word for word in groups}
    if "experiment" not in words:
        return
    for group in words.keys() & config.keys() - overrides.COMBINABLE - {"experiment"}:
        if not OmegaConf.is_dict(config[group]):
            continue
        usual = base((words[group],))[group]
        if not OmegaConf.is_dict(usual):
            continue
        others = [key for key in config[group] if key not in usual]
        if not others:
            continue
        by_experiment = base((words["experiment"],)).hydra.runtime.choices[group]
        if by_experiment != config.hydra.runtime.choices[group]:
            with open_dict(config):
                for key in others:
                    del config[group][key]


def options_of(loader: ConfigLoader) -> overrides.Options:
    """group -> its choices; those in folders below it by their path."""
    names = hydra_private.options(loader)

    @cache
    def options(group: str) -> list[str]:
        try:
            folders = names(group, ObjectType.GROUP)
            below = [f"{folder}/{name}" for folder in folders for name in options(f"{group}/{folder}")]
            return names(group, ObjectType.CONFIG) + below
        except OSError:  # a word too long for the name of a file
            return []

    return options


def primary(line: CommandLine) -> str:
    """The configuration that `-cn NAME` asks for, else the command's own. Checks `-cd` as well."""
    folder = Path(line.config_dir) if line.config_dir is not None else None
    if folder is not None and not folder.is_dir():
        raise UserError(f"--config-dir {line.config_dir}: that folder does not exist")
    if line.config_name is None:
        return line.command
    name = line.config_name.removesuffix(".yaml")
    names = {file.stem for place in (CONFIG_DIR, folder) if place for file in place.glob("*.yaml")}
    if name not in names:
        raise UserError(f"--config-name {line.config_name}: no such configuration{nearest(name, names)}")
    return name


def searchpath(line: CommandLine) -> list[str]:
    """An override that keeps the file of `-cn` from adding folders or packages to the search path."""
    return ["hydra.searchpath=[]"] if line.config_name else []


def checked(line: CommandLine) -> list[str]:
    """The overrides of a line, checked as far as one can without composing."""
    with opened(line) as composer:
        words = [override.input_line for override in composer.read(line.overrides, line.multirun)]
        if (line.config_dir or line.config_name) and not line.multirun:
            with suppress(HydraException, OmegaConfBaseException):  # Hydra itself will say what is wrong
                composer.base(tuple(words))
        return words


def composed_run(config: DictConfig, given: list[Override], prefix: list[str]) -> ComposedRun:
    """The run that a finished configuration describes; `prefix` begins the line that repeats it."""
    words = [o.input_line for o in given if not overrides.is_hydras(o)]
    places = frozenset(o.key_or_group for o in given if overrides.is_hydras(o))
    return ComposedRun(settings_of(config), config, words, places, shell_line([*prefix, *words]))


def set_value(config: DictConfig, override: Override) -> None:
    """Set a key that the configuration has; raises `UserError` for one that it does not have."""
    key = override.key_or_group
    try:
        OmegaConf.update(config, key, override.value(), merge=True)
    except (ConfigAttributeError, ConfigKeyError) as e:
        raise UserError(unknown_key(key, config, override.value())) from e
    except OmegaConfBaseException as e:
        raise UserError(f"{override.input_line}: {hydra_errors.sentence(e)}") from e


def finish(config: DictConfig, number: int | None) -> None:
    """What Hydra itself says of a job, in `hydra.mode` and `hydra.job`; `number` counts the runs of `-m`."""
    with open_dict(config.hydra), read_write(config.hydra):
        task = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
        config.hydra.job.override_dirname = ",".join(sorted(task))
        config.hydra.mode = RunMode.RUN
        if number is not None:
            config.hydra.mode = RunMode.MULTIRUN
            config.hydra.job.num, config.hydra.job.id = number, str(number)


def settings_of(config: DictConfig) -> dict:
    """The settings without Hydra's, every interpolation resolved, as plain Python."""
    HydraConfig.instance().set_config(config)
    plain = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    OmegaConf.copy_cache(config, plain)
    try:
        return OmegaConf.to_container(plain, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as e:
        raise UserError(hydra_errors.unresolved(e, plain)) from e
    finally:
        OmegaConf.copy_cache(plain, config)
