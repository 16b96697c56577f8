"""From a command line to plain settings, by Hydra's Compose API: no code of a configuration runs."""

import copy
import re
from argparse import Namespace
from collections.abc import Callable, Iterator
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
from omegaconf.resolvers import oc

from nnlab.catalogue import Catalogue
from nnlab.commands import automatic, config_files, hydra_errors, hydra_private, overrides, plugin_choices
from nnlab.commands.text_values import Texts
from nnlab.errors import UserError, nearest
from nnlab.paths import CONFIG_DIR
from nnlab.records.text import shell_line

TAKEN = ("best", "trials", ".best", ".reserved", ".lock")  # names in a run's or a sweep's folder
PLACES = ("hydra", "storage", "study", "resume", "refine")  # what only the command line says

Base = Callable[[tuple[str, ...]], DictConfig]  # what a choice of groups composes to


@dataclass(frozen=True)
class Cell:
    """One run."""

    settings: dict  # plain Python, interpolations resolved, without Hydra's part
    composed: DictConfig  # as Hydra composed it, with its part
    overrides: list[str]  # what was overridden
    places: frozenset[str]  # the settings of Hydra that were: hydra.run.dir, ...
    command: str  # the shell line that repeats it

    def notes(self) -> list[str]:
        """What to say of settings that follow from others."""
        return automatic.notes(self.composed, self.settings)


@contextmanager
def environment_named_in(words: list[str]) -> Iterator[None]:
    """`${oc.env:NAME}` reads the variables that these words name, and no others.

    Whatever a configuration reads is written into the run's folder: a file from somebody else may not pick
    what of the environment that is.
    """
    named = set(re.findall(r"oc\.env:\s*(\w+)", " ".join(words)))

    def read(name, *default):
        if str(name) not in named:
            raise UserError(
                f"a configuration file may not read the environment; give the value of {name} on the command "
                f"line"
            )
        return oc.env(name, *default)

    OmegaConf.register_new_resolver("oc.env", read, replace=True)
    try:
        yield
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def cells(config_name: str, args: Namespace) -> list[Cell]:
    """Each run that the command line asks for: one, or with `-m` every combination of values."""
    base = base_of(config_name, args)
    with session(config_name, args) as loader:
        options, has_default = options_of(loader), has_default_of(base)
        # The words are checked before the files are composed, which may turn `-m` on and add some.
        given = overrides.read(args.overrides, options, True, has_default)
        swept_by_files(args, given, options, base)
        read = overrides.read(args.overrides, options, args.multirun, has_default)
        if not args.multirun:
            overrides.refuse_places_of_several(
                read, "add -m, or write hydra.run.dir for the folder of one run"
            )
        lines = [[override.input_line for override in read]]
        if args.multirun:
            overrides.check_count(read)
            lines = hydra_private.combinations(read)
            lines = [
                more for line in lines for more in _split_by_files(args, line, options, has_default, base)
            ]
            overrides.check_runs(len(lines), " ".join(args.overrides))
        reads = [overrides.read(line, options, False, has_default) for line in lines]
        composed = [composed_of(read, options, base) for read in reads]
        for number, config in enumerate(composed):
            finish(config, number if args.multirun else None)
            check_composed(config, options)
        if args.config_dir is not None:
            for config, line in zip(composed, reads, strict=True):
                check_places(config, {override.key_or_group for override in line})
    found: list[Cell] = []
    for config, read in zip(composed, reads, strict=True):
        OmegaConf.copy_cache(composed[0], config)  # ${now:} is the same in all
        found.append(cell_of(config, read, without_overrides(config_name, args)))
    return found


def _split_by_files(args: Namespace, line: list[str], options, has_default, base: Base) -> list[list[str]]:
    """A run of `-m` in the runs that the files which it chooses make of it."""
    swept = swept_by_files(args, overrides.read(line, options, False, has_default), options, base)
    read = overrides.read([*line, *swept], options, True, has_default)
    overrides.check_count(read)
    return hydra_private.combinations(read)


def swept_by_files(
    args: Namespace, given: list[Override], options: overrides.Options, base: Base
) -> list[str]:
    """The values that a configuration file sweeps over, an experiment's, say: its `hydra.sweeper.params`, as
    words. Groups of which several choices are `given` are not looked at.

    A file with `hydra.mode: MULTIRUN` turns `-m` on, as in Hydra. The command line goes before it.
    """
    single = [o for o in given if not o.is_sweep_override()]
    groups = [o.input_line for o in single if overrides.is_hydras(o) or overrides.is_group(o, options)]
    config = base(tuple(groups))
    args.multirun = args.multirun or config.hydra.mode == RunMode.MULTIRUN
    keys = {override.key_or_group for override in given}
    swept = (config.hydra.sweeper.get("params") or {}).items() if args.multirun else ()
    for key, values in swept:
        if str(key).lstrip("+~ ").split(".")[0].split("@")[0].split("/")[0] in PLACES:
            raise UserError(
                f"hydra.sweeper.params: {key}={values}: a configuration file may not say where nnlab writes; "
                f"if you want it, write it on the command line"
            )
    catalogue = Catalogue("train", args.overrides, args.config_dir, args.config_name)
    texts = Texts(catalogue, several=True)
    return texts.readable(f"{key}={values}" for key, values in swept if key not in keys)


def without_overrides(config_name: str, args: Namespace) -> list[str]:
    """The words of the command line that repeats a run, up to its overrides."""
    words = ["nnlab", config_name]
    words += ["-cd", args.config_dir] if args.config_dir else []
    return words + (["-cn", args.config_name] if args.config_name else [])


def checked(config_name: str, args: Namespace) -> list[str]:
    """The overrides of `args`, checked as far as one can without composing."""
    base = base_of(config_name, args)
    with session(config_name, args) as loader:
        read = overrides.read(args.overrides, options_of(loader), args.multirun, has_default_of(base))
        lines = [override.input_line for override in read]
        if (args.config_dir or args.config_name) and not args.multirun:
            with suppress(HydraException, OmegaConfBaseException):  # Hydra itself will say what is wrong
                base(tuple(lines))
        return lines


def primary(config_name: str, args: Namespace) -> str:
    """The configuration that `-cn NAME` asks for, else the command's own. Checks `-cd` as well."""
    folder = Path(args.config_dir) if args.config_dir is not None else None
    if folder is not None and not folder.is_dir():
        raise UserError(f"--config-dir {args.config_dir}: there is no such folder")
    if args.config_name is None:
        return config_name
    name = args.config_name.removesuffix(".yaml")
    names = {file.stem for place in (CONFIG_DIR, folder) if place for file in place.glob("*.yaml")}
    if name not in names:
        raise UserError(f"--config-name {args.config_name}: no such configuration{nearest(name, names)}")
    return name


def searchpath(args: Namespace) -> list[str]:
    """An override that keeps the file of `-cn` from adding folders or packages to the search path."""
    return ["hydra.searchpath=[]"] if args.config_name else []


@contextmanager
def session(config_name: str, args: Namespace) -> Iterator[ConfigLoader]:
    """Hydra on nnlab's configurations and, after them, those of `-cd`, as `@hydra.main` has it."""
    first = None if args.config_dir is None else Path(args.config_dir)
    version.setbase("1.3")
    config_files.install()
    GlobalHydra.instance().clear()
    try:
        yield hydra_private.loader(config_name, CONFIG_DIR, first)
    finally:
        GlobalHydra.instance().clear()


def base_of(config_name: str, args: Namespace) -> Base:
    """Composing takes 0.2 s, setting a value nothing: compose once per combination of groups."""
    name, fixed = primary(config_name, args), searchpath(args)

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
        usual = base((words[group],))[group] if OmegaConf.is_dict(config[group]) else config[group]
        others = [key for key in config[group] if key not in usual] if OmegaConf.is_dict(usual) else []
        chosen = config.hydra.runtime.choices[group]
        if others and base((words["experiment"],)).hydra.runtime.choices[group] != chosen:
            with open_dict(config):
                for key in others:
                    del config[group][key]


def has_default_of(base: Base) -> overrides.HasDefault:
    return lambda group: group in base(()).hydra.runtime.choices


def options_of(loader: ConfigLoader) -> overrides.Options:
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


def cell_of(config: DictConfig, read: list[Override], repeat: list[str]) -> Cell:
    lines = [o.input_line for o in read if not overrides.is_hydras(o)]
    places = frozenset(o.key_or_group for o in read if overrides.is_hydras(o))
    return Cell(settings_of(config), config, lines, places, shell_line([*repeat, *lines]))


def composed_of(read: list[Override], options: overrides.Options, base: Base) -> DictConfig:
    """Compose the groups (and Hydra's settings), then set the values, as Hydra does."""
    first = [o for o in read if overrides.is_hydras(o) or overrides.is_group(o, options)]
    values = [o for o in read if o not in first]
    config = copy.deepcopy(base(tuple(o.input_line for o in first)))
    for override in values:
        set_value(config, override)
    config.hydra.overrides.task = [o.input_line for o in read if not overrides.is_hydras(o)]
    return config


def set_value(config: DictConfig, override: Override) -> None:
    key = override.key_or_group
    try:
        OmegaConf.update(config, key, override.value(), merge=True)
    except (ConfigAttributeError, ConfigKeyError) as e:
        raise UserError(hydra_errors.unknown_key(key, config, override.value())) from e
    except OmegaConfBaseException as e:
        raise UserError(f"{override.input_line}: {hydra_errors.sentence(e)}") from e


def finish(config: DictConfig, number: int | None) -> None:
    """What Hydra itself says of a job, in `hydra.mode` and `hydra.job`; `number` counts cells of `-m`."""
    with open_dict(config.hydra), read_write(config.hydra):
        config.hydra.mode = RunMode.RUN if number is None else RunMode.MULTIRUN
        task = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
        config.hydra.job.override_dirname = ",".join(sorted(task))
        if number is not None:
            config.hydra.job.num, config.hydra.job.id = number, str(number)


def check_places(config: DictConfig, given: set[str]) -> None:
    """Only the command line, which has `given` these keys, says where nnlab writes: no file of `-cd` does."""
    for key in overrides.HYDRA_KEYS:
        written = hydra_errors.raw(config, key)
        if key not in given and written not in (None, *_shipped_places().get(key, ())):
            raise UserError(
                f"{key} = '{written}': a configuration file may not say where nnlab writes; if you want it, "
                f"write it on the command line"
            )


@cache
def _shipped_places() -> dict[str, set]:
    """What nnlab's own configurations say of the places, and Hydra's."""
    shipped = {"hydra.output_subdir": {".hydra"}}
    for file in CONFIG_DIR.glob("*.yaml"):
        config = OmegaConf.load(file)
        for key in overrides.HYDRA_KEYS:
            shipped.setdefault(key, set()).add(hydra_errors.raw(config, key))
    return shipped


def check_composed(config: DictConfig, options: overrides.Options) -> None:
    """What a configuration file, an experiment or one of `-cd`, may not say either."""
    choices = config.hydra.runtime.choices
    inside = OmegaConf.select(config, "hydra.output_subdir", throw_on_missing=True)
    if inside is not None and (inside in ("", ".", "..") or Path(inside).name != inside):
        raise UserError(
            f"hydra.output_subdir = '{inside}': expected a name, of a folder in the run's, or null"
        )
    if inside is not None and (Path(inside).suffix or inside in TAKEN):
        raise UserError(f"hydra.output_subdir = '{inside}': a file or folder of the run's own is called so")
    if config.hydra.callbacks:
        raise UserError("hydra.callbacks is not empty: nnlab never runs Hydra callbacks")
    if choices.get("hydra/launcher") != "basic":
        raise UserError(f"hydra/launcher={choices.get('hydra/launcher')}: nnlab does not use Hydra launchers")
    for key in set(config) - {"hydra"} - set(choices) - overrides.COMBINABLE:
        if options(key):  # Hydra takes a list of choices for any group and merges them
            raise UserError(f"{key} takes one of {', '.join(options(key))}, not a list of them")


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
