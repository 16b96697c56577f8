"""Words of the command line, and of other tools, as Python has them: `optimizer.lr` is `nnlab.Adam(lr=...)`.

Read only when a setting or an argument is not known. Classes are known from their sources (see
`declarations`).
"""

from __future__ import annotations

import re
from collections.abc import Collection

from nnlab import declarations
from nnlab.catalogue import Catalogue
from nnlab.suggestions import is_name, key_meant, said, with_number

GROUPS = "|".join(declarations.MODULES)
WHOLES = {"experiment.py": "Experiment", "search/settings.py": "Search"}
OF_SEARCH = ("sampler", "pruner")


def setting_elsewhere(key: str, names: Collection[str], group: str = "", choice: str = "", value=None) -> str:
    """What to say of a setting that other tools have; `names` are those of the class that does not have it,
    which is a choice of a group, or a whole experiment.

    >>> setting_elsewhere("learning_rate", ["lr"], "optimizer", "adam")
    "; did you mean 'lr'?"
    >>> setting_elsewhere("momentum", ["epochs"])
    '; write optimizer=nnlab.Momentum(gamma=0.9)'
    """
    meant = key_meant(f"{group}.{key}" if group else key, choice)
    if not meant or not is_name(meant):
        return said(as_python(with_number(meant, value))) if meant else ""
    own = meant.removeprefix(f"{group}.")
    if own in names:
        return said(own)
    place = home(meant)
    return f"; write {place}" if place else ""


def argument_elsewhere(key: str) -> str:
    """What to say of an argument of `fit` or `check` that is a setting, here or in another tool."""
    place = home(key) or _of_usual(key)
    return f"; it is a setting, {place}" if place else setting_elsewhere(key, ())


def _of_usual(key: str) -> str | None:
    """Where a key goes that the usual choice of a group has: `lr` is Adam's."""
    catalogue = Catalogue("train")
    names = (f"{group}.{key}" for group in declarations.MODULES if group in catalogue.groups)
    return next((home(name) for name in names if name in catalogue.all_keys()), None)


def home(key: str, value: str = "...") -> str | None:
    """Where a key of the command line goes in Python; None if nowhere.

    >>> home("epochs"), home("optimizer.gamma", "0.9")
    ('nnlab.Experiment(epochs=...)', 'optimizer=nnlab.Momentum(gamma=0.9)')
    """
    group, dot, leaf = key.rpartition(".")
    if not dot and key in declarations.MODULES:
        return f"nnlab.{'Search' if key in OF_SEARCH else 'Experiment'}({key}={value})"
    if not dot:
        whole = next((cls for cls, file in declarations.homes(key) if WHOLES.get(file) == cls), None)
        return whole and f"nnlab.{whole}({key}={value})"
    catalogue = Catalogue("sweep")
    for choice in (*catalogue.chosen(group), *catalogue.choices(group)):
        cls = declarations.of_choice(group, None if group in declarations.SINGLE else choice)
        if cls and leaf in cls.fields:
            return f"{group}=nnlab.{cls.name}({leaf}={value})"
    return None


def as_python(text: str) -> str:
    """The same with words of the command line as Python has them.

    >>> as_python("write split=kfold split.k=5, or regularizer.l2=1e-3")
    'write split=nnlab.KFold(k=5), or regularizer=nnlab.Regularizer(l2=1e-3)'
    """

    def made(match: re.Match) -> str:
        group, choice, rest = match.groups()
        cls = declarations.of_choice(group, choice)
        settings = re.findall(r"\.(\w+=[^\s,;]+)", rest)
        return f"{group}=nnlab.{cls.name}({', '.join(settings)})" if cls else match[0]

    text = re.sub(r"'(\w+)=\[([\w,]+)\]'", lambda m: f"{m[1]}={m[2].split(',')}", text)
    text = re.sub(rf"\b({GROUPS})=(\w+)((?: \1\.\w+=[^\s,;]+)*)", made, text)
    return re.sub(rf"\b((?:{GROUPS})\.\w+)=([^\s,;]+)", lambda m: home(m[1], m[2]) or m[0], text)
