"""The words of `nnlab sweep` when it goes on with another sweep, or begins again around its best."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Collection, Iterator
from pathlib import Path

from omegaconf import OmegaConf

from nnlab.commands import grammar
from nnlab.commands.passwords import without_passwords
from nnlab.commands.text_values import FOLDERS
from nnlab.search.space import Space

UNSAID = {  # what folders meant that lack a key, where its default is another
    "data.normalization": "standard",
    "schedule.tolerance": 0.0,
    "schedule.stop_below": 0.0,
}


def quote_folders(args: Namespace) -> None:
    """Write the folders of earlier sweeps as Hydra reads them, whatever characters their names have."""
    args.folders = {key: _folder(text) for key in FOLDERS if (text := value_of(key, args)) is not None}
    args.overrides = [
        _literal(key, args.folders[key]) if (key := _key(word)) in args.folders else word
        for word in args.overrides
    ]


def _folder(text: str) -> str:
    """The folder that was typed, in Hydra's quotes or not."""
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1].replace("\\" + text[0], text[0]) if quoted and not Path(text).exists() else text


def _literal(key: str, text: str) -> str:
    """The word that sets the key to this text, in which `${` is no interpolation."""
    return grammar.word(key, text.replace("${", "\\${"))


def as_typed(args: Namespace) -> list[str]:
    """The words with the folders of earlier sweeps as they may be typed."""
    folders = getattr(args, "folders", {})
    return [
        f"{_key(word)}={folders[_key(word)]}" if _key(word) in folders else word for word in args.overrides
    ]


def value_of(key: str, args: Namespace) -> str | None:
    """The text that the command line gives to a key of its own, if it does."""
    if key in getattr(args, "folders", {}):
        return args.folders[key]
    for word in args.overrides:
        text = word.partition("=")[2]
        if _key(word) == key and text not in ("", "null"):
            return text if key in FOLDERS else text.strip("'\"")
    return None


def go_on(args: Namespace, about: dict) -> None:
    """Put the words that a sweep began with before those of this command line, which go before them."""
    given = {_key(word) for word in args.overrides}
    about["words"], typed = without_passwords([str(word) for word in about["words"]])  # once they were kept
    args.storage = args.storage or typed
    before = [word for word in about["words"] if _key(word) not in given]
    args.overrides = before + args.overrides
    args.config_dir = args.config_dir or about.get("config_dir")
    if "count" in about and "trials" not in given:  # as many as an earlier resume= asked for
        args.overrides = [word for word in args.overrides if _key(word) != "trials"]
        args.overrides.append(f"trials={about['count']}")


def as_recorded(before: dict, now: dict, given: set[str], own: Collection[str]) -> dict[str, str]:
    """key -> the word that sets it as a sweep's config.yaml, `before`, has it: whatever today's defaults say.

    A default may have changed since the sweep began, and its trials must not. What the command line gives,
    a key or its group, is left as it is, and so are settings of the sweep's `own`.
    """
    old, new = (dict(_flat({**settings, "space": {}})) for settings in (before, now))
    left = {key.partition(".")[0] for key in given} | set(own)
    old = {key: value for key, value in UNSAID.items() if key in new} | old
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


def of_searched_choices(about: dict, found, given: set[str]) -> dict[str, str]:
    """The same for what depends on the choice of a searched group, which config.yaml does not show.

    `found` is the sweep's command line, read. A sweep.json without `rules` is of nnlab 0.1.0.
    """
    if "rules" in about:
        return {}
    words, searched = {}, {group: found.space.domains[group].values for group in found.space.groups}
    if "optimizer" in searched and OmegaConf.is_interpolation(found.cell.composed.regularizer, "l2"):
        words["regularizer.l2"] = "regularizer.l2=1e-3"
    if {"halve_on_rise", "halve_and_go_back"} & {*searched.get("schedule", ())}:
        words |= {key: f"{key}={value}" for key, value in UNSAID.items() if key.startswith("schedule.")}
        if "reduce_on_plateau" not in searched["schedule"]:  # whose metric was another
            words["schedule.metric"] = "schedule.metric=val_error"
    taken = given | found.space.domains.keys() | {o.key_or_group for o in found.fixed}
    return {key: word for key, word in words.items() if key not in taken}


def _flat(tree: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Nested settings as pairs: dotted key, value."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def search_around(args: Namespace, about: dict, space: Space, searched: set[str]) -> None:
    """The words of another sweep, which `searched` these keys, on this space; those of this command line go
    before them."""
    given = [word for word in args.overrides if _key(word) != "refine"]
    args.overrides = given
    go_on(args, about)
    own = {_key(word) for word in given}
    gone = {"resume", "refine", "space", *(searched - own), *({"storage", "study"} - own)}
    gone |= {_key(word) for word in about["words"] if _of_another_choice(word, given, about["words"])} - own
    kept = [word for word in args.overrides if _key(word) not in gone and not _key(word).startswith("hydra")]
    kept += [word for word in given if _key(word).startswith("hydra")]
    around = [grammar.searched(key, domain) for key, domain in space.domains.items() if key not in own]
    args.overrides = kept + around


def _of_another_choice(word: str, given: list[str], before: list[str]) -> bool:
    """Whether it sets a key of the sampler or pruner that the sweep had `before`, and now has another."""
    group, _, key = _key(word).partition(".")
    now, then = last(given), last(before)
    return group in ("sampler", "pruner") and key != "" and group in now and now[group] != then.get(group)


def last(words: list[str]) -> dict[str, str]:
    """key -> its word; of two with one key the later, as in Hydra."""
    return {_key(word): word for word in words}


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+")
