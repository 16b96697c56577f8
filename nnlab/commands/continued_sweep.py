"""From the words of a sweep to those of another: one that goes on, or that begins again around its best."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from omegaconf import OmegaConf

from nnlab.commands import grammar
from nnlab.commands.command_keys import SWEEP_FOLDER_KEYS
from nnlab.commands.command_line import CommandLine, by_key, key_of
from nnlab.commands.passwords import without_passwords
from nnlab.search.space import Space

DEFAULTS_THEN = {  # what folders meant that lack a key, where its default is another now
    "data.normalization": "standard",
    "schedule.tolerance": 0.0,
    "schedule.stop_below": 0.0,
}


# ---- The folders of earlier sweeps, as they were typed


def with_folders_quoted(line: CommandLine) -> CommandLine:
    """The line with the folders of earlier sweeps as Hydra reads them, whatever their names."""
    folders = {key: _folder(text) for key in SWEEP_FOLDER_KEYS if (text := value_of(key, line)) is not None}
    literal = {key: _literal(key, text) for key, text in folders.items()}
    words = tuple(literal.get(key_of(word), word) for word in line.overrides)
    return replace(line, overrides=words, folders=folders)


def typed_words(line: CommandLine) -> list[str]:
    """The words with the folders of earlier sweeps as they may be typed."""
    typed = {key: f"{key}={folder}" for key, folder in line.folders.items()}
    return [typed.get(key_of(word), word) for word in line.overrides]


def value_of(key: str, line: CommandLine) -> str | None:
    """The text that the command line gives to a key of its own, if it does."""
    if key in line.folders:
        return line.folders[key]
    for word in line.overrides:
        text = word.partition("=")[2]
        if key_of(word) == key and text not in ("", "null"):
            return text if key in SWEEP_FOLDER_KEYS else text.strip("'\"")
    return None


def _folder(text: str) -> str:
    """The folder that was typed, in Hydra's quotes or not."""
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    if not quoted or Path(text).exists():
        return text
    return text[1:-1].replace("\\" + text[0], text[0])


def _literal(key: str, text: str) -> str:
    """The word that sets the key to this text, in which `${` does not begin an interpolation."""
    return grammar.word(key, text.replace("${", "\\${"))


# ---- From words to words


def resumed(line: CommandLine, about: dict) -> CommandLine:
    """The line of a sweep that goes on: its words, from `about` of its sweep.json, with those of `line` in
    place of its own."""
    began_with, storage = without_passwords([str(word) for word in about["words"]])
    words = [word for word in began_with if key_of(word) not in line.keys()] + list(line.overrides)
    if "count" in about and "trials" not in line.keys():  # as many as an earlier resume= asked for
        words = [word for word in words if key_of(word) != "trials"] + [f"trials={about['count']}"]
    return replace(
        line,
        overrides=tuple(words),
        # nnlab 0.1.0 kept the password in sweep.json: it still opens that database.
        storage=line.storage or storage,
        config_dir=line.config_dir or about.get("config_dir"),
    )


def refined(line: CommandLine, about: dict, around: Space, searched: set[str]) -> CommandLine:
    """The line of a new sweep on the space `around` the best of another, which `searched` these keys and of
    which `about` is the sweep.json; with the words of `line` in place of its own."""
    line = line.with_overrides(word for word in line.overrides if key_of(word) != "refine")
    both, given = resumed(line, about), line.keys()
    dropped = {*SWEEP_FOLDER_KEYS, "space", *(searched - given), *({"storage", "study"} - given)}
    dropped |= {key_of(word) for word in _of_other_choices(about["words"], line)} - given
    words = [w for w in both.overrides if key_of(w) not in dropped and not key_of(w).startswith("hydra")]
    # A new sweep has a folder of its own: that of the other is not taken over.
    words += [word for word in line.overrides if key_of(word).startswith("hydra")]
    words += [grammar.searched(key, domain) for key, domain in around.domains.items() if key not in given]
    return both.with_overrides(words)


def _of_other_choices(words: list[str], line: CommandLine) -> list[str]:
    """Of the other sweep's `words`, those for a sampler or pruner in whose place `line` puts another."""
    now, then = by_key(line.overrides), by_key(words)
    others = {group for group in ("sampler", "pruner") if group in now and now[group] != then.get(group)}
    return [word for word in words if key_of(word).partition(".")[0] in others and "." in key_of(word)]


# ---- What a sweep began with, where a default has changed since


def as_recorded(before: dict, now: dict, given: set[str], kept: Collection[str]) -> dict[str, str]:
    """key -> the word that sets it as a sweep's config.yaml, `before`, has it: whatever today's defaults say.

    A default may have changed since the sweep began, and its trials must not. What the command line gives,
    a key or its group, is left as it is, and so are the keys that are `kept`.
    """
    old, new = (dict(_flat({**settings, "space": {}})) for settings in (before, now))
    left = {key.partition(".")[0] for key in given} | set(kept)
    old = {key: value for key, value in DEFAULTS_THEN.items() if key in new} | old
    changed = {
        key: value
        for key, value in old.items()
        if key in new and new[key] != value and key.partition(".")[0] not in left
    }
    words = {
        key: grammar.word(key.removesuffix(".name"), value)  # of a group, another choice
        for key, value in changed.items()
    }
    if before["space"] != now["space"] and not given & {"space", *before["space"], *now["space"]}:
        words |= {f"space.{key}": f"{key}={text}" for key, text in before["space"].items()}
    return words


def of_searched_choices(about: dict, asked, given: set[str]) -> dict[str, str]:
    """The same for what depends on the choice of a searched group, which config.yaml does not show.

    `asked` are the sweep's words, read. A sweep.json without `rules` is of nnlab 0.1.0.
    """
    if "rules" in about:
        return {}
    trials = asked.trials
    searched = {group: trials.space.domains[group].values for group in trials.space.groups}
    words = {}
    if "optimizer" in searched and OmegaConf.is_interpolation(asked.run.config.regularizer, "l2"):
        words["regularizer.l2"] = "regularizer.l2=1e-3"
    if {"halve_on_rise", "halve_and_go_back"} & {*searched.get("schedule", ())}:
        schedule = {key: value for key, value in DEFAULTS_THEN.items() if key.startswith("schedule.")}
        words |= {key: f"{key}={value}" for key, value in schedule.items()}
        if "reduce_on_plateau" not in searched["schedule"]:  # whose metric was another
            words["schedule.metric"] = "schedule.metric=val_error"
    taken = given | trials.space.domains.keys() | {o.key_or_group for o in trials.fixed}
    return {key: word for key, word in words.items() if key not in taken}


def _flat(tree: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Nested settings as pairs: dotted key, value."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
