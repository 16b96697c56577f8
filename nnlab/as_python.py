"""Python spelling of command-line settings, for error messages: `optimizer.lr` is `nnlab.Adam(lr=...)`.

Imported only to report an unknown setting or argument. Classes are read from their source (`declarations`).
"""

from __future__ import annotations

import re
from collections.abc import Collection

from nnlab import declarations
from nnlab.catalogue import Catalogue
from nnlab.suggestions import as_hint, is_name, suggested_key, with_users_number

GROUP_PATTERN = "|".join(declarations.CLASS_FILES)
CLASS_OF_FILE = {"experiment.py": "Experiment", "search/settings.py": "Search"}
SEARCH_GROUPS = ("sampler", "pruner", "launcher")


def hint_for_unknown_setting(
    key: str, names: Collection[str], group: str = "", choice: str = "", value=None
) -> str:
    """The half sentence that tells what an unknown setting, perhaps of another tool, is in nnlab.

    `names` are the settings of the class that does not have it: a choice of a group, or an experiment.

    >>> hint_for_unknown_setting("learning_rate", ["lr"], "optimizer", "adam")
    "; did you mean 'lr'?"
    >>> hint_for_unknown_setting("momentum", ["epochs"])
    '; write optimizer=nnlab.Momentum(gamma=0.9)'
    """
    suggestion = suggested_key(f"{group}.{key}" if group else key, choice)
    if not suggestion:
        return ""
    if not is_name(suggestion):
        return as_hint(as_python(with_users_number(suggestion, value)))
    setting = suggestion.removeprefix(f"{group}.")
    if setting in names:
        return as_hint(setting)
    spelling = python_spelling(suggestion)
    return f"; write {spelling}" if spelling else ""


def hint_for_unknown_argument(key: str) -> str:
    """The half sentence about an argument of `fit` or `check` that is a setting, here or in another tool."""
    spelling = python_spelling(key) or _spelling_in_default_choice(key)
    if spelling:
        return f"; it is a setting, {spelling}"
    return hint_for_unknown_setting(key, ())


def _spelling_in_default_choice(key: str) -> str | None:
    """The Python spelling of a key that the default choice of a group has: `lr` is Adam's."""
    catalogue = Catalogue("train")
    names = (f"{group}.{key}" for group in declarations.CLASS_FILES if group in catalogue.groups)
    return next((python_spelling(name) for name in names if name in catalogue.all_keys()), None)


def python_spelling(key: str, value: str = "...") -> str | None:
    """How to set a command-line key in Python; None if it has no counterpart.

    >>> python_spelling("epochs"), python_spelling("optimizer.gamma", "0.9")
    ('nnlab.Experiment(epochs=...)', 'optimizer=nnlab.Momentum(gamma=0.9)')
    """
    group, dot, leaf = key.rpartition(".")
    if not dot and key in declarations.CLASS_FILES:
        class_name = "Search" if key in SEARCH_GROUPS else "Experiment"
        return f"nnlab.{class_name}({key}={value})"
    if not dot:
        class_name = next(
            (cls for cls, file in declarations.declaring_classes(key) if CLASS_OF_FILE.get(file) == cls), None
        )
        return class_name and f"nnlab.{class_name}({key}={value})"
    catalogue = Catalogue("sweep")
    for choice in (*catalogue.chosen(group), *catalogue.choices(group)):
        cls = declarations.declaration_of_choice(
            group, None if group in declarations.SINGLE_CLASSES else choice
        )
        if cls and leaf in cls.fields:
            return f"{group}=nnlab.{cls.name}({leaf}={value})"
    return None


def as_python(text: str) -> str:
    """The text with overrides replaced by their Python spelling.

    >>> as_python("write split=kfold split.k=5, or regularizer.l2=1e-3")
    'write split=nnlab.KFold(k=5), or regularizer=nnlab.Regularizer(l2=1e-3)'
    """

    def call(match: re.Match) -> str:
        group, choice, rest = match.groups()
        cls = declarations.declaration_of_choice(group, choice)
        if not cls:
            return match[0]
        settings = re.findall(r"\.(\w+=[^\s,;]+)", rest)
        return f"{group}=nnlab.{cls.name}({', '.join(settings)})"

    text = re.sub(r"'(\w+)=\[([\w,]+)\]'", lambda m: f"{m[1]}={m[2].split(',')}", text)
    text = re.sub(rf"\b({GROUP_PATTERN})=(\w+)((?: \1\.\w+=[^\s,;]+)*)", call, text)
    return re.sub(
        rf"\b((?:{GROUP_PATTERN})\.\w+)=([^\s,;]+)", lambda m: python_spelling(m[1], m[2]) or m[0], text
    )
