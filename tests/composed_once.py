"""What Hydra composes of nnlab's own files is composed once in a process of tests, not once a command.

A command of a user is a process of its own and composes for 0.1 s; tests run thousands of commands in one
process, and a third of their time was this. Files of a user (`-cd`) and classes of packages are composed as
ever.
"""

import functools
import os
import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobRuntime
from omegaconf import DictConfig, OmegaConf

from nnlab.commands import plugin_choices
from nnlab.paths import CONFIG_DIR

OWN_PATHS = {"pkg://hydra.conf", str(CONFIG_DIR), "structured://"}
OF_FOLDERS = re.compile(r"hydra\.(run\.dir|sweep\.dir|sweep\.subdir)=[\w/.${}:+-]+$")
COPIES_KEPT = 500  # of 20 kB


compose = plugin_choices.compose  # Hydra's own


@contextmanager
def composed_by_hydra() -> Iterator[None]:
    """Without copies: whoever watches for code that a pickle could run sees none."""
    copies, plugin_choices.compose = plugin_choices.compose, compose
    yield
    plugin_choices.compose = copies


@contextmanager
def composed_once() -> Iterator[None]:

    @functools.lru_cache(COPIES_KEPT)
    def pickled(name: str, overrides: tuple[str, ...], job_name: str) -> bytes:
        return pickle.dumps(compose(name, list(overrides), return_hydra_config=True))

    def compose_or_copy(name: str, overrides: list[str], return_hydra_config: bool) -> DictConfig:
        assert return_hydra_config
        if not _is_of_own_files(overrides):
            return compose(name, overrides, return_hydra_config=True)
        folders = [word for word in overrides if OF_FOLDERS.match(word)]  # which differ in every test
        others = tuple(word for word in overrides if word not in folders)
        config = pickle.loads(pickled(name, others, JobRuntime.instance().get("name")))
        config.hydra.runtime.cwd = os.getcwd()
        for override in OverridesParser.create().parse_overrides(folders):
            OmegaConf.update(config, override.key_or_group, override.value())
        config.hydra.overrides.hydra = [word for word in overrides if word.startswith(("hydra.", "hydra/"))]
        return config

    plugin_choices.compose = compose_or_copy
    yield
    plugin_choices.compose = compose


def _is_of_own_files(overrides: list[str]) -> bool:
    """Whether the search path is nnlab's own, and no word names a class that a package has offered."""
    folders = GlobalHydra.instance().config_loader().get_search_path().get_path()
    offered = {
        name.removesuffix(".yaml")
        for group, nodes in ConfigStore.instance().repo.items()
        if group != "hydra" and isinstance(nodes, dict)
        for name in nodes
    }
    chosen = {word for override in overrides for word in re.findall(r"[^\W_][\w/-]*", override)}
    return {folder.path for folder in folders} <= OWN_PATHS and not offered & chosen
