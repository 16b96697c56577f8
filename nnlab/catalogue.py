"""Catalogue of all groups, choices and keys of a command with their meanings, for completion and `--help`.

It reads the YAML files themselves, whose comments are the meanings, and the declarations of the classes
(nnlab/declarations.py): Hydra takes a quarter of a second to compose, and torch seconds to import.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from nnlab import declarations, plugins
from nnlab.errors import UserError
from nnlab.paths import CONFIG_DIR
from nnlab.plugins import COMBINABLE
from nnlab.untrusted import MAX_FILE_BYTES, read_text, read_yaml

EXCLUDED_KEYS = {"check": ("resume",)}  # keys of nnlab train that a command built on it does not take
KEYLESS_GROUPS = {"space"}  # groups whose files have no keys of their own
RUN_COMMANDS = ("predict", "evaluate", "export")  # those that take a trained run, and no groups
COMMANDS_WITHOUT_MULTIRUN = ("sweep", *RUN_COMMANDS)
HYDRA_FOLDER_KEYS = {  # settings of Hydra's that a command line may have
    "hydra.run.dir": "the run's folder, new or empty",
    "hydra.sweep.dir": "the folder of all runs of -m, new or empty",
    "hydra.sweep.subdir": "a run's folder in there, such as 'run${hydra.job.num}'",
    "hydra.output_subdir": "the folder in a run's for what Hydra composed; null: none",
}


def hydra_folder_keys(command: str) -> dict[str, str]:
    """The keys of `HYDRA_FOLDER_KEYS` that a command obeys: those of -m only where there is a -m."""
    has_multirun = command not in COMMANDS_WITHOUT_MULTIRUN
    return {
        key: meaning for key, meaning in HYDRA_FOLDER_KEYS.items() if has_multirun or ".sweep." not in key
    }


@dataclass(frozen=True)
class Key:
    """A setting: its key with its path, its value, what it means, and what is allowed."""

    name: str
    value: object
    meaning: str = ""
    field: declarations.Field | None = None


@dataclass(frozen=True)
class CommentedYaml:
    """A YAML file: its settings, the comment at its head, and the comments by key."""

    settings: dict
    head: str
    comments: dict[str, str]


class Catalogue:
    """The groups, choices and keys that one command accepts, given the words already on its line.

    `folder` and `name` are those of -cd and -cn. Files that cannot be read are as good as not there: whoever
    runs the command reads what is wrong with them.
    """

    def __init__(
        self, command: str, words: list[str] = (), folder: str | None = None, name: str | None = None
    ):
        self.command = command
        self.search_dirs = [*([Path(folder).expanduser()] if folder else []), CONFIG_DIR]
        self.name = (name or command).removesuffix(".yaml")
        self.assignments = dict(word.lstrip("+").partition("=")[::2] for word in words if "=" in word)

    @cached_property
    def defaults(self) -> dict[str, object]:
        """group -> its default choice."""
        return self._defaults(self.name)

    @cached_property
    def groups(self) -> list[str]:
        """The groups of the command, then the user's own, which have no default."""
        return list(self.defaults) + self.user_groups

    @cached_property
    def user_groups(self) -> list[str]:
        """Groups in the folder of -cd that nnlab does not have: on the command line they need a `+`."""
        folders = {path.parent.relative_to(self.search_dirs[0]).parts[:1] for path in self._all_files()}
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
            choice = self._experiment[0].get(group, self.defaults.get(group))
        names = (
            choice
            if isinstance(choice, list)
            else re.sub(r"^choice\(|[\[\]()'\"]", "", str(choice)).split(",")
        )
        return [str(name) for name in names if name not in (None, "", "None", "null")]

    def keys(self, group: str | None = None) -> dict[str, Key]:
        """The keys of a group with its path, or those that belong to none. Of several choices: in a search
        the keys of any, else those of all."""
        if group is None:
            return self._command_keys
        if group in KEYLESS_GROUPS or group == "experiment" or group in self.user_groups:
            return {}
        if not self.chosen(group) or group in COMBINABLE:
            return self._combined(group)
        each = [self.choice_keys(group, choice) for choice in self.chosen(group)]
        merged = {name: key for keys in reversed(each) for name, key in keys.items()}
        offered = (
            merged
            if self.command == "sweep"
            else {n: merged[n] for n in each[0] if all(n in k for k in each)}
        )
        return {name: self._by_experiment(key) for name, key in offered.items()}

    def choice_keys(self, group: str, choice: str) -> dict[str, Key]:
        """The keys of one choice, with its defaults."""
        file = self.file(group, choice)
        name = file.settings.get("name", choice) if file else choice
        cls = declarations.declaration_of_choice(
            group, None if group in declarations.SINGLE_CLASSES and file else name
        )
        fields = cls.fields if cls else {}
        default_comments = self._command_comments()
        names = [key for key in file.settings if key != "name"] if file else list(fields)
        return {
            f"{group}.{key}": Key(
                f"{group}.{key}",
                file.settings[key] if file else fields[key].default,
                (file.comments.get(key, "") if file else "") or default_comments.get(f"{group}.{key}", ""),
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
        """The YAML file of a choice, the user's before nnlab's."""
        files = (directory / group / f"{choice}.yaml" for directory in self.search_dirs)
        return next((read(file) for file in files if file.is_file()), None)

    @cached_property
    def _command_keys(self) -> dict[str, Key]:
        keys = {}
        for file in self._command_files(self.name):
            for key, value in file.settings.items():
                if key in ("defaults", "hydra", *EXCLUDED_KEYS.get(self.name, ())) or key in self.defaults:
                    continue
                if isinstance(value, dict):
                    cls = declarations.declaration_of_choice(key, None)
                    for leaf, inner in value.items():
                        name = f"{key}.{leaf}"
                        field = cls.fields.get(leaf) if cls else None
                        keys[name] = Key(name, inner, file.comments.get(name, ""), field)
                else:
                    keys[key] = Key(key, value, file.comments.get(key, ""), declarations.field_of_key(key))
        return {name: self._by_experiment(key) for name, key in keys.items()}

    def _combined(self, group: str) -> dict[str, Key]:
        """The keys of a group whose choices combine; each has its neutral value in the command's own file."""
        fields, keys = getattr(declarations.declaration_of_choice(group, None), "fields", {}), {}
        for file in self._command_files(self.name):
            for key, value in (file.settings.get(group) or {}).items():
                name = f"{group}.{key}"
                keys[name] = Key(name, value, file.comments.get(name, ""), fields.get(key))
        for choice in self.chosen(group):
            file = self.file(group, choice)
            if file is None:  # of an installed package
                keys = self.choice_keys(group, choice) | keys
                continue
            for key, value in file.settings.items():
                if old := keys.get(f"{group}.{key}"):
                    meaning = file.comments.get(key) or old.meaning
                    keys[old.name] = Key(old.name, value, meaning, old.field)
        return {name: self._by_experiment(key) for name, key in keys.items()}

    def _by_experiment(self, key: Key) -> Key:
        """The key with the value that the experiment of the command line, if any, gives it."""
        node = self._experiment[1]
        for part in key.name.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        return key if node is None else Key(key.name, node, key.meaning, key.field)

    @cached_property
    def _experiment(self) -> tuple[dict, dict]:
        """The choices that the experiment makes, and its settings."""
        name = self.assignments.get("experiment", "")
        file = self.file("experiment", name) if name and name != "null" else None
        if file is None:
            return {}, {}
        chosen = {}
        for entry in file.settings.get("defaults") or ():
            for group, choice in entry.items() if isinstance(entry, dict) else ():
                chosen[str(group).removeprefix("override ").strip().lstrip("/")] = choice
        return chosen, file.settings

    def _command_files(self, name: str) -> list[CommentedYaml]:
        """The YAML file of a command, then the files that its `defaults` include."""
        files = (directory / f"{name}.yaml" for directory in self.search_dirs)
        file = next((read(file) for file in files if file.is_file()), None)
        if file is None:
            return []
        included = [entry for entry in file.settings.get("defaults") or () if isinstance(entry, str)]
        return [file] + [
            f for entry in included if entry not in ("_self_", name) for f in self._command_files(entry)
        ]

    def _command_comments(self) -> dict[str, str]:
        return {
            key: comment
            for file in reversed(self._command_files(self.name))
            for key, comment in file.comments.items()
        }

    def _defaults(self, name: str) -> dict[str, object]:
        defaults = {}
        for file in self._command_files(name):
            for entry in file.settings.get("defaults") or ():
                for group, choice in entry.items() if isinstance(entry, dict) else ():
                    if not str(group).startswith("override "):
                        defaults.setdefault(str(group).lstrip("/"), choice)
        return defaults

    def _all_files(self) -> list[Path]:
        return _files(self.search_dirs[0]) if len(self.search_dirs) > 1 else []


def _files(folder: Path) -> list[Path]:
    try:
        return [file for file in folder.glob("**/*.yaml") if file.is_file()]
    except OSError:
        return []


@cache
def read(file: Path) -> CommentedYaml:
    """A YAML file with its comments; nothing, if it cannot be read."""
    try:
        text = read_text(file, MAX_FILE_BYTES["YAML"])
        settings = read_yaml(file)
    except UserError:
        return CommentedYaml({}, "", {})
    head, comments = parse_comments(text)
    return CommentedYaml(settings if isinstance(settings, dict) else {}, head, comments)


_KEY_LINE = re.compile(
    r"^(?P<indent> *)(?P<key>[\w.]+):(?P<value>(?:[^#'\"]|'[^']*'|\"[^\"]*\"|(?<! )#)*)(?P<comment>#.*)?$"
)


def parse_comments(text: str) -> tuple[str, dict[str, str]]:
    """The comment at the head of a YAML file, and that beside each key, by its path.

    >>> parse_comments("# Head.\\na:\\n  b: 1   # one\\n         # more\\n")
    ('Head.', {'a.b': 'one more'})
    """
    lines = text.splitlines()
    head = []
    for line in lines:
        if not line.startswith("#"):
            break
        head += [line[1:].removeprefix(" ")] if not line.startswith("# @package") else []
    comments: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    key, column = "", 0
    for line in lines:
        match = _KEY_LINE.match(line)
        if match:
            indent = len(match["indent"])
            path = [(depth, name) for depth, name in path if depth < indent] + [(indent, match["key"])]
            key = ".".join(name for _, name in path)
            column = match.start("comment") if match["comment"] else 0
            if column:
                comments[key] = match["comment"][1:].strip()
        elif column and line.lstrip().startswith("#") and line.index("#") == column:
            comments[key] += " " + line.strip()[1:].strip()
        else:
            column = 0
    return "\n".join(head), comments
