"""The words of `nnlab sweep` when it goes on with another sweep, or begins again around its best."""

from __future__ import annotations

from argparse import Namespace

from nnlab.commands import grammar
from nnlab.search.space import Space


def value_of(key: str, args: Namespace) -> str | None:
    """The text that the command line gives to a key of its own, if it does."""
    for word in args.overrides:
        name, _, text = word.partition("=")
        if name.lstrip("+") == key and text not in ("", "null"):
            return text.strip("'\"")
    return None


def go_on(args: Namespace, about: dict) -> None:
    """Put the words that a sweep began with before those of this command line, which go before them."""
    given = {_key(word) for word in args.overrides}
    before = [str(word) for word in about["words"] if _key(word) not in given]
    args.overrides = before + args.overrides
    args.config_dir = args.config_dir or about.get("config_dir")
    args.config_name = args.config_name or about.get("config_name")


def search_around(args: Namespace, about: dict, space: Space, searched: set[str]) -> None:
    """The words of another sweep, which `searched` these keys, on this space; those of this command line go
    before them."""
    given = [word for word in args.overrides if _key(word) != "refine"]
    args.overrides = given
    go_on(args, about)
    own = {_key(word) for word in given}
    gone = {"resume", "refine", "space", "study", *(searched - own)}
    kept = [word for word in args.overrides if _key(word) not in gone and not word.startswith("hydra.")]
    kept += [word for word in given if word.startswith("hydra.")]
    around = [grammar.searched(key, domain) for key, domain in space.domains.items() if key not in own]
    args.overrides = kept + around


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+")


def flat(tree: dict, prefix: str = "") -> dict:
    """Nested settings by their dotted keys."""
    found = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        found |= flat(value, f"{name}.") if isinstance(value, dict) and value else {name: value}
    return found
