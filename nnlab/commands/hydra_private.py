"""All private API of Hydra and OmegaConf that nnlab uses, in one place: hydra-core 1.4 will move it.

tests/test_hydra_private.py says of each function what is counted on.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.hydra import Hydra
from hydra._internal.sources_registry import SourcesRegistry
from hydra._internal.utils import _run_hydra, create_config_search_path, get_args_parser
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.types import RunMode
from omegaconf._utils import get_yaml_loader

FolderConfigSource = FileConfigSource  # a folder of YAML files, to derive another reader from
yaml_loader = get_yaml_loader  # PyYAML's, with OmegaConf's numbers and without two keys of one name


def argument_parser() -> ArgumentParser:
    """The parser of the command line that `@hydra.main` takes: overrides, -m, -cd, --cfg, --info, ..."""
    return get_args_parser()


def run_hydra_main(flags: dict, folder: Path, config_name: str) -> None:
    """Do what `@hydra.main` itself does with --cfg, --info and the like: print, and perhaps `SystemExit`.

    `flags` are those that differ from an empty line's.
    """
    main_parser = argument_parser()
    args = Namespace(**vars(main_parser.parse_args([])) | flags)
    _run_hydra(args, main_parser, lambda _: None, str(folder), config_name)


def config_loader(config_name: str, folder: Path, searched_first: str | Path | None) -> ConfigLoader:
    """Hydra's loader, as its Compose API uses it, for the configurations in `folder`, after those in
    `searched_first`.
    """
    path = create_config_search_path(str(folder))
    if searched_first is not None:
        path.prepend(
            "command-line", f"file://{Path(searched_first).absolute()}", SearchPathQuery(provider="schema")
        )
    return Hydra.create_main_hydra2(config_name, path).config_loader


def group_options(loader: ConfigLoader) -> Callable[[str, ObjectType], list[str]]:
    """A function that lists the subgroups or the choices of a group. (Asked through the loader itself, each
    question would copy everything that was loaded so far.)"""
    return loader.repository.get_group_options


class MergedFile(NamedTuple):
    """A file of a composition."""

    name: str  # experiment/mine
    parent: str  # the file whose defaults name it
    package: str  # where its keys go: "" for the top, else optimizer


def merged_files(config_name: str, overrides: list[str]) -> list[MergedFile]:
    """The files that Hydra composes, in the order in which it merges them: what comes later wins."""
    loader = GlobalHydra.instance().config_loader()
    entries = loader.compute_defaults_list(config_name, overrides, RunMode.RUN).defaults
    return [MergedFile(e.config_path or "", e.parent or "", e.package or "") for e in entries]


def multirun_combinations(overrides: list[Override]) -> list[list[str]]:
    """The words of each run that a command line with `-m` asks for, in the order of Hydra's own sweeper."""
    return BasicSweeper.split_arguments(overrides, None)[0]


def register_config_source(source: type[FolderConfigSource]) -> None:
    """Make Hydra read every configuration file by another reader in this process."""
    Plugins.instance()  # which registers Hydra's own
    SourcesRegistry.instance().types[source.scheme()] = source
