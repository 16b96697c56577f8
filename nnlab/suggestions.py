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
    if of == "data" and word.lower().endswith(UNREAD):
        return "; save it as CSV, for data=csv data.path=FILE, or by numpy.savez, for data=npz data.path=FILE"
    known = plain(word) in _elsewhere(of)
    if same or not known:
        found = same[:1] or near(word, names)
        return f"; did you mean '{found[0]}'?" if found else ""
    return said(_elsewhere(of)[plain(word)])


def said(meant: str | None) -> str:
    """What an entry of the table says, as a half sentence."""
    if meant is None:
        return ""
    return (
        f"; did you mean '{meant}'?" if is_name(meant) or meant[:2] == "--" else f"; {meant}" if meant else ""
    )


def key_meant(key: str, choice: str = "") -> str | None:
    """What the table has for a key of another tool, below this choice of its group, its group, or anywhere.

    It is a key of nnlab's, or what to say; None if no tool is known to have it.

    >>> key_meant("schedule.step_size"), key_meant("schedule.gamma", "step"), key_meant("step_size")
    ('schedule.every', 'schedule.factor', 'optimizer.lr')
    """
    parent, _, leaf = key.rpartition(".")
    tables = (_within(f"{parent}={choice}"), _within(parent), _elsewhere("keys"))
    return next((table[plain(leaf)] or "" for table in tables if plain(leaf) in table), None)


def key_elsewhere(key: str, choice: str = "") -> str | None:
    """What to say of a key that another tool has; None if no tool is known to have it."""
    meant = key_meant(key, choice)
    return None if meant is None else said(meant)


def with_number(meant: str | None, value: object) -> str | None:
    """An entry of the table with the user's number in place of its own, if the value is one.

    >>> with_number("write split=kfold split.k=5", 10)
    'write split=kfold split.k=10'
    """
    if not meant or isinstance(value, bool) or not isinstance(value, int | float):
        return meant
    return re.sub(r"=\d[\d.e-]*\b", f"={value}", meant)


def is_name(meant: str | None) -> bool:
    """Whether an entry of the table is a key or a choice, and no sentence."""
    return re.fullmatch(r"[\w.]+", meant or "") is not None


def function_elsewhere(name: str, arguments: str = "", whole: bool = False) -> str | None:
    """The function of several values that another tool's is here, with its arguments; None if none is known.

    >>> function_elsewhere("loguniform", "1e-5, 0.1"), function_elsewhere("uniform", "1,5", whole=True)
    ('tag(log,interval(1e-5,0.1))', 'int(interval(1,5))')
    """
    meant = _elsewhere("functions").get(plain(name))
    if meant is None:
        return None
    given = [word.strip() for word in arguments.split(",") if word.strip()]
    if whole and "interval" in meant and "int(" not in meant:
        meant = meant.replace("interval(A,B)", "int(interval(A,B))")
    if len(given) >= len(set(re.findall(r"\b[AB]\b|N", meant))):
        for place, word in zip("ABN", given, strict=False):
            meant = re.sub(rf"\b{place}\b|N(?=,)" if place == "N" else rf"\b{place}\b", word, meant)
        meant = meant.replace("...", ",".join(given) or "...")
    return meant


UNREAD = (
    ".npy", ".mat", ".h5", ".hdf5", ".pt", ".pth", ".pkl", ".pickle", ".xls", ".xlsx", ".ods", ".parquet",
    ".feather", ".json", ".arff",
)  # fmt: skip
READERS = {  # data that read a file or a folder -> the endings of such files; None: it wants a folder
    "csv": (".csv", ".tsv", ".txt", ".dat", ".data"), "npz": (".npz",), "idx": None,
}  # fmt: skip


def reader_of(path: str) -> str | None:
    """The data that read a file of this name: `csv` of table.csv; None if none does."""
    name = path.lower().removesuffix(".gz")
    return next((data for data, ends in READERS.items() if ends and name.endswith(ends)), None)


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
    """The word without capitals and without what stands between its parts, in American spelling.

    >>> plain("Kernel-Regulariser")
    'kernelregularizer'
    """
    letters = re.sub(r"[^a-z0-9]", "", str(word).lower())
    return re.sub(r"is(?=(e|ed|er|ers|ation)$)", "iz", letters) or str(word)


@cache
def _table() -> dict:
    import yaml

    return yaml.safe_load(Path(__file__).with_name("elsewhere.yaml").read_text(encoding="utf-8"))


@cache
def _elsewhere(of: str) -> dict[str, str | None]:
    """The words of other tools for a key's or a group's values, for keys, or for functions."""
    table = _table()
    words = table.get(of) if of in ("keys", "functions") else _split(table["values"]).get(of)
    return {plain(word.strip("'")): meant for word, meant in _split(words or {}).items()}


@cache
def _within(where: str) -> dict[str, str | None]:
    """The words of other tools for keys of a group, or of one of its choices, `schedule=step`."""
    words = _split(_table()["within"]).get(where) or {}
    return {plain(word): meant for word, meant in _split(words).items()}


def _split(table: dict) -> dict:
    """A line of the table has several words, between commas."""
    return {word: meant for several, meant in table.items() for word in str(several).split(", ")}
