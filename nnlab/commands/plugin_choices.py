"""Configuration nodes for plug-in choices (`optimizer=mine`), made from their class instead of a YAML file.

Packages are looked for only when a choice is none of the YAML files, so shipped choices cost nothing more.
"""

from hydra import compose
from hydra.core.config_store import ConfigStore
from hydra.errors import MissingConfigException
from omegaconf import DictConfig, OmegaConf

from nnlab import plugins
from nnlab.errors import UserError
from nnlab.untrusted import refuse_many_references

HYDRA_PARTS = (
    "hydra", "hydra.run", "hydra.sweep", "hydra.sweeper", "hydra.job", "hydra.runtime", "hydra.overrides",
    "hydra.runtime.choices",
)  # fmt: skip


def offer(group: str, choice: str) -> bool:
    """Give Hydra the settings of an installed package's class, if there is one of that name."""
    from nnlab.hyperparameters import Component

    cls = plugins.find(group, choice)
    if cls is None or not issubclass(cls, Component):
        return False
    ConfigStore.instance().store(name=choice, group=group, node=plugins.settings(cls))
    return True


def composed(name: str, overrides: list[str]) -> DictConfig:
    """What Hydra composes; a file may choose a class of an installed package, as the command line may."""
    offered = set()
    while True:
        try:
            return _shaped(compose(name, overrides, return_hydra_config=True))
        except (AttributeError, TypeError, KeyError, AssertionError) as e:
            raise UserError(f"the configuration files make no configuration: {e}") from e
        except MissingConfigException as e:
            # Of a package Hydra knows a choice only once it was asked for: offer it, and compose again.
            group, _, choice = (e.missing_cfg_file or "").rpartition("/")
            if (group, choice) in offered or not offer(group, choice):
                raise
            offered.add((group, choice))


def _shaped(config: DictConfig) -> DictConfig:
    """The configuration, if every group and every part of Hydra's that is looked at is a mapping: a file may
    have put anything in its place. Raises `UserError`."""
    for key in HYDRA_PARTS:
        if not isinstance(OmegaConf.select(config, key), DictConfig):
            raise UserError(f"{key} must be a mapping: a configuration file may not replace it")
    own = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    plain = OmegaConf.to_container(own, resolve=False)
    refuse_many_references(plain)
    if plain.get("experiment") is not None:
        raise UserError(
            f"experiment={config.hydra.runtime.choices.get('experiment')}: its file must begin with the line "
            f"'# @package _global_', or its keys are not those of the settings"
        )
    for group in config.hydra.runtime.choices:
        if config.hydra.runtime.choices[group] is not None and group in config:
            if not isinstance(config[group], DictConfig):
                raise UserError(f"{group} = {config[group]}: expected a choice of the group with its keys")
    return config
