"""Composes overrides and configuration files into plain settings, by Hydra's Compose API.

No code named by a configuration runs.
"""

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

from nnlab.commands import (
    config_files,
    graph_file,
    hydra_errors,
    hydra_overrides,
    hydra_private,
    keys_in_files,
    once,
    plugin_choices,
    resolvers,
)
from nnlab.commands.column_types import TYPES_KEY, is_of_types, set_types
from nnlab.commands.command_line import CommandLine
from nnlab.commands.unknown_key import unknown_key
from nnlab.errors import UserError, nearest
from nnlab.paths import CONFIG_DIR
from nnlab.records.text import shell_line

ComposeGroups = Callable[[tuple[str, ...]], DictConfig]  # overrides of groups -> the composed configuration


@dataclass(frozen=True)
class ComposedRun:
    """One run, as the command line and the configuration files describe it."""

    settings: dict  # plain Python, interpolations resolved, without the `hydra` node
    config: DictConfig  # as Hydra composed it, with the `hydra` node
    overrides: list[str]  # without those of Hydra's settings
    hydra_keys: frozenset[str]  # overridden settings of Hydra: hydra.run.dir, ...
    command: str  # the shell line that repeats the run

    def notes(self) -> list[str]:
        """Advice about settings that follow from others."""
        return resolvers.decay_advice(self.config, self.settings)

    @property
    def is_multirun(self) -> bool:
        """Whether it is one of several runs of -m, which a configuration file may turn on."""
        return self.config.hydra.mode == RunMode.MULTIRUN


@dataclass(frozen=True)
class Composer:
    """Composes the configurations of one command line, inside the block of `open_composer` only."""

    line: CommandLine
    options: hydra_overrides.Options
    compose_groups: ComposeGroups

    def read(self, overrides: Iterable[str], allow_several=False, for_search=False) -> list[Override]:
        """Parse and check the overrides; each may have several values with -m or in a search."""
        return hydra_overrides.read(
            list(overrides), self.options, allow_several, self.has_default, for_search
        )

    def has_default(self, group: str) -> bool:
        """Whether the configuration makes a choice for the group, even if it is null."""
        return group in self.compose_groups(()).hydra.runtime.choices

    def is_group(self, override: Override) -> bool:
        """Whether the override picks a choice of a group, not a value."""
        return hydra_overrides.is_group(override, self.options)

    def needs_composing(self, override: Override) -> bool:
        """Whether Hydra must compose for it: a choice of a group, or a setting of Hydra itself."""
        return hydra_overrides.is_hydra_setting(override) or self.is_group(override)

    def compose_groups_of(self, overrides: Iterable[Override]) -> DictConfig:
        """The configuration that the group choices and Hydra's settings among the overrides compose to."""
        return self.compose_groups(tuple(o.input_line for o in overrides if self.needs_composing(o)))

    def compose(self, overrides: list[Override]) -> DictConfig:
        """Compose the groups and Hydra's settings, then set the values, as Hydra does."""
        config = copy.deepcopy(self.compose_groups_of(overrides))
        set_values(config, [override for override in overrides if not self.needs_composing(override)])
        config.hydra.overrides.task = _task_overrides(overrides)
        return config

    def compose_groups_again(self, groups: tuple[str, ...]) -> DictConfig:
        """Compose group overrides in a new session, after the one in which this composer was made."""
        with session(self.line):
            return self.compose_groups(groups)


@contextmanager
def open_composer(line: CommandLine) -> Iterator[Composer]:
    """A composer for the line, within a session of Hydra."""
    compose_groups = group_composer(line)
    with session(line) as loader:
        # A command without groups may have a key of the name of one: the `data` of nnlab predict.
        options = group_options(loader) if line.catalogue().groups else lambda group: []
        yield Composer(line, options, compose_groups)


@contextmanager
def session(line: CommandLine) -> Iterator[ConfigLoader]:
    """A session of Hydra that finds nnlab's configurations and those of `-cd`, as `@hydra.main` does."""
    version.setbase("1.3")
    config_files.use_bounded_reader()
    # Hydra allows one session per process: a user's script may have left one open.
    GlobalHydra.instance().clear()
    try:
        yield hydra_private.config_loader(line.command, CONFIG_DIR, line.config_dir)
    finally:
        GlobalHydra.instance().clear()


def group_composer(line: CommandLine) -> ComposeGroups:
    """A cached function that composes group overrides, one for all lines of a command that start from the
    same files: composing takes 0.1 s, copying and setting values a twentieth of that."""
    composers = once.kept("composers of groups")
    start = line.command, line.config_name, line.config_dir
    if start not in composers:
        composers[start] = _cached_group_composer(primary_config_name(line), searchpath_overrides(line))
    return composers[start]


def _cached_group_composer(config_name: str, fixed_overrides: list[str]) -> ComposeGroups:
    @cache
    def compose_groups(groups: tuple[str, ...]) -> DictConfig:
        overrides = [*fixed_overrides, *groups]
        try:
            config = plugin_choices.composed(config_name, overrides)
        except HydraException:
            with suppress(HydraException):  # such a key may be the reason: sampler: [grid, random]
                keys_in_files.refuse_keys_of_commands(config_name, overrides)
            raise
        keys_in_files.refuse_keys_of_commands(config_name, overrides)
        drop_keys_of_replaced_choices(config, groups, compose_groups)
        return config

    return compose_groups


def drop_keys_of_replaced_choices(
    config: DictConfig, groups: tuple[str, ...], compose_groups: ComposeGroups
) -> None:
    """Where the command line replaces an experiment file's choice, drop the keys that the new choice lacks.

    The experiment's keys of a group, such as `data`, belong to the choice that it makes itself.
    """
    override_of_group = {word.partition("=")[0]: word for word in groups}
    if "experiment" not in override_of_group:
        return
    for group in override_of_group.keys() & config.keys() - hydra_overrides.COMBINABLE - {"experiment"}:
        if not OmegaConf.is_dict(config[group]):
            continue
        config_of_choice = compose_groups((override_of_group[group],))[group]
        if not OmegaConf.is_dict(config_of_choice):
            continue
        keys_to_drop = [key for key in config[group] if key not in config_of_choice]
        if not keys_to_drop:
            continue
        experiments_choice = compose_groups((override_of_group["experiment"],)).hydra.runtime.choices[group]
        if experiments_choice != config.hydra.runtime.choices[group]:
            with open_dict(config):
                for key in keys_to_drop:
                    del config[group][key]


def group_options(loader: ConfigLoader) -> hydra_overrides.Options:
    """A function from a group to its choices; those in subfolders by their path."""
    list_options = hydra_private.group_options(loader)

    @cache
    def options(group: str) -> list[str]:
        try:
            folders = list_options(group, ObjectType.GROUP)
            nested = [f"{folder}/{name}" for folder in folders for name in options(f"{group}/{folder}")]
            return list_options(group, ObjectType.CONFIG) + nested
        except OSError:  # too long for the name of a file
            return []

    return options


def primary_config_name(line: CommandLine) -> str:
    """The name of the primary configuration: that of `-cn NAME`, else the command. Checks `-cd` as well."""
    folder = Path(line.config_dir) if line.config_dir is not None else None
    if folder is not None and not folder.is_dir():
        raise UserError(f"--config-dir {line.config_dir}: that folder does not exist")
    if line.config_name is None:
        return line.command
    name = line.config_name.removesuffix(".yaml")
    names = {
        file.stem for directory in (CONFIG_DIR, folder) if directory for file in directory.glob("*.yaml")
    }
    if name not in names:
        raise UserError(f"--config-name {line.config_name}: no such configuration{nearest(name, names)}")
    return name


def searchpath_overrides(line: CommandLine) -> list[str]:
    """The override that keeps the file of `-cn` from adding folders or packages to the search path."""
    return ["hydra.searchpath=[]"] if line.config_name else []


def checked_overrides(line: CommandLine) -> list[str]:
    """The overrides of a line, checked as far as possible without composing."""
    with open_composer(line) as composer:
        overrides = [override.input_line for override in composer.read(line.overrides, line.multirun)]
        if (line.config_dir or line.config_name) and not line.multirun:
            with suppress(HydraException, OmegaConfBaseException):  # Hydra itself will report the error
                composer.compose_groups(tuple(overrides))
        return overrides


def make_run(config: DictConfig, overrides: list[Override], prefix: list[str]) -> ComposedRun:
    """The run that a complete configuration describes; `prefix` begins the line that repeats it."""
    task = _task_overrides(overrides)
    hydra_keys = frozenset(o.key_or_group for o in overrides if hydra_overrides.is_hydra_setting(o))
    return ComposedRun(settings_of(config), config, task, hydra_keys, shell_line([*prefix, *task]))


def _task_overrides(overrides: list[Override]) -> list[str]:
    """The overrides without those of Hydra's own settings."""
    return [o.input_line for o in overrides if not hydra_overrides.is_hydra_setting(o)]


def set_values(config: DictConfig, overrides: Iterable[Override]) -> None:
    """Set existing keys; first the file of a graph, whose boxes the others may change."""
    graph_file.put_boxes(config)
    for override in sorted(overrides, key=lambda override: override.key_or_group != graph_file.FILE_KEY):
        set_value(config, override)
        if override.key_or_group == graph_file.FILE_KEY:
            graph_file.put_boxes(config)


def set_value(config: DictConfig, override: Override) -> None:
    """Set an existing key of the configuration; raises `UserError` for an unknown one."""
    key = override.key_or_group
    if is_of_types(key) and set_types(config, override):
        return
    try:
        OmegaConf.update(config, key, override.value(), merge=True)
    except (ConfigAttributeError, ConfigKeyError) as e:
        unknown = TYPES_KEY if is_of_types(key) else key
        raise UserError(unknown_key(unknown, config, override.value())) from e
    except OmegaConfBaseException as e:
        raise UserError(f"{override.input_line}: {hydra_errors.sentence(e)}") from e


def set_hydra_job(config: DictConfig, number: int | None) -> None:
    """Set `hydra.mode` and `hydra.job` as Hydra does; `number` counts the runs of `-m`, else None."""
    with open_dict(config.hydra), read_write(config.hydra):
        task = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
        config.hydra.job.override_dirname = ",".join(sorted(task))
        config.hydra.mode = RunMode.RUN
        if number is not None:
            config.hydra.mode = RunMode.MULTIRUN
            config.hydra.job.num, config.hydra.job.id = number, str(number)


def settings_of(config: DictConfig) -> dict:
    """The settings without the `hydra` node as plain Python, every interpolation resolved."""
    HydraConfig.instance().set_config(config)
    plain = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    OmegaConf.copy_cache(config, plain)
    try:
        return OmegaConf.to_container(plain, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as e:
        raise UserError(hydra_errors.unresolved_message(e, plain)) from e
    finally:
        OmegaConf.copy_cache(plain, config)
