"""What the command line and other tools call a setting, in Python: `optimizer.lr` is `nnlab.Adam(lr=...)`.

Imported only for the sentence about an unknown setting or argument. Classes are known from their sources
(see `declarations`).
"""

from __future__ import annotations

import re
from collections.abc import Collection

from nnlab import declarations
from nnlab.catalogue import Catalogue
from nnlab.suggestions import is_name, key_meant, said, with_number

GROUP_PATTERN = "|".join(declarations.CLASS_FILES)
CLASS_OF_FILE = {"experiment.py": "Experiment", "search/settings.py": "Search"}
SEARCH_GROUPS = ("sampler", "pruner")


def setting_elsewhere(key: str, names: Collection[str], group: str = "", choice: str = "", value=None) -> str:
    """What to say of a setting that other tools have.

    `names` are the settings of the class that does not have it: a choice of a group, or an experiment.

    >>> setting_elsewhere("learning_rate", ["lr"], "optimizer", "adam")
    "; did you mean 'lr'?"
    >>> setting_elsewhere("momentum", ["epochs"])
    '; write optimizer=nnlab.Momentum(gamma=0.9)'
    """
    meant = key_meant(f"{group}.{key}" if group else key, choice)
    if not meant:
        return ""
    if not is_name(meant):
        return said(as_python(with_number(meant, value)))
    setting = meant.removeprefix(f"{group}.")
    if setting in names:
        return said(setting)
    place = home(meant)
    return f"; write {place}" if place else ""


def argument_elsewhere(key: str) -> str:
    """What to say of an argument of `fit` or `check` that is a setting, here or in another tool."""
    place = home(key) or _home_in_default_choice(key)
    if place:
        return f"; it is a setting, {place}"
    return setting_elsewhere(key, ())


def _home_in_default_choice(key: str) -> str | None:
    """Where a key goes that the default choice of a group has: `lr` is Adam's."""
    catalogue = Catalogue("train")
    names = (f"{group}.{key}" for group in declarations.CLASS_FILES if group in catalogue.groups)
    return next((home(name) for name in names if name in catalogue.all_keys()), None)


def home(key: str, value: str = "...") -> str | None:
    """Where a key of the command line goes in Python; None if nowhere.

    >>> home("epochs"), home("optimizer.gamma", "0.9")
    ('nnlab.Experiment(epochs=...)', 'optimizer=nnlab.Momentum(gamma=0.9)')
    """
    group, dot, leaf = key.rpartition(".")
    if not dot and key in declarations.CLASS_FILES:
        whole = "Search" if key in SEARCH_GROUPS else "Experiment"
        return f"nnlab.{whole}({key}={value})"
    if not dot:
        whole = next((cls for cls, file in declarations.homes(key) if CLASS_OF_FILE.get(file) == cls), None)
        return whole and f"nnlab.{whole}({key}={value})"
    catalogue = Catalogue("sweep")
    for choice in (*catalogue.chosen(group), *catalogue.choices(group)):
        cls = declarations.of_choice(group, None if group in declarations.SINGLE_CLASSES else choice)
        if cls and leaf in cls.fields:
            return f"{group}=nnlab.{cls.name}({leaf}={value})"
    return None


def as_python(text: str) -> str:
    """The text with words of the command line replaced by Python's.

    >>> as_python("write split=kfold split.k=5, or regularizer.l2=1e-3")
    'write split=nnlab.KFold(k=5), or regularizer=nnlab.Regularizer(l2=1e-3)'
    """

    def call(match: re.Match) -> str:
        group, choice, rest = match.groups()
        cls = declarations.of_choice(group, choice)
        if not cls:
            return match[0]
        settings = re.findall(r"\.(\w+=[^\s,;]+)", rest)
        return f"{group}=nnlab.{cls.name}({', '.join(settings)})"

    text = re.sub(r"'(\w+)=\[([\w,]+)\]'", lambda m: f"{m[1]}={m[2].split(',')}", text)
    text = re.sub(rf"\b({GROUP_PATTERN})=(\w+)((?: \1\.\w+=[^\s,;]+)*)", call, text)
    return re.sub(rf"\b((?:{GROUP_PATTERN})\.\w+)=([^\s,;]+)", lambda m: home(m[1], m[2]) or m[0], text)
