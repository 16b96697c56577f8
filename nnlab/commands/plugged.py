"""Choices of installed packages, `optimizer=mine`, for which nnlab has no YAML: their class says the keys.

Packages are looked for only when a choice is none of the YAML files, so shipped choices cost nothing more.
"""

from hydra import compose
from hydra.core.config_store import ConfigStore
from hydra.errors import MissingConfigException
from omegaconf import DictConfig

from nnlab import plugins


def offer(group: str, choice: str) -> bool:
    """Give Hydra the settings of an installed package's class, if there is one of that name."""
    from nnlab.fields import Part

    cls = plugins.find(group, choice)
    if cls is None or not issubclass(cls, Part):
        return False
    ConfigStore.instance().store(name=choice, group=group, node=plugins.settings(cls))
    return True


def composed(name: str, overrides: list[str]) -> DictConfig:
    """What Hydra composes; a file may choose a class of an installed package, as the command line may."""
    offered = set()
    while True:
        try:
            return compose(name, overrides, return_hydra_config=True)
        except MissingConfigException as e:
            group, _, choice = (e.missing_cfg_file or "").rpartition("/")
            if (group, choice) in offered or not offer(group, choice):
                raise
            offered.add((group, choice))
