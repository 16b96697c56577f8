"""Defaults lists of YAML files: which groups and files they name, and in what order Hydra merges these."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nnlab.commented_yaml import CommentedYaml, read


def merge_order(
    name: str, search_dirs: Sequence[Path], including: tuple[str, ...] = ()
) -> list[CommentedYaml | str]:
    """The file of that name, those that its defaults list includes, and the names of its groups, in the order
    in which Hydra merges them: the last has the last word.

    `search_dirs` are where the files may lie, the first first; `including` are the files on the way here.
    """
    files = (directory / f"{name}.yaml" for directory in search_dirs)
    file = next((read(file) for file in files if file.is_file()), None)
    if file is None or name in including:  # what includes itself, Hydra refuses
        return []
    layers, entries = [], _defaults_list(file)
    for entry in entries if "_self_" in entries else [*entries, "_self_"]:
        if entry == "_self_":
            layers.append(file)
        elif isinstance(entry, str):
            layers += merge_order(entry, search_dirs, (*including, name))
        elif isinstance(entry, dict):
            layers += [bare_group(g) for g in map(str, entry) if not g.startswith("override ")]
    return layers


def _defaults_list(file: CommentedYaml) -> list:
    entries = file.settings.get("defaults")
    return entries if isinstance(entries, list) else []


def group_choices(file: CommentedYaml) -> list[tuple[str, object]]:
    """The (group, choice) pairs in the defaults of a file; a group may begin with `override `."""
    groups = (entry for entry in _defaults_list(file) if isinstance(entry, dict))
    return [(str(group), choice) for choices in groups for group, choice in choices.items()]


def bare_group(group: str) -> str:
    """`override /optimizer` -> `optimizer`."""
    return group.removeprefix("override ").strip().lstrip("/")
