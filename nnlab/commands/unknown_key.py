"""The error message for an unknown key: what it may have been meant for."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import cached_property

from omegaconf import DictConfig, OmegaConf

from nnlab import declarations
from nnlab.commands.command_keys import keys_of
from nnlab.commands.nearest_key import choices_with, hint_for_other_choice
from nnlab.errors import nearest
from nnlab.records.text import shell_word
from nnlab.suggestions import (
    EXTENSIONS_OF_DATA,
    as_hint,
    dataset_for_file,
    distance,
    is_name,
    near,
    suggested_key,
    with_users_number,
)

RUN_FOLDER_KEY = "hydra.run.dir"


def unknown_key(key: str, config: DictConfig, value: object = None) -> str:
    """`unknown key 'optimizer.lrr' of optimizer=adam; did you mean 'optimizer.lr'?`"""
    return UnknownKey(key, config, value).sentence()


def dotted_keys(config: DictConfig) -> list[str]:
    """Every key of the settings with its path: `seed`, `optimizer.lr`, ..."""

    def walk(prefix, node):
        for name, value in node.items():
            if isinstance(value, dict):
                yield from walk(f"{prefix}{name}.", value)
            elif name != "name":
                yield f"{prefix}{name}"

    settings = OmegaConf.to_container(config, resolve=False)
    return list(walk("", {k: v for k, v in settings.items() if k != "hydra"}))


@dataclass(frozen=True)
class UnknownKey:
    """A key, the settings that do not have it, and the value that it was given."""

    key: str
    config: DictConfig
    value: object

    def sentence(self) -> str:
        """What is unknown, and the likeliest of what was meant."""
        subject = f"unknown key '{self.key}'"
        if self.choice:
            subject += f" of {self.parent}={self.choice}"
        return f"{subject}{self._hint()}"

    @property
    def parent(self) -> str:
        return self.key.rpartition(".")[0]

    @property
    def leaf(self) -> str:
        return self.key.rpartition(".")[2]

    @property
    def choice(self) -> str | None:
        """The choice made for the group of the key, if there is such a group."""
        return self.config.hydra.runtime.choices.get(self.parent)

    @cached_property
    def siblings(self) -> list[str]:
        """The keys that its parent has."""
        node = OmegaConf.select(self.config, self.parent) if self.parent else None
        if not isinstance(node, DictConfig):
            return []
        return [f"{self.parent}.{name}" for name in node if name != "name"]

    @cached_property
    def namesakes(self) -> list[str]:
        """Keys with the same last word, `optimizer.lr` of `lr`, that may have the value."""
        names = (name for name in dotted_keys(self.config) if name.rpartition(".")[2] == self.leaf)
        return [name for name in names if self._may_be_value_of(name)]

    def _may_be_value_of(self, key: str) -> bool:
        """Whether a word is among those of the key, or near to one: `output=runA` is no output map."""
        words = [word for field in declarations.fields_of(key) for word in (*field.words, *field.plugins)]
        is_word = isinstance(self.value, str) and self.value.isidentifier()
        return not (words and is_word) or self.value in words or bool(near(self.value, words))

    @cached_property
    def other_tools_meaning(self) -> str | None:
        """The nnlab key, or the sentence, for a key of that name in other tools."""
        return with_users_number(suggested_key(self.key, self.choice or ""), self.value)

    def _hint(self) -> str:
        # The more certain a meaning is, the earlier it is asked for.
        return (
            self._of_same_parent()
            or self._of_another_choice()
            or self._namesake()
            or self._typo()
            or self._other_tools_hint
            or self._near()
        )

    def _of_same_parent(self) -> str:
        """A hint for a key that other tools have in this group."""
        meaning = self.other_tools_meaning
        if meaning is None:
            return ""
        is_inside = not is_name(meaning) or (self.parent and meaning.startswith(f"{self.parent}."))
        if not is_inside or meaning == with_users_number(suggested_key(self.leaf), self.value):
            return ""
        return hint_for_other_choice(meaning, self.siblings) or as_hint(meaning) or self._allowed()

    def _of_another_choice(self) -> str:
        """The choices of a group that have the key."""
        choices_with_key = choices_with(self.key)
        if not choices_with_key or choices_with_key[0] not in self.config:
            return ""
        if not self.parent and (self.namesakes or self._other_tools_hint):
            return ""
        group, choices = choices_with_key
        # Of data sets with the key, the one that reads most files.
        proposed = next((choice for choice in EXTENSIONS_OF_DATA if choice in choices), choices[0])
        write = f"write {group}={proposed} {group}.{self.leaf}=..."
        if self.key in ("path", "data.path") and self.value:
            reader = dataset_for_file(str(self.value))
            if reader:
                write = f"write data={reader} data.path={shlex.quote(str(self.value))}"
        return f": it is one of {group}={', '.join(choices)}; {write}{self._allowed()}"

    def _namesake(self) -> str:
        if not self.namesakes:
            return ""
        return f"; did you mean {' or '.join(repr(name) for name in self.namesakes[:3])}?"

    def _typo(self) -> str:
        """A hint for a typo of one letter, unless another tool has the key and means one of the same
        group."""
        typo = next(iter(near(self.key, self.siblings)), "")
        is_one_letter = typo and distance(self.leaf, typo.rpartition(".")[2]) == 1
        if not is_one_letter or f"{self.parent}." in self._other_tools_hint:
            return ""
        return f"; did you mean '{typo}'?"

    @cached_property
    def _other_tools_hint(self) -> str:
        """A hint for a key of other tools, in any group, or the nnlab command that has the key."""
        if self.other_tools_meaning is None:
            return ""
        if self.other_tools_meaning == RUN_FOLDER_KEY and isinstance(self.value, str) and self.value:
            return f"; did you mean {shell_word(f'{RUN_FOLDER_KEY}={self.value}')}?"
        return self._of_another_command(self.other_tools_meaning) or as_hint(self.other_tools_meaning) or ""

    def _of_another_command(self, key: str) -> str:
        if not is_name(key) or key in self.config or "." in key:
            return ""
        for command in ("sweep", "check", "graph", "compare"):
            if key in keys_of(command):
                return f"; {key} is a word of nnlab {command}"
        return ""

    def _near(self) -> str:
        """The nearest existing key, or a list of all."""
        if self.siblings:
            return nearest(self.key, self.siblings)
        if self.choice:
            return self._allowed()
        if self.parent and OmegaConf.select(self.config, self.parent) is not None:
            return f"; did you mean '{self.parent}'?"
        typos = near(self.key, dotted_keys(self.config))
        if typos:
            return f"; did you mean '{typos[0]}'?"
        groups = {group for group in self.config.hydra.runtime.choices if "/" not in group}
        return nearest(self.key, {*self.config, *groups} - {"hydra"})

    def _allowed(self) -> str:
        """The keys that the group has."""
        if self.siblings:
            return nearest("", self.siblings)
        return "; it has no keys" if self.choice else ""
