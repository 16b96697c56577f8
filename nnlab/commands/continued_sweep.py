"""Derives the command line of a resumed sweep (resume=FOLDER) and of a refined one (refine=FOLDER)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from omegaconf import OmegaConf

from nnlab.commands import grammar
from nnlab.commands.command_keys import SWEEP_FOLDER_KEYS
from nnlab.commands.command_line import CommandLine, by_key, key_of
from nnlab.commands.passwords import without_passwords
from nnlab.commands.resume_folder import unquote_folder
from nnlab.search.space import Space

OLD_DEFAULTS = {  # for sweeps whose config.yaml lacks the key, since the default has changed
    "data.normalization": "standard",
    "data.channels": "none",
    "schedule.tolerance": 0.0,
    "schedule.stop_below": 0.0,
}


# ---- The folders of earlier sweeps, as they were typed


def with_folders_quoted(line: CommandLine) -> CommandLine:
    """The line with the folders of earlier sweeps quoted for Hydra's grammar, whatever their names."""
    folders = {
        key: unquote_folder(text) for key in SWEEP_FOLDER_KEYS if (text := typed_value(key, line)) is not None
    }
    quoted = {key: _quoted_override(key, text) for key, text in folders.items()}
    overrides = tuple(quoted.get(key_of(override), override) for override in line.overrides)
    return replace(line, overrides=overrides, folders=folders)


def typed_overrides(line: CommandLine) -> list[str]:
    """The overrides with the folders of earlier sweeps as they were typed."""
    typed = {key: f"{key}={folder}" for key, folder in line.folders.items()}
    return [typed.get(key_of(override), override) for override in line.overrides]


def typed_value(key: str, line: CommandLine) -> str | None:
    """The text that the command line gives to one of the sweep's own keys; None if it does not."""
    if key in line.folders:
        return line.folders[key]
    for override in line.overrides:
        text = override.partition("=")[2]
        if key_of(override) == key and text not in ("", "null"):
            return text if key in SWEEP_FOLDER_KEYS else text.strip("'\"")
    return None


def _quoted_override(key: str, text: str) -> str:
    """The override that sets the key to this text, in which `${` does not begin an interpolation."""
    return grammar.override_for(key, text.replace("${", "\\${"))


def is_launcher_word(override: str) -> bool:
    """Whether an override says where trials train, which no result depends on."""
    return key_of(override).partition(".")[0] == "launcher"


# ---- From command line to command line


def resumed_line(line: CommandLine, sweep_json: dict) -> CommandLine:
    """The line of the resumed sweep: the overrides in its sweep.json, replaced by those of `line`.

    Where it trains, `line` alone says: what is stored may be a stranger's, and chooses no cluster.
    """
    stored, storage = without_passwords([str(override) for override in sweep_json["words"]])
    overrides = [o for o in stored if key_of(o) not in line.keys() and not is_launcher_word(o)]
    overrides += line.overrides
    if "count" in sweep_json and "trials" not in line.keys():  # an earlier resume= may have asked for more
        overrides = [override for override in overrides if key_of(override) != "trials"]
        overrides.append(f"trials={sweep_json['count']}")
    return replace(
        line,
        overrides=tuple(overrides),
        # nnlab 0.1.0 stored the password in sweep.json: it still opens that database.
        storage=line.storage or storage,
        config_dir=line.config_dir or sweep_json.get("config_dir"),
    )


def refined_line(line: CommandLine, sweep_json: dict, space: Space, searched_keys: set[str]) -> CommandLine:
    """The line of a new sweep that refines an earlier one: its overrides, replaced by those of `line`.

    `space` is the new sweep's space, `searched_keys` what the earlier sweep searched, `sweep_json` its file.
    """
    line = line.with_overrides(override for override in line.overrides if key_of(override) != "refine")
    merged, given_keys = resumed_line(line, sweep_json), line.keys()
    dropped = {*SWEEP_FOLDER_KEYS, "space", *(searched_keys - given_keys)}
    dropped |= {"storage", "study"} - given_keys
    dropped |= {key_of(o) for o in _settings_of_replaced_choices(sweep_json["words"], line)} - given_keys
    overrides = [
        override
        for override in merged.overrides
        if key_of(override) not in dropped and not key_of(override).startswith("hydra")
    ]
    # A new sweep has a folder of its own: the earlier sweep's settings of Hydra do not apply.
    overrides += [override for override in line.overrides if key_of(override).startswith("hydra")]
    overrides += [
        grammar.search_override(key, domain) for key, domain in space.domains.items() if key not in given_keys
    ]
    return merged.with_overrides(overrides)


def _settings_of_replaced_choices(stored: list[str], line: CommandLine) -> list[str]:
    """The `stored` overrides that set a sampler's or pruner's keys where `line` chooses another one."""
    current, earlier = by_key(line.overrides), by_key(stored)
    replaced = {
        group for group in ("sampler", "pruner") if group in current and current[group] != earlier.get(group)
    }
    return [o for o in stored if key_of(o).partition(".")[0] in replaced and "." in key_of(o)]


# ---- Settings of a stored sweep whose defaults have changed since


def pinned_settings(
    stored: dict, current: dict, given_keys: set[str], changeable: Collection[str]
) -> dict[str, str]:
    """key -> the override that pins it to its value in a sweep's config.yaml, where today's default differs.

    A default may have changed since the sweep began, but its trials must not. What the command line sets, a
    key or its group, is not pinned, and neither are `changeable` keys.

    Args:
        stored: the sweep's settings, from its config.yaml.
        current: the same command line's settings with today's defaults.
    """
    old, new = (dict(_flatten({**settings, "space": {}})) for settings in (stored, current))
    not_pinned = {key.partition(".")[0] for key in given_keys} | set(changeable)
    old = {key: value for key, value in OLD_DEFAULTS.items() if key in new} | old
    changed = {
        key: value
        for key, value in old.items()
        if key in new and new[key] != value and key.partition(".")[0] not in not_pinned
    }
    pinned = {
        key: grammar.override_for(key.removesuffix(".name"), value)  # GROUP.name: another choice of the group
        for key, value in changed.items()
    }
    if stored["space"] != current["space"]:
        if not given_keys & {"space", *stored["space"], *current["space"]}:
            pinned |= {f"space.{key}": f"{key}={text}" for key, text in stored["space"].items()}
    return pinned


def pinned_choice_settings(sweep_json: dict, definition, given_keys: set[str]) -> dict[str, str]:
    """The same for keys that depend on the choice of a searched group, which config.yaml does not show.

    `definition` is that of the stored sweep. A sweep.json without `rules` was written by nnlab 0.1.0.
    """
    if "rules" in sweep_json:
        return {}
    trials = definition.trials
    searched = {group: trials.space.domains[group].values for group in trials.space.groups}
    pinned = {}
    if "optimizer" in searched and OmegaConf.is_interpolation(definition.run.config.regularizer, "l2"):
        pinned["regularizer.l2"] = "regularizer.l2=1e-3"
    if {"halve_on_rise", "halve_and_go_back"} & {*searched.get("schedule", ())}:
        schedule = {key: value for key, value in OLD_DEFAULTS.items() if key.startswith("schedule.")}
        pinned |= {key: f"{key}={value}" for key, value in schedule.items()}
        if "reduce_on_plateau" not in searched["schedule"]:  # whose default metric was another
            pinned["schedule.metric"] = "schedule.metric=val_error"
    already_set = given_keys | trials.space.domains.keys() | {o.key_or_group for o in trials.fixed}
    return {key: override for key, override in pinned.items() if key not in already_set}


def _flatten(tree: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Nested settings as pairs: dotted key, value."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
