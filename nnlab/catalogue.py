"""Catalogue of all groups, choices and keys of a command with their meanings, for completion and `--help`.

It reads the YAML files themselves, whose comments are the meanings, and the declarations of the classes
(nnlab/declarations.py): Hydra takes a quarter of a second to compose, and torch seconds to import.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from nnlab import declarations, plugins
from nnlab.commented_yaml import CommentedYaml, read
from nnlab.defaults_lists import bare_group, group_choices, merge_order
from nnlab.paths import CONFIG_DIR
from nnlab.plugins import COMBINABLE

# Keys of nnlab train that a command built on it does not take.
EXCLUDED_KEYS = {
    "check": ("resume", "show", "caption"), "graph": ("resume", "show", "caption"), "compare": ("resume",),
}  # fmt: skip
KEYLESS_GROUPS = {"space"}  # groups whose files have no keys of their own
RUN_COMMANDS = ("predict", "evaluate", "export")  # those that take a trained run, and no groups
COMMANDS_WITHOUT_MULTIRUN = ("sweep", "compare", "data", *RUN_COMMANDS)
HYDRA_FOLDER_KEYS = {  # settings of Hydra's that a command line may have
    "hydra.run.dir": "the folder of the run, or of all runs of -m, new or empty",
    "hydra.sweep.dir": "the same, of all runs of -m alone",
    "hydra.sweep.subdir": "a run's folder in there, such as 'run${hydra.job.num}'",
    "hydra.output_subdir": "the folder in a run's for what Hydra composed; null: none",
}


def hydra_folder_keys(command: str) -> dict[str, str]:
    """The keys of `HYDRA_FOLDER_KEYS` that a command obeys: those of -m only where there is a -m."""
    has_multirun = command not in COMMANDS_WITHOUT_MULTIRUN
    if has_multirun:
        return HYDRA_FOLDER_KEYS
    meanings = {key: meaning for key, meaning in HYDRA_FOLDER_KEYS.items() if ".sweep." not in key}
    return meanings | {"hydra.run.dir": "the folder of what it writes, new or empty"}


@dataclass(frozen=True)
class Key:
    """A setting: its key with its path, its value, what it means, and what is allowed."""

    name: str
    value: object
    meaning: str = ""
    field: declarations.Field | None = None


class ExperimentFile(NamedTuple):
    """What the experiment of a command line says: its choice for each group, and its settings."""

    choices: dict[str, object]
    settings: dict


class Catalogue:
    """The groups, choices and keys that one command accepts, given the words already on its line.

    `folder` and `name` are those of -cd and -cn. Files that cannot be read are as good as not there: whoever
    runs the command reads what is wrong with them.
    """

    def __init__(
        self, command: str, words: list[str] = (), folder: str | None = None, name: str | None = None
    ):
        self.command = command
        self.user_folder = Path(folder).expanduser() if folder else None
        self.search_dirs = [CONFIG_DIR, *([self.user_folder] if folder else [])]  # Hydra takes the first file
        self.name = (name or command).removesuffix(".yaml")
        self.assignments = dict(word.lstrip("+").partition("=")[::2] for word in words if "=" in word)

    @cached_property
    def defaults(self) -> dict[str, object]:
        """group -> its default choice."""
        choices = {}
        for file in self._command_files:
            for group, choice in group_choices(file):
                if not group.startswith("override "):
                    choices.setdefault(bare_group(group), choice)
        return {group: self._overridden_choices.get(group, choice) for group, choice in choices.items()}

    @cached_property
    def _overridden_choices(self) -> dict[str, object]:
        """The choices that the command's files override; no experiment changes them."""
        choices = {}
        for file in self._command_files:
            for group, choice in group_choices(file):
                if group.startswith("override "):
                    choices.setdefault(bare_group(group), choice)
        return choices

    @cached_property
    def groups(self) -> list[str]:
        """The groups of the command, then the user's own, which have no default."""
        return list(self.defaults) + self.user_groups

    @cached_property
    def user_groups(self) -> list[str]:
        """Groups in the folder of -cd that nnlab does not have: on the command line they need a `+`."""
        if self.user_folder is None:
            return []
        folders = {file.parent.relative_to(self.user_folder).parts[:1] for file in _files(self.user_folder)}
        shipped = {path.name for path in CONFIG_DIR.iterdir()}
        return sorted(g for (g,) in folders - {()} if g not in shipped and g not in self.defaults)

    def choices(self, group: str) -> list[str]:
        """All choices of a group, including those in subfolders and of installed packages."""
        if group not in self.groups:
            return []
        choices = {
            str(file.relative_to(directory / group).with_suffix(""))
            for directory in self.search_dirs for file in _files(directory / group)
        }  # fmt: skip
        return sorted(choices | set(plugins.names(group)))

    def chosen(self, group: str) -> list[str]:
        """The choices that the words so far select for a group: several if it is searched, or combinable."""
        choice = self.assignments.get(group)
        if choice is None:
            choices = self.defaults | self._experiment.choices | self._overridden_choices
            choice = choices.get(group)
        names = (
            choice
            if isinstance(choice, list)
            else re.sub(r"^choice\(|[\[\]()'\"]", "", str(choice)).split(",")
        )
        names = [str(name).strip() for name in names if name is not None]
        return [name for name in names if name not in ("", "None", "null")]

    def keys(self, group: str | None = None) -> dict[str, Key]:
        """The keys of a group by their full names, `optimizer.lr`; without a group, the keys outside of all
        groups.

        If several choices are selected: in a search the keys of any of them, else those that all have.
        """
        if group is None:
            return self._command_keys
        if group in KEYLESS_GROUPS or group == "experiment" or group in self.user_groups:
            return {}
        if not self.chosen(group) or group in COMBINABLE:
            return self._keys_of_combined(group)
        each = [self.choice_keys(group, choice) for choice in self.chosen(group)]
        merged = {name: key for keys in reversed(each) for name, key in keys.items()}
        offered = (
            merged
            if self.command == "sweep"
            else {n: merged[n] for n in each[0] if all(n in k for k in each)}
        )
        return {name: self._with_final_value(key, group) for name, key in offered.items()}

    def choice_keys(self, group: str, choice: str) -> dict[str, Key]:
        """The keys of one choice, with its defaults."""
        file = self.file(group, choice)
        name = file.settings.get("name", choice) if file else choice
        cls = declarations.declaration_of_choice(
            group, None if group in declarations.SINGLE_CLASSES and file else name
        )
        fields = cls.fields if cls else {}
        command_comments = self._command_comments()
        names = [key for key in file.settings if key != "name"] if file else list(fields)
        return {
            f"{group}.{key}": Key(
                f"{group}.{key}",
                file.settings[key] if file else fields[key].default,
                (file.comments.get(key, "") if file else "") or command_comments.get(f"{group}.{key}", ""),
                fields.get(key),
            )
            for key in names
        }

    def all_keys(self) -> dict[str, Key]:
        """Every key that may be set, in the order of the groups after the command's own."""
        keys = dict(self.keys())
        for group in self.defaults:
            keys |= self.keys(group)
        return keys

    def file(self, group: str, choice: str) -> CommentedYaml | None:
        """The YAML file of a choice, nnlab's before the user's, as in Hydra."""
        files = (directory / group / f"{choice}.yaml" for directory in self.search_dirs)
        return next((read(file) for file in files if file.is_file()), None)

    @cached_property
    def _command_keys(self) -> dict[str, Key]:
        keys, comments = {}, self._command_comments()
        excluded = {"defaults", "hydra", *EXCLUDED_KEYS.get(self.command, ()), *self.defaults}
        for file in self._command_files:
            for key, value in file.settings.items():
                if key in excluded:
                    continue
                if isinstance(value, dict):
                    cls = declarations.declaration_of_choice(key, None)
                    for subkey, inner in value.items():
                        name = f"{key}.{subkey}"
                        field = cls.fields.get(subkey) if cls else None
                        keys.setdefault(name, Key(name, inner, comments.get(name, ""), field))
                else:
                    field = declarations.field_of_key(key)
                    keys.setdefault(key, Key(key, value, comments.get(key, ""), field))
        return {name: self._with_final_value(key) for name, key in keys.items()}

    def _keys_of_combined(self, group: str) -> dict[str, Key]:
        """The keys of a group whose choices combine; each has its neutral value in the command's own file."""
        fields, keys = getattr(declarations.declaration_of_choice(group, None), "fields", {}), {}
        comments = self._command_comments()
        for file in self._command_files:
            values = file.settings.get(group)
            for key, value in values.items() if isinstance(values, dict) else ():
                name = f"{group}.{key}"
                keys.setdefault(name, Key(name, value, comments.get(name, ""), fields.get(key)))
        for choice in self.chosen(group):
            file = self.file(group, choice)
            if file is None:  # of an installed package
                keys = self.choice_keys(group, choice) | keys
                continue
            for key, value in file.settings.items():
                if old := keys.get(f"{group}.{key}"):
                    keys[old.name] = replace(old, value=value, meaning=file.comments.get(key) or old.meaning)
        return {name: self._with_final_value(key, group) for name, key in keys.items()}

    def _with_final_value(self, key: Key, group: str | None = None) -> Key:
        """The key with the value that Hydra merges last: of a key of a group, only what comes after the group
        replaces the value that its choice gives."""
        for layer in reversed(self._layers):
            if layer == group:
                break
            settings = self._experiment.settings if layer == "experiment" else getattr(layer, "settings", {})
            if (value := _value_at(settings, key.name)) is not _NOT_SET:
                return replace(key, value=value)
        return key

    @cached_property
    def _experiment(self) -> ExperimentFile:
        name = self.assignments.get("experiment", self.defaults.get("experiment"))
        file = self.file("experiment", name) if name and name != "null" else None
        if file is None:
            return ExperimentFile({}, {})
        return ExperimentFile({bare_group(group): c for group, c in group_choices(file)}, file.settings)

    @cached_property
    def _layers(self) -> list[CommentedYaml | str]:
        return merge_order(self.name, self.search_dirs)

    @cached_property
    def _command_files(self) -> list[CommentedYaml]:
        """The files among the layers; the one that wins is the first."""
        return [layer for layer in reversed(self._layers) if isinstance(layer, CommentedYaml)]

    def _command_comments(self) -> dict[str, str]:
        return {
            key: comment for file in reversed(self._command_files) for key, comment in file.comments.items()
        }


_NOT_SET = object()


def _value_at(settings: dict, name: str) -> object:
    """The value of a key with dots in nested settings; `_NOT_SET` if they say nothing of it."""
    node = settings
    for segment in name.split("."):
        node = node.get(segment, _NOT_SET) if isinstance(node, dict) else _NOT_SET
    return node


def _files(folder: Path) -> list[Path]:
    try:
        return [file for file in folder.glob("**/*.yaml") if file.is_file()]
    except OSError:
        return []
