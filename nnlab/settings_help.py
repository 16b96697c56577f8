"""What `help` says of a part's settings: default, meaning, what is allowed.

Defaults and what is allowed are those of the declarations; what a setting means stands where `--help` has it
from, beside the keys of configs/.
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections import Counter
from functools import cache
from typing import get_type_hints

from nnlab.allowed import expected
from nnlab.catalogue import read
from nnlab.paths import CONFIG_DIR

WIDTH = 80
PRIMARY = {"experiment": "train", "regularizer": "train", "search": "sweep", "check": "check"}  # their files


@cache
def settings_of(cls: type) -> str:
    """A paragraph a setting; empty if the class has none."""
    said = meanings(cls)
    shown = [f for f in dataclasses.fields(cls) if f.init and {"kind", "choices"} & f.metadata.keys()]
    if not shown:
        return ""
    return "Settings\n\n" + "\n".join(_setting(cls, f, said.get(f.name, "")) for f in shown)


def meanings(cls: type) -> dict[str, str]:
    """name of a setting -> what it means; those that are known."""
    kind = cls.group or cls.name or cls.__name__.lower()
    if kind in PRIMARY:
        comments = read(CONFIG_DIR / f"{PRIMARY[kind]}.yaml").comments
        return {key.removeprefix(f"{kind}."): said for key, said in comments.items()}
    own = read(CONFIG_DIR / kind / f"{cls.name}.yaml").comments
    base = next((c for c in reversed(cls.__mro__) if vars(c).get("group")), cls)
    shared = [f.name for f in dataclasses.fields(base)]
    each = [read(file).comments for file in sorted((CONFIG_DIR / kind).glob("*.yaml"))]
    said = {key: Counter(c[key] for c in each if key in c).most_common(1) for key in shared}
    return {key: usual[0][0] for key, usual in said.items() if usual} | own


def _setting(cls: type, f: dataclasses.Field, meaning: str) -> str:
    if "choices" in f.metadata:
        base = get_type_hints(cls)[f.name].__name__
        usual = "None" if f.metadata["optional"] else f"{type(f.default_factory()).__name__}()"
        allowed = f"a nnlab.{base}, or by name {', '.join(sorted(f.metadata['choices']))}"
    else:
        usual = "" if f.default is dataclasses.MISSING else repr(f.default)
        allowed = expected(get_type_hints(cls)[f.name], f.metadata["allowed"])
    head = f"{f.name} = {usual}" if usual else f.name
    text = f"{meaning} ({allowed})" if meaning else allowed
    return f"{head}\n{textwrap.fill(text, WIDTH - 8, initial_indent='    ', subsequent_indent='    ')}"
