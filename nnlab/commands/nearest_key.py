"""Suggestions for an unknown key or help topic, from the catalogue alone (without Hydra)."""

from __future__ import annotations

from nnlab.catalogue import COMBINABLE, Catalogue, hydra_folder_keys
from nnlab.errors import nearest
from nnlab.suggestions import as_hint, is_name, suggested_key


def topic_meant(word: str, catalogue: Catalogue) -> str:
    """What to say of a word that --help has no page for: that of a choice, or a word of another tool."""
    parent = word.rpartition(".")[0]
    meaning = suggested_key(word, next(iter(catalogue.chosen(parent)), ""))
    names = [*catalogue.groups, *catalogue.all_keys(), *hydra_folder_keys(catalogue.command)]
    holders = [group for group in catalogue.groups if word in catalogue.choices(group)]
    if holders:
        return f"; did you mean {' or '.join(f'{group}={word}' for group in holders)}?"
    meant = ""
    if meaning is not None:
        meant = hint_for_other_choice(meaning, names) or as_hint(meaning)
    choices_with_key = choices_with(word)
    if choices_with_key and parent and not meant:
        group, choices = choices_with_key
        return f": it is one of {group}={', '.join(choices)}; write {group}={choices[0]} {word}"
    return meant or nearest(word, names)


def hint_for_other_choice(key: str, names: list[str]) -> str:
    """Of a key that another choice of the group has: which; nothing of one that is among the names."""
    if not is_name(key) or key in names:
        return ""
    choices_with_key = choices_with(key)
    if not choices_with_key:
        return ""
    group, choices = choices_with_key
    return f": it is {key} of {group}={', '.join(choices)}; write {group}={choices[0]} {key}=..."


def choices_with(key: str) -> tuple[str, list[str]] | None:
    """The group and those of its choices that have the key, where a choice of nnlab's own has it."""
    catalogue = Catalogue("sweep")
    parent, _, leaf = key.rpartition(".")
    groups = list(catalogue.defaults)
    if parent:
        groups = [group for group in groups if group == parent]
    for group in groups:
        choices_with_key = [
            c for c in catalogue.choices(group) if f"{group}.{leaf}" in catalogue.choice_keys(group, c)
        ]
        if choices_with_key and group not in (*COMBINABLE, "experiment"):
            return group, choices_with_key
    return None
