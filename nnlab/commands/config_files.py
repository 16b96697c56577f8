"""Hydra's reader of configuration files, replaced by one with bounds on size and depth."""

import os
import posixpath
from collections.abc import Iterator
from pathlib import Path

from hydra.plugins.config_source import ConfigLoadError, ConfigResult
from omegaconf import OmegaConf

from nnlab.allowed import shown_as
from nnlab.catalogue import KEYLESS_GROUPS
from nnlab.commands.hydra_private import FilesOfFolder, read_files_by, yaml_loader
from nnlab.errors import UserError
from nnlab.paths import CONFIG_DIR
from nnlab.untrusted import LARGEST_FILES, text_of, yaml_of

NAMED_GROUPS = {folder.name for folder in CONFIG_DIR.iterdir() if folder.is_dir()}
NAMED_GROUPS -= KEYLESS_GROUPS | {"experiment", "hydra"}
_read: dict[str, tuple[Path, object]] = {}  # by its name in Hydra: a file that was read, and its defaults
HEADER_LETTERS = 512  # at a file's start, in which Hydra looks for `# @package`


class BoundedFiles(FilesOfFolder):
    """Hydra's folder of YAML files; what a file says is checked before OmegaConf copies it."""

    def load_config(self, config_path: str) -> ConfigResult:
        path = Path(os.path.realpath(os.path.join(self.path, self._normalize_file_name(config_path))))
        if not path.exists():
            raise ConfigLoadError(f"Config not found : {path}")
        tree = yaml_of(path, yaml_loader())
        name = config_path.removesuffix(".yaml")
        if tree is None and posixpath.dirname(name) in NAMED_GROUPS:
            raise UserError(f"'{path}' is empty: expected name: and the keys of what it names")
        if tree is None:
            tree = {}
        if not isinstance(tree, dict):
            raise UserError(f"'{path}' holds no keys with values, but {shown_as(tree)}")
        _read[name] = path, tree.get("defaults")
        if not isinstance(tree.get("hydra", {}), dict):
            raise UserError(f"{path.name}: hydra must be a mapping: a configuration file may not replace it")
        return ConfigResult(
            config=OmegaConf.create(tree),
            path=f"{self.scheme()}://{self.path}",
            provider=self.provider,
            header=self._get_header_dict(text_of(path, LARGEST_FILES["YAML"])[:HEADER_LETTERS]),
        )


def circle() -> str:
    """What to say of files whose `defaults` lead back to themselves, if some that were read do."""
    for begin in _read:
        ways, seen = [[begin]], set()
        while ways:
            way = ways.pop()
            for name in _defaults_of(way[-1]):
                if name == begin:
                    files = ", ".join(f"'{_read[step][0]}'" for step in [*way, begin])
                    return f"the defaults of a configuration file lead back to it: {files}"
                if name in _read and name not in seen:
                    seen.add(name)
                    ways.append([*way, name])
    return ""


def _defaults_of(name: str) -> Iterator[str]:
    """The files that a file's `defaults` name: `b`, `/group/b`, `group: b`, `override /group: [b, c]`."""
    for key, choice in _chosen(_read[name][1]):
        place = posixpath.join("/", posixpath.dirname(name), _named(key), _named(choice))
        yield place.lstrip("/").removesuffix(".yaml")


def _chosen(defaults) -> Iterator[tuple[str, object]]:
    """Each group with each of its choices, in any form that a file may have; a plain file has none."""
    if not isinstance(defaults, list):
        return
    for entry in defaults:
        pairs = [("", entry)]
        if isinstance(entry, dict):
            pairs = list(entry.items())
        for key, chosen in pairs:
            choices = chosen if isinstance(chosen, list) else [chosen]
            yield from ((key, choice) for choice in choices)


def _named(entry) -> str:
    """`/group/b` of `override /group/b@package`."""
    return (str(entry).split("@")[0].split() or [""])[-1]


def install() -> None:
    """Let Hydra read every file so, in this process."""
    _read.clear()
    read_files_by(BoundedFiles)
