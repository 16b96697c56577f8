"""Docstrings of parts for Python's `help`: each setting with its default, meaning and allowed values.

Meanings are the comments in configs/, as in `--help`; the rest are the declarations of the class.
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections import Counter
from functools import cache
from typing import get_type_hints

from nnlab.allowed import expected
from nnlab.commented_yaml import read
from nnlab.paths import CONFIG_DIR
from nnlab.plugins import group_of

PAGE_WIDTH = 80
# The keys of these have no file of their own in configs/: they stand in the file of a command.
COMMAND_OF_GROUP = {"experiment": "train", "regularizer": "train", "search": "sweep", "check": "check"}


@cache
def settings_of(cls: type) -> str:
    """A paragraph for each setting; empty if the class has none."""
    meanings_by_name = meanings(cls)
    shown = [f for f in dataclasses.fields(cls) if f.init and {"kind", "choices"} & f.metadata.keys()]
    if not shown:
        return ""
    return "Settings\n\n" + "\n".join(_setting(cls, f, meanings_by_name.get(f.name, "")) for f in shown)


def meanings(cls: type) -> dict[str, str]:
    """name of a setting -> what it means, for those with a comment in configs/."""
    kind = group_of(cls) or cls.name or cls.__name__.lower()
    if kind in COMMAND_OF_GROUP:
        comments = read(CONFIG_DIR / f"{COMMAND_OF_GROUP[kind]}.yaml").comments
        return {key.removeprefix(f"{kind}."): meaning for key, meaning in comments.items()}
    choice_meanings = read(CONFIG_DIR / kind / f"{cls.name}.yaml").comments
    return _shared_meanings(cls, kind) | choice_meanings


def _shared_meanings(cls: type, group: str) -> dict[str, str]:
    """Meanings of the settings that all choices of the group have."""
    # Only these are known for a class of an installed package, which has no file in configs/.
    base = next((c for c in reversed(cls.__mro__) if group_of(c)), cls)
    comments = [read(file).comments for file in sorted((CONFIG_DIR / group).glob("*.yaml"))]
    shared = {}
    for field in dataclasses.fields(base):
        most_common = Counter(c[field.name] for c in comments if field.name in c).most_common(1)
        if most_common:
            shared[field.name] = most_common[0][0]
    return shared


def _setting(cls: type, f: dataclasses.Field, meaning: str) -> str:
    type_ = get_type_hints(cls)[f.name]
    if "choices" in f.metadata:
        allowed = f"a nnlab.{type_.__name__}, or by name {', '.join(sorted(f.metadata['choices']))}"
    else:
        allowed = expected(type_, f.metadata["allowed"])
    default = _default(f)
    head = f"{f.name} = {default}" if default else f.name
    text = f"{meaning} ({allowed})" if meaning else allowed
    return f"{head}\n{textwrap.fill(text, PAGE_WIDTH - 8, initial_indent='    ', subsequent_indent='    ')}"


def _default(f: dataclasses.Field) -> str:
    """The default of a setting as Python code; empty if it has none."""
    if "choices" in f.metadata:
        return "None" if f.metadata["optional"] else f"{type(f.default_factory()).__name__}()"
    return "" if f.default is dataclasses.MISSING else repr(f.default)
