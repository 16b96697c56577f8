"""Hydra's reader of configuration files, replaced by one with bounds on size and depth."""

import functools
import os
import posixpath
from collections.abc import Iterator
from pathlib import Path

from hydra.plugins.config_source import ConfigLoadError, ConfigResult
from omegaconf import OmegaConf

from nnlab.allowed import yaml_text
from nnlab.catalogue import KEYLESS_GROUPS
from nnlab.commands.hydra_private import FolderConfigSource, register_config_source, yaml_loader
from nnlab.errors import UserError
from nnlab.paths import CONFIG_DIR
from nnlab.untrusted import MAX_FILE_BYTES, read_text, read_yaml

GROUPS_WITH_NAME = {folder.name for folder in CONFIG_DIR.iterdir() if folder.is_dir()}
GROUPS_WITH_NAME -= KEYLESS_GROUPS | {"experiment", "hydra"}
_files_read: dict[str, tuple[Path, dict]] = {}  # name in Hydra -> path and content of a file that was read
HEADER_CHARACTERS = 512  # at the start of a file, where Hydra looks for `# @package`


class BoundedFiles(FolderConfigSource):
    """Hydra's folder of YAML files; what a file says is checked before OmegaConf copies it."""

    def load_config(self, config_path: str) -> ConfigResult:
        path = Path(os.path.realpath(os.path.join(self.path, self._normalize_file_name(config_path))))
        if not path.exists():
            raise ConfigLoadError(f"Config not found : {path}")
        tree, header = _content(path)
        name = config_path.removesuffix(".yaml")
        if tree is None and posixpath.dirname(name) in GROUPS_WITH_NAME:
            raise UserError(f"'{path}' is empty: expected name: and the keys of what it names")
        if tree is None:
            tree = {}
        if not isinstance(tree, dict):
            raise UserError(f"'{path}' holds no keys with values, but {yaml_text(tree)}")
        _files_read[name] = path, tree
        if not isinstance(tree.get("hydra", {}), dict):
            raise UserError(f"{path.name}: hydra must be a mapping: a configuration file may not replace it")
        return ConfigResult(
            config=OmegaConf.create(tree),
            path=f"{self.scheme()}://{self.path}",
            provider=self.provider,
            header=self._get_header_dict(header),
        )


def _content(path: Path) -> tuple[object, str]:
    """What a file says, which nobody may change, and its first characters. Those that come with nnlab are
    parsed once for all runs of -m."""
    if path.is_relative_to(CONFIG_DIR):
        return _parsed_once(path, path.stat().st_mtime_ns)
    return _parsed(path)


def _parsed(path: Path) -> tuple[object, str]:
    return read_yaml(path, yaml_loader()), read_text(path, MAX_FILE_BYTES["YAML"])[:HEADER_CHARACTERS]


@functools.cache
def _parsed_once(path: Path, _modified: int) -> tuple[object, str]:
    return _parsed(path)


def users_files() -> dict[str, dict]:
    """Of the files read, those that do not come with nnlab: name in Hydra, such as experiment/mine -> what it
    says, its `defaults` left out."""
    return {
        name: {key: value for key, value in tree.items() if key != "defaults"}
        for name, (path, tree) in _files_read.items()
        if not path.is_relative_to(CONFIG_DIR)
    }


def circular_defaults() -> str:
    """The error message for files whose `defaults` include each other in a circle; empty if there is no
    circle."""
    for start in _files_read:
        open_paths, seen = [[start]], set()
        while open_paths:
            path_so_far = open_paths.pop()
            for name in _defaults_of(path_so_far[-1]):
                if name == start:
                    files = ", ".join(f"'{_files_read[step][0]}'" for step in [*path_so_far, start])
                    return f"the defaults of a configuration file lead back to it: {files}"
                if name in _files_read and name not in seen:
                    seen.add(name)
                    open_paths.append([*path_so_far, name])
    return ""


def _defaults_of(name: str) -> Iterator[str]:
    """The files that a file's `defaults` name: `b`, `/group/b`, `group: b`, `override /group: [b, c]`."""
    for key, choice in _group_choices(_files_read[name][1].get("defaults")):
        full_path = posixpath.join("/", posixpath.dirname(name), _config_name(key), _config_name(choice))
        yield full_path.lstrip("/").removesuffix(".yaml")


def _group_choices(defaults) -> Iterator[tuple[str, object]]:
    """(group, choice) of every entry of `defaults`, in any form that a file may use; "" for a file of no
    group."""
    if not isinstance(defaults, list):
        return
    for entry in defaults:
        pairs = [("", entry)]
        if isinstance(entry, dict):
            pairs = list(entry.items())
        for key, chosen in pairs:
            choices = chosen if isinstance(chosen, list) else [chosen]
            yield from ((key, choice) for choice in choices)


def _config_name(entry) -> str:
    """`/group/b` of `override /group/b@package`."""
    return (str(entry).split("@")[0].split() or [""])[-1]


def use_bounded_reader() -> None:
    """Make Hydra read every configuration file by `BoundedFiles` in this process."""
    _files_read.clear()
    register_config_source(BoundedFiles)
