"""The settings of a sweep's trials: what all have in common, with a trial's parameters in their places."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from nnlab.commands import automatic, composing, grammar, overrides
from nnlab.commands.command_keys import keys_of, train_settings
from nnlab.search.domains import Domain
from nnlab.search.space import Space


@dataclass(frozen=True)
class Common:
    """What trials with the same choices of groups have in common."""

    config: DictConfig
    settings: dict  # the same as plain Python, resolved, as `nnlab train` has it
    refers: bool  # whether a value is an interpolation of a parameter, ${metric}


@dataclass(frozen=True)
class TrialSettings:
    """From a trial's parameters to the settings, and the words, with which `nnlab train` is that trial."""

    domains: dict[str, Domain]  # what is searched
    groups: frozenset[str]  # those of the keys that are groups: their choices have keys of their own
    fixed: list[Override]  # what the command line says of all trials
    composer: composing.Composer
    defaults: dict  # the sweep's settings, every parameter at its default
    prefix: list[str]  # the command line of a trial, up to its overrides
    decayed_once: bool = False  # an optimiser's own decay is searched in place of regularizer.l2
    device: str = ""  # that was taken for all trials, where it is `auto`
    _common: dict[tuple, Common] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def space(self) -> Space:
        """What is searched; a key that a choice of a group does not have is not one of its trials' keys."""
        return Space(self.domains, self.groups, has=self.has)

    def settings(self, params: dict) -> dict:
        """The settings of `nnlab train` for a trial's parameters, key -> label."""
        return self.of_values(self.space.values(params))

    def of_values(self, values: dict) -> dict:
        """The same for key -> value."""
        common = self.common({k: v for k, v in values.items() if k in self.groups})
        inner = {key: value for key, value in values.items() if key not in self.groups}
        if common.refers:  # another value may be an interpolation of one of these
            config = copy.deepcopy(common.config)
            for key, value in inner.items():
                OmegaConf.update(config, key, value, merge=False)
            return self._placed(train_settings(composing.settings_of(config)))
        # Composing takes 0.2 s: where nothing is interpolated, a parameter is put into its place.
        settings = copy.deepcopy(common.settings)
        for key, value in inner.items():
            *path, leaf = key.split(".")
            node = settings
            for name in path:
                node = node[name]
            node[leaf] = value
        return self._placed(settings)

    def _placed(self, settings: dict) -> dict:
        if self.device and settings["device"] == "auto":
            settings["device"] = self.device
        return settings

    def words(self, params: dict) -> list[str]:
        """The overrides with which `nnlab train` is this trial."""
        chosen = self.space.values({key: label for key, label in params.items() if key in self.groups})
        fixed = [o.input_line for o in self.fixed if self._is_of(o, chosen)]
        if self.device and self.settings(params)["device"] == self.device:
            fixed = [*(word for word in fixed if not word.startswith("device=")), f"device={self.device}"]
        return [*fixed, *(grammar.word(key, value) for key, value in self.space.values(params).items())]

    def line(self, params: dict) -> list[str]:
        """The shell words of the whole `nnlab train` line that is this trial."""
        return [*self.prefix, *self.words(params)]

    def notes(self) -> list[str]:
        """What to say of settings that follow from others, of every optimiser that is tried."""
        if self.decayed_once:
            return [automatic.SEARCHED_ONCE]
        tried = [{}]
        if "optimizer" in self.groups:
            tried = [{"optimizer": name} for name in self.domains["optimizer"].values]
        each = map(self.common, tried)
        notes = (automatic.notes(common.config, common.settings, self.domains) for common in each)
        return list(dict.fromkeys(note for some in notes for note in some))

    def has(self, key: str, chosen: dict) -> bool:
        """Whether the settings have the key once the groups are `chosen`."""
        group, _, leaf = key.partition(".")
        if self.decayed_once and key == automatic.PENALTY_KEY:
            return not automatic.decay_of(self.common(chosen).settings["optimizer"])
        if "experiment" in chosen:
            return _in(self.common(chosen).settings, key)
        if group in chosen and leaf and group not in overrides.COMBINABLE:
            return _in(self.keys_of_choice(group, chosen[group]), leaf)
        return _in(self.defaults, key)

    def keys_of_choice(self, group: str, choice: str) -> dict:
        """The settings of a group for one of its choices."""
        return self.common({group: choice}).settings[group]

    def common(self, chosen: dict) -> Common:
        """What trials with these choices have in common; composed once."""
        known = tuple((key, str(value)) for key, value in chosen.items())
        if known not in self._common:
            config = self._composed(chosen)
            plain = train_settings(composing.settings_of(config))
            self._common[known] = Common(config, plain, self._refers(config))
        return self._common[known]

    def _composed(self, chosen: dict) -> DictConfig:
        words = [grammar.word(key, value) for key, value in chosen.items()]
        picked = overrides.read(words, self.composer.options, False, lambda group: True)
        groups = [o for o in self.fixed if self.composer.is_group(o) and o.key_or_group not in chosen]
        config = self.composer.reopened(tuple(o.input_line for o in [*groups, *picked]))
        config = copy.deepcopy(config)
        for override in self.fixed:
            # A key that this choice does not have is another's.
            if not self.composer.is_group(override) and _in(_raw(config), override.key_or_group):
                composing.set_value(config, override)
        return config

    def _is_of(self, override: Override, chosen: dict) -> bool:
        """Whether it is a word of the trials with these choices: not of the search, not of another choice."""
        key = override.key_or_group
        if key.split(".")[0] in keys_of("sweep") or overrides.is_hydras(override):
            return False
        return self.composer.is_group(override) or self.has(key, chosen)

    def _refers(self, config: DictConfig) -> bool:
        """Whether some value is an interpolation of a parameter: `${metric}`."""
        interpolated = " ".join(text for text in _texts(train_settings(_raw(config))) if "${" in text)
        keys = re.findall(r"\$\{([^:}]*)\}", interpolated)
        if "unless_decayed" in interpolated:
            keys.append(automatic.DECAY_KEY)
        return any(key in keys for key in self.domains)


def _raw(config: DictConfig) -> dict:
    plain = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    return OmegaConf.to_container(plain, resolve=False)


def _texts(node) -> Iterator[str]:
    """Every value of nested settings that is text."""
    if isinstance(node, str):
        yield node
    if isinstance(node, dict):
        node = [*node.values()]
    if isinstance(node, list):
        for child in node:
            yield from _texts(child)


def _in(node, key: str) -> bool:
    for name in key.split("."):
        if not isinstance(node, dict) or name not in node:
            return False
        node = node[name]
    return True
