"""All private API of Hydra and OmegaConf that nnlab uses, in one place: hydra-core 1.4 will move it.

tests/test_hydra_private.py says of each function what is counted on.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.hydra import Hydra
from hydra._internal.sources_registry import SourcesRegistry
from hydra._internal.utils import _run_hydra, create_config_search_path, get_args_parser
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from omegaconf._utils import get_yaml_loader

FilesOfFolder = FileConfigSource  # a folder of YAML files, to derive another reader from
yaml_loader = get_yaml_loader  # PyYAML's, with OmegaConf's numbers and without two keys of one name


def parser() -> ArgumentParser:
    """Of the command line that `@hydra.main` takes: overrides, -m, -cd, --cfg, --info, ..."""
    return get_args_parser()


def answer(flags: dict, folder: Path, config_name: str) -> None:
    """Do what `@hydra.main` itself does with --cfg, --info and the like: print, and perhaps `SystemExit`.

    `flags` are those that differ from an empty line's.
    """
    of_main = parser()
    args = Namespace(**vars(of_main.parse_args([])) | flags)
    _run_hydra(args, of_main, lambda _: None, str(folder), config_name)


def loader(config_name: str, folder: Path, first: str | Path | None) -> ConfigLoader:
    """Hydra, as its Compose API uses it, on the configurations in `folder`; those in `first` go before."""
    path = create_config_search_path(str(folder))
    if first is not None:
        path.prepend("command-line", f"file://{Path(first).absolute()}", SearchPathQuery(provider="schema"))
    return Hydra.create_main_hydra2(config_name, path).config_loader


def options(loader: ConfigLoader) -> Callable[[str, ObjectType], list[str]]:
    """The groups or configurations in a group. (Asked through the loader itself, each question would copy
    everything that was loaded so far.)"""
    return loader.repository.get_group_options


def combinations(overrides: list[Override]) -> list[list[str]]:
    """The words of each run that a command line with `-m` asks for, in the order of Hydra's own sweeper."""
    return BasicSweeper.split_arguments(overrides, None)[0]


def read_files_by(source: type[FilesOfFolder]) -> None:
    """Let Hydra read every file by another reader, in this process."""
    Plugins.instance()  # which registers Hydra's own
    SourcesRegistry.instance().types[source.scheme()] = source
