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
from nnlab.untrusted import LARGEST_FILES, text_of, yaml_of

KEYS_NOT_IN = {"check": ("resume",)}  # of those that a command takes over from nnlab train
KEYLESS_GROUPS = {"space"}  # groups whose files have no keys of their own
RUN_COMMANDS = ("predict", "evaluate", "export")  # those that take a trained run, and no groups
WITHOUT_MULTIRUN = ("sweep", *RUN_COMMANDS)
HYDRA_FOLDER_KEYS = {  # settings of Hydra's that a command line may have
    "hydra.run.dir": "the run's folder, new or empty",
    "hydra.sweep.dir": "the folder of all runs of -m, new or empty",
    "hydra.sweep.subdir": "a run's folder in there, such as 'run${hydra.job.num}'",
    "hydra.output_subdir": "the folder in a run's for what Hydra composed; null: none",
}


def places(command: str) -> dict[str, str]:
    """Those that a command heeds: without those of -m, where there is no -m."""
    has_multirun = command not in WITHOUT_MULTIRUN
    return {key: said for key, said in HYDRA_FOLDER_KEYS.items() if has_multirun or ".sweep." not in key}


@dataclass(frozen=True)
class Key:
    """A setting: its key with its path, its value, what it means, and what is allowed."""

    name: str
    value: object
    meaning: str = ""
    field: declarations.Field | None = None


@dataclass(frozen=True)
class Commented:
    """A YAML file: its settings, the comment at its head, and the comments by key."""

    settings: dict
    head: str
    comments: dict[str, str]


class Catalogue:
    """The words of one command, as the words on its line so far leave them.

    `folder` and `name` are those of -cd and -cn. Files that cannot be read are as good as not there: whoever
    runs the command reads what is wrong with them.
    """

    def __init__(
        self, command: str, words: list[str] = (), folder: str | None = None, name: str | None = None
    ):
        self.command = command
        self.places = [*([Path(folder).expanduser()] if folder else []), CONFIG_DIR]
        self.name = (name or command).removesuffix(".yaml")
        self.given = dict(word.lstrip("+").partition("=")[::2] for word in words if "=" in word)

    @cached_property
    def defaults(self) -> dict[str, object]:
        """group -> the choice that it has if nothing is said."""
        return self._defaults(self.name)

    @cached_property
    def groups(self) -> list[str]:
        """Those of the command, and a user's own, which have no default."""
        return list(self.defaults) + self.added

    @cached_property
    def added(self) -> list[str]:
        """Groups of the folder of -cd that nnlab does not have: they want a `+`."""
        found = {path.parent.relative_to(self.places[0]).parts[:1] for path in self._all_files()}
        shipped = {path.name for path in CONFIG_DIR.iterdir()}
        return sorted(g for (g,) in found - {()} if g not in shipped and g not in self.defaults)

    def choices(self, group: str) -> list[str]:
        """All of a group, those in folders below it and those of installed packages too."""
        if group not in self.groups:
            return []
        own = {
            str(file.relative_to(place / group).with_suffix(""))
            for place in self.places for file in _files(place / group)
        }  # fmt: skip
        return sorted(own | set(plugins.names(group)))

    def chosen(self, group: str) -> list[str]:
        """The choices that a group has by the words so far: several, where it is searched or combines."""
        said = self.given.get(group)
        if said is None:
            said = self._experiment[0].get(group, self.defaults.get(group))
        said = said if isinstance(said, list) else re.sub(r"^choice\(|[\[\]()'\"]", "", str(said)).split(",")
        return [str(name) for name in said if name not in (None, "", "None", "null")]

    def keys(self, group: str | None = None) -> dict[str, Key]:
        """The keys of a group with its path, or those that belong to none. Of several choices: in a search
        the keys of any, else those of all."""
        if group is None:
            return self._own_keys
        if group in KEYLESS_GROUPS or group == "experiment" or group in self.added:
            return {}
        if not self.chosen(group) or group in COMBINABLE:
            return self._combined(group)
        each = [self.of_choice(group, choice) for choice in self.chosen(group)]
        merged = {name: key for keys in reversed(each) for name, key in keys.items()}
        ours = (
            merged
            if self.command == "sweep"
            else {n: merged[n] for n in each[0] if all(n in k for k in each)}
        )
        return {name: self._by_experiment(key) for name, key in ours.items()}

    def of_choice(self, group: str, choice: str) -> dict[str, Key]:
        """The keys of one choice, with its defaults."""
        file = self.file(group, choice)
        name = file.settings.get("name", choice) if file else choice
        cls = declarations.declaration_of_choice(
            group, None if group in declarations.SINGLE_CLASSES and file else name
        )
        fields = cls.fields if cls else {}
        usual = self._primary_comments()
        names = [key for key in file.settings if key != "name"] if file else list(fields)
        return {
            f"{group}.{key}": Key(
                f"{group}.{key}",
                file.settings[key] if file else fields[key].default,
                (file.comments.get(key, "") if file else "") or usual.get(f"{group}.{key}", ""),
                fields.get(key),
            )
            for key in names
        }

    def all_keys(self) -> dict[str, Key]:
        """Every key that may be set, in the order of the groups after the command's own."""
        found = dict(self.keys())
        for group in self.defaults:
            found |= self.keys(group)
        return found

    def file(self, group: str, choice: str) -> Commented | None:
        """The YAML file of a choice, the user's before nnlab's."""
        files = (place / group / f"{choice}.yaml" for place in self.places)
        return next((read(file) for file in files if file.is_file()), None)

    @cached_property
    def _own_keys(self) -> dict[str, Key]:
        found = {}
        for file in self._primaries(self.name):
            for key, value in file.settings.items():
                if key in ("defaults", "hydra", *KEYS_NOT_IN.get(self.name, ())) or key in self.defaults:
                    continue
                if isinstance(value, dict):
                    cls = declarations.declaration_of_choice(key, None)
                    for leaf, inner in value.items():
                        name = f"{key}.{leaf}"
                        field = cls.fields.get(leaf) if cls else None
                        found[name] = Key(name, inner, file.comments.get(name, ""), field)
                else:
                    found[key] = Key(key, value, file.comments.get(key, ""), declarations.field_of_key(key))
        return {name: self._by_experiment(key) for name, key in found.items()}

    def _combined(self, group: str) -> dict[str, Key]:
        """A group whose choices combine: every key has its neutral value in the command's own file."""
        fields, found = getattr(declarations.declaration_of_choice(group, None), "fields", {}), {}
        for file in self._primaries(self.name):
            for key, value in (file.settings.get(group) or {}).items():
                name = f"{group}.{key}"
                found[name] = Key(name, value, file.comments.get(name, ""), fields.get(key))
        for choice in self.chosen(group):
            file = self.file(group, choice)
            if file is None:  # of an installed package
                found = self.of_choice(group, choice) | found
                continue
            for key, value in file.settings.items():
                if old := found.get(f"{group}.{key}"):
                    meaning = file.comments.get(key) or old.meaning
                    found[old.name] = Key(old.name, value, meaning, old.field)
        return {name: self._by_experiment(key) for name, key in found.items()}

    def _by_experiment(self, key: Key) -> Key:
        """The key with the value that the experiment of the command line, if any, gives it."""
        node = self._experiment[1]
        for part in key.name.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        return key if node is None else Key(key.name, node, key.meaning, key.field)

    @cached_property
    def _experiment(self) -> tuple[dict, dict]:
        """The choices that the experiment makes, and its settings."""
        name = self.given.get("experiment", "")
        file = self.file("experiment", name) if name and name != "null" else None
        if file is None:
            return {}, {}
        chosen = {}
        for entry in file.settings.get("defaults") or ():
            for group, choice in entry.items() if isinstance(entry, dict) else ():
                chosen[str(group).removeprefix("override ").strip().lstrip("/")] = choice
        return chosen, file.settings

    def _primaries(self, name: str) -> list[Commented]:
        """The command's file and those that it takes over; its own keys first."""
        files = (place / f"{name}.yaml" for place in self.places)
        file = next((read(file) for file in files if file.is_file()), None)
        if file is None:
            return []
        above = [entry for entry in file.settings.get("defaults") or () if isinstance(entry, str)]
        return [file] + [
            f for entry in above if entry not in ("_self_", name) for f in self._primaries(entry)
        ]

    def _primary_comments(self) -> dict[str, str]:
        return {
            key: said for file in reversed(self._primaries(self.name)) for key, said in file.comments.items()
        }

    def _defaults(self, name: str) -> dict[str, object]:
        found = {}
        for file in self._primaries(name):
            for entry in file.settings.get("defaults") or ():
                for group, choice in entry.items() if isinstance(entry, dict) else ():
                    if not str(group).startswith("override "):
                        found.setdefault(str(group).lstrip("/"), choice)
        return found

    def _all_files(self) -> list[Path]:
        return _files(self.places[0]) if len(self.places) > 1 else []


def _files(folder: Path) -> list[Path]:
    try:
        return [file for file in folder.glob("**/*.yaml") if file.is_file()]
    except OSError:
        return []


@cache
def read(file: Path) -> Commented:
    """A YAML file with its comments; nothing, if it cannot be read."""
    try:
        text = text_of(file, LARGEST_FILES["YAML"])
        settings = yaml_of(file)
    except UserError:
        return Commented({}, "", {})
    head, comments = commented(text)
    return Commented(settings if isinstance(settings, dict) else {}, head, comments)


_KEY_LINE = re.compile(
    r"^(?P<indent> *)(?P<key>[\w.]+):(?P<value>(?:[^#'\"]|'[^']*'|\"[^\"]*\"|(?<! )#)*)(?P<comment>#.*)?$"
)


def commented(text: str) -> tuple[str, dict[str, str]]:
    """The comment at the head of a YAML file, and that beside each key, by its path.

    >>> commented("# Head.\\na:\\n  b: 1   # one\\n         # more\\n")
    ('Head.', {'a.b': 'one more'})
    """
    lines = text.splitlines()
    head = []
    for line in lines:
        if not line.startswith("#"):
            break
        head += [line[1:].removeprefix(" ")] if not line.startswith("# @package") else []
    found: dict[str, str] = {}
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
                found[key] = match["comment"][1:].strip()
        elif column and line.lstrip().startswith("#") and line.index("#") == column:
            found[key] += " " + line.strip()[1:].strip()
        else:
            column = 0
    return "\n".join(head), found
