"""What to say of a word that is not known: the nearest that is, or what another tool's word is here.

Near is what is few slips of the finger away, so that nothing misleads: `optimizer.momentum` is not taken for
`optimizer.beta2`. Words of other tools stand in elsewhere.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path


def hint(word: str, names: Collection[str], of: str = "") -> str:
    """`"; did you mean 'adam'?"` or another half sentence, or nothing if none of the names is meant.

    `of` is the key or group whose value the word is, or "keys" if it is a key itself.
    """
    same = [name for name in names if plain(name) == plain(word)]
    known = plain(word) in _elsewhere(of)
    if same or not known:
        found = same[:1] or near(word, names)
        return f"; did you mean '{found[0]}'?" if found else ""
    return said(_elsewhere(of)[plain(word)])


def said(meant: str | None) -> str:
    """What an entry of the table says, as a half sentence."""
    if meant is None:
        return ""
    return f"; did you mean '{meant}'?" if re.fullmatch(r"[\w.]+", meant) else f"; {meant}"


def key_elsewhere(key: str) -> str | None:
    """What to say of a key that another tool has; None if no tool is known to have it."""
    words = _elsewhere("keys")
    leaf = plain(key.rpartition(".")[2])
    return said(words[leaf]) if leaf in words else None


def function_elsewhere(name: str) -> str:
    """What a function of several values is called here: `uniform` is `interval`."""
    meant = _elsewhere("functions").get(plain(name))
    return f"; did you mean {meant}?" if meant else ""


def near(word: str, names: Iterable[str]) -> list[str]:
    """The name that is a few slips away from the word; else the one that it begins, or that ends with it
    after a slash. Of dotted names below one head only what follows the head is compared."""
    head, dot, last = word.lower().rpartition(".")
    below = {name: name.lower().removeprefix(head + dot) for name in names}
    typed = last if any(text != name.lower() for name, text in below.items()) else word.lower()
    if len(typed) < 3:
        return []
    most = 1 + len(typed) // 5
    slips = {n: distance(typed, text) for n, text in below.items() if abs(len(text) - len(typed)) <= most}
    close = sorted((count, name) for name, count in slips.items() if count <= most)
    ending = [name for name, text in below.items() if text.endswith(f"/{typed}")]
    begun = [name for name, text in below.items() if text.startswith(typed)]
    return [name for _, name in close][:1] or ending[:1] or begun * (len(begun) == 1)


def distance(a: str, b: str) -> int:
    """The fewest insertions, deletions, replacements and swaps of neighbours that make b of a.

    >>> distance("optmizre", "optimizer")
    2
    """
    before, row = [], list(range(len(b) + 1))
    for i, x in enumerate(a):
        before, last, row = row, before, [i + 1]
        for j, y in enumerate(b):
            least = min(before[j] + (x != y), before[j + 1] + 1, row[j] + 1)
            if i and j and x == b[j - 1] and a[i - 1] == y:
                least = min(least, last[j - 1] + 1)
            row.append(least)
    return row[-1]


def plain(word: str) -> str:
    """The word without capitals and without what stands between its parts."""
    return re.sub(r"[^a-z0-9]", "", str(word).lower()) or str(word)


@cache
def _table() -> dict:
    import yaml

    return yaml.safe_load(Path(__file__).with_name("elsewhere.yaml").read_text(encoding="utf-8"))


@cache
def _elsewhere(of: str) -> dict[str, str | None]:
    """The words of other tools for a key's or a group's values, for keys, or for functions."""
    table = _table()
    values = {name: words for names, words in table["values"].items() for name in names.split(", ")}
    words = table.get(of) if of in ("keys", "functions") else values.get(of)
    return {
        plain(w.strip("'")): meant
        for several, meant in (words or {}).items()
        for w in str(several).split(", ")
    }
