"""Settings and command line of each trial of a sweep: what all trials share, plus the trial's parameters."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from nnlab.commands import composing, grammar, graph_file, hydra_overrides, resolvers
from nnlab.commands.command_keys import keys_of, train_settings
from nnlab.search.domains import Domain
from nnlab.search.space import Space


@dataclass(frozen=True)
class SharedSettings:
    """The settings that trials with the same choices of groups share."""

    config: DictConfig
    settings: dict  # the same as plain Python, resolved, for `nnlab train`
    has_references: bool  # whether a value is an interpolation of a searched key, ${metric}


@dataclass(frozen=True)
class TrialSettings:
    """Maps a trial's parameters to the settings, and the overrides, with which `nnlab train` repeats it."""

    domains: dict[str, Domain]  # searched key -> its domain
    groups: frozenset[str]  # searched keys that are groups: each choice has keys of its own
    fixed: list[Override]  # overrides that hold for all trials
    composer: composing.Composer
    defaults: dict  # the sweep's settings, every searched key at its default
    prefix: list[str]  # the command line of a trial, up to its overrides
    decayed_once: bool = False  # an optimiser's own decay is searched in place of regularizer.l2
    device: str = ""  # chosen for all trials if their setting is `auto`
    _cache: dict[tuple, SharedSettings] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def space(self) -> Space:
        """The search space; a trial has only those keys that its choices of groups have."""
        return Space(self.domains, self.groups, has=self.has)

    def settings(self, params: dict) -> dict:
        """The settings of `nnlab train` for a trial's parameters, key -> label."""
        return self.settings_for_values(self.space.values(params))

    def settings_for_values(self, values: dict) -> dict:
        """The settings of `nnlab train` for a trial's values, key -> value."""
        shared = self.shared_settings({k: v for k, v in values.items() if k in self.groups})
        keys = sorted(values.keys() - self.groups, key=lambda key: key != graph_file.FILE_KEY)
        keys_within_groups = {key: values[key] for key in keys}  # a graph's file first, then its boxes
        if shared.has_references:  # then interpolations must be resolved for each trial
            config = copy.deepcopy(shared.config)
            for key, value in keys_within_groups.items():
                OmegaConf.update(config, key, value, merge=False)
                if key == graph_file.FILE_KEY:
                    graph_file.put_boxes(config)
            return self._with_device(train_settings(composing.settings_of(config)))
        # Composing takes 0.2 s: without interpolations the values are set directly.
        settings = copy.deepcopy(shared.settings)
        for key, value in keys_within_groups.items():
            *path, leaf = key.split(".")
            node = settings
            for name in path:
                node = node[name]
            node[leaf] = value
            if key == graph_file.FILE_KEY:
                node["boxes"] = copy.deepcopy(graph_file.boxes_in(value))
        return self._with_device(settings)

    def _with_device(self, settings: dict) -> dict:
        if self.device and settings["device"] == "auto":
            settings["device"] = self.device
        return settings

    def overrides(self, params: dict) -> list[str]:
        """The overrides with which `nnlab train` repeats the trial."""
        chosen = self.space.values({key: label for key, label in params.items() if key in self.groups})
        fixed = [o.input_line for o in self.fixed if self._applies_to(o, chosen)]
        if self.device and self.settings(params)["device"] == self.device:
            fixed = [*(word for word in fixed if not word.startswith("device=")), f"device={self.device}"]
        return [
            *fixed,
            *(grammar.override_for(key, value) for key, value in self.space.values(params).items()),
        ]

    def shell_words(self, params: dict) -> list[str]:
        """The words of the `nnlab train` command that repeats the trial."""
        return [*self.prefix, *self.overrides(params)]

    def notes(self) -> list[str]:
        """Advice about settings that follow from others, for every optimiser that is tried."""
        if self.decayed_once:
            return [resolvers.DECAY_REPLACES_L2_ADVICE]
        tried = [{}]
        if "optimizer" in self.groups:
            tried = [{"optimizer": name} for name in self.domains["optimizer"].values]
        shared = map(self.shared_settings, tried)
        advice = (resolvers.decay_advice(each.config, each.settings, self.domains) for each in shared)
        return list(dict.fromkeys(chain.from_iterable(advice)))

    def has(self, key: str, chosen: dict) -> bool:
        """Whether the settings have the key, given the `chosen` choices of groups."""
        group, _, leaf = key.partition(".")
        if self.decayed_once and key == resolvers.PENALTY_KEY:
            return not resolvers.decay_of(self.shared_settings(chosen).settings["optimizer"])
        if "experiment" in chosen:
            return has_key(self.shared_settings(chosen).settings, key)
        if group in chosen and leaf and group not in hydra_overrides.COMBINABLE:
            return has_key(self.keys_of_choice(group, chosen[group]), leaf)
        return has_key(self.defaults, key)

    def keys_of_choice(self, group: str, choice: str) -> dict:
        """The settings of a group for one of its choices."""
        return self.shared_settings({group: choice}).settings[group]

    def shared_settings(self, chosen: dict) -> SharedSettings:
        """The settings that trials with these choices share; composed once, then cached."""
        cache_key = tuple((key, str(value)) for key, value in chosen.items())
        if cache_key not in self._cache:
            config = self._composed(chosen)
            plain = train_settings(composing.settings_of(config))
            self._cache[cache_key] = SharedSettings(config, plain, self._has_references(config))
        return self._cache[cache_key]

    def _composed(self, chosen: dict) -> DictConfig:
        words = [grammar.override_for(key, value) for key, value in chosen.items()]
        picked = hydra_overrides.read(words, self.composer.options, False, lambda group: True)
        groups = [o for o in self.fixed if self.composer.is_group(o) and o.key_or_group not in chosen]
        config = self.composer.compose_groups_again(tuple(o.input_line for o in [*groups, *picked]))
        config = copy.deepcopy(config)
        graph_file.put_boxes(config)
        fixed = [override for override in self.fixed if not self.composer.is_group(override)]
        # A key that this choice does not have belongs to another choice.
        composing.set_values(config, (o for o in fixed if has_key(_unresolved(config), o.key_or_group)))
        return config

    def _applies_to(self, override: Override, chosen: dict) -> bool:
        """Whether the override applies to trials with these choices, not to the search or another choice."""
        key = override.key_or_group
        if key.split(".")[0] in keys_of("sweep") or hydra_overrides.is_hydra_setting(override):
            return False
        return self.composer.is_group(override) or self.has(key, chosen)

    def _has_references(self, config: DictConfig) -> bool:
        """Whether some value is an interpolation of a searched key: `${metric}`."""
        interpolated = " ".join(
            text for text in _strings(train_settings(_unresolved(config))) if "${" in text
        )
        keys = re.findall(r"\$\{([^:}]*)\}", interpolated)
        if "unless_decayed" in interpolated:
            keys.append(resolvers.DECAY_KEY)
        return any(key in keys for key in self.domains)


def _unresolved(config: DictConfig) -> dict:
    plain = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    return OmegaConf.to_container(plain, resolve=False)


def _strings(node) -> Iterator[str]:
    """Every string in nested settings."""
    if isinstance(node, str):
        yield node
    if isinstance(node, dict):
        node = [*node.values()]
    if isinstance(node, list):
        for child in node:
            yield from _strings(child)


def has_key(node, key: str) -> bool:
    """Whether nested settings have the key."""
    for name in key.split("."):
        if not isinstance(node, dict) or name not in node:
            return False
        node = node[name]
    return True
