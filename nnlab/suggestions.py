"""Suggestions for unknown names: the nearest known name, or nnlab's name for another tool's term.

Near means a few typing errors away, so that no suggestion misleads: `optimizer.momentum` is not taken for
`optimizer.beta2`. The terms of other tools are in elsewhere.yaml.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path

VOWELS = frozenset("aeiou")
MIN_WORD_LENGTH = 3  # shorter words are near to too many
LETTERS_PER_ERROR = 5  # one typing error, and one more for so many letters


SHORTEST_ENDING = 3  # letters of a word that may be the end of a name


def hint(word: str, names: Collection[str], of: str = "") -> str:
    """`"; did you mean 'adam'?"` or another half sentence; empty if none of the names seems to be meant.

    `of` is the key or group whose value the word is, or "keys" if it is a key itself.
    """
    same = [name for name in names if plain(name) == plain(word)]
    if of == "data" and word.lower().endswith(UNSUPPORTED_EXTENSIONS) and not dataset_for_file(word):
        return (
            "; save it as CSV, for data=table data.path=FILE, or by numpy.savez, for data=npz data.path=FILE"
        )
    if not same and plain(word) in _foreign_words(of):
        return as_hint(_foreign_words(of)[plain(word)])
    ending = [name for name in names if len(word) >= SHORTEST_ENDING and name.endswith(f"_{word}")]
    for name in same[:1] or near(word, names) or ending[:1]:  # accuracy is test_accuracy
        return f"; did you mean '{name}'?"
    return ""


def as_hint(meant: str | None) -> str:
    """What an entry of the table says, as a half sentence."""
    if not meant:
        return ""
    if is_name(meant) or meant.startswith("--"):
        return f"; did you mean '{meant}'?"
    return f"; {meant}"


def suggested_key(key: str, choice: str = "") -> str | None:
    """The table's entry for a key of another tool: that of this choice, of its group, or of any key.

    An entry is a key of nnlab, or a sentence. None if no tool is known to have the key.

    >>> suggested_key("schedule.step_size"), suggested_key("schedule.gamma", "step")
    ('schedule.every', 'schedule.factor')
    >>> suggested_key("step_size")
    'optimizer.lr'
    """
    parent, _, leaf = key.rpartition(".")
    tables = (_foreign_keys(f"{parent}={choice}"), _foreign_keys(parent), _foreign_words("keys"))
    return next((table[plain(leaf)] or "" for table in tables if plain(leaf) in table), None)


def hint_for_key(key: str, choice: str = "") -> str | None:
    """What to say of a key that another tool has; None if no tool is known to have it."""
    meant = suggested_key(key, choice)
    return None if meant is None else as_hint(meant)


def hint_of_kind(kind: str, key: str, names: Collection[str]) -> str:
    """What to say of a key of other tools that a part of this kind, a box of a graph, does not have; empty
    if none is known to have it.

    >>> hint_of_kind("box", "out_channels", ["units", "kernel"])
    "; did you mean 'units'?"
    """
    meanings = [meant for word, meant in _foreign_pairs(kind) if plain(word) == plain(key)]
    fitting = [meant for meant in meanings if not is_name(meant) or meant in names]
    return as_hint(fitting[0]) if fitting else ""


def with_users_number(meant: str | None, value: object) -> str | None:
    """An entry of the table with the user's number in place of its own, if the value is one.

    >>> with_users_number("write split=kfold split.k=5", 10)
    'write split=kfold split.k=10'
    """
    if not meant or isinstance(value, bool) or not isinstance(value, int | float):
        return meant
    return re.sub(r"=\d[\d.e-]*\b", f"={value}", meant)


def is_name(meant: str | None) -> bool:
    """Whether an entry of the table is a key or a choice, and no sentence."""
    return re.fullmatch(r"[\w.]+", meant or "") is not None


def equivalent_function(name: str, arguments: str = "", whole: bool = False) -> str | None:
    """nnlab's form of another tool's function of several values, with its arguments; None if it has none.

    `whole` says that the key takes whole numbers.

    >>> equivalent_function("loguniform", "1e-5, 0.1"), equivalent_function("uniform", "1,5", whole=True)
    ('tag(log,interval(1e-5,0.1))', 'int(interval(1,5))')
    """
    meant = _foreign_words("functions").get(plain(name))
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


# Data files that nnlab does not read.
UNSUPPORTED_EXTENSIONS = (
    ".mat", ".h5", ".hdf5", ".pt", ".pth", ".pkl", ".pickle", ".xls", ".xlsx", ".ods", ".parquet",
    ".feather", ".json", ".arff",
)  # fmt: skip
TEXT_EXTENSIONS = (".csv", ".tsv", ".txt", ".dat", ".data")
# Of the files that each data set reads, the first of which is proposed; None: it reads a folder.
EXTENSIONS_OF_DATA = {
    "table": (
        *TEXT_EXTENSIONS, ".tab", ".parquet", ".feather", ".arrow", ".jsonl", ".ndjson", ".json",
        ".xlsx", ".xls", ".ods",
    ),
    "csv": TEXT_EXTENSIONS, "npz": (".npz",), "npy": (".npy",), "idx": None, "images": None,
}  # fmt: skip
IMAGE_EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
MOST_FILES_LOOKED_AT = 10_000  # in a folder, of which nobody has said what it is
COMPRESSED_EXTENSIONS = (".gz", ".zst", ".bz2", ".lz4")


def datasets_for_file(path: str) -> list[str]:
    """The data sets that read a file of this name, the one that is proposed first."""
    name = path.lower()
    for ending in COMPRESSED_EXTENSIONS:
        name = name.removesuffix(ending)
    return [data for data, endings in EXTENSIONS_OF_DATA.items() if endings and name.endswith(endings)]


def dataset_for_file(path: str) -> str | None:
    """The data set that is proposed for a file: `table` for churn.csv.gz; None if none reads it."""
    return next(iter(datasets_for_file(path)), None)


def dataset_for_folder(folder: str) -> str | None:
    """The data set that reads a folder with such files: `images`, or `idx`, or None."""
    seen = 0
    if "\0" in folder:  # no folder has such a name, and `os.walk` raises an error of its own
        return None
    for _, folders, files in os.walk(folder):
        names = [name.lower() for name in files]
        if any("-idx3-ubyte" in name for name in names):
            return "idx"
        if any(name.endswith(IMAGE_EXTENSIONS) for name in names):
            return "images"
        seen += len(files) + len(folders)
        if seen > MOST_FILES_LOOKED_AT:
            break
    return None


def near(word: str, names: Iterable[str]) -> list[str]:
    """The name that is a few typing errors away from the word, as a list; [] if there is none.

    Else the name that ends with the word after a slash, or the one that begins with it: `cosine` for cos,
    though `cosine_log` does too; or that it abbreviates without vowels, as tgt does target. Of names with
    the same head, `optimizer.lr`, only what follows it is compared: a long head would make all names near.
    """
    head, dot, last = word.lower().rpartition(".")
    tails = {name: name.lower().removeprefix(head + dot) for name in names}
    have_head = any(tail != name.lower() for name, tail in tails.items())
    typed = last if have_head else word.lower()
    if len(typed) < MIN_WORD_LENGTH:
        return []
    most_errors = 1 + len(typed) // LETTERS_PER_ERROR
    similar = {name: tail for name, tail in tails.items() if abs(len(tail) - len(typed)) <= most_errors}
    errors = sorted((distance(typed, tail), name) for name, tail in similar.items())
    if errors and errors[0][0] <= most_errors:
        return [errors[0][1]]
    for name, tail in tails.items():
        if tail.endswith(f"/{typed}"):
            return [name]
    begun = sorted((name for name, tail in tails.items() if tail.startswith(typed)), key=len)
    if not begun and not VOWELS & {*typed}:
        begun = sorted((name for name, tail in tails.items() if _abbreviates(typed, tail)), key=len)
    return begun[:1] if all(name.startswith(begun[0]) for name in begun) else []


def _abbreviates(word: str, name: str) -> bool:
    """Whether the word has the first letter of the name and others in their order: tgt for target."""
    letters = iter(name)
    return name[:1] == word[:1] and all(letter in letters for letter in word)


def distance(a: str, b: str) -> int:
    """The fewest insertions, deletions, replacements and swaps of neighbours that turn a into b.

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
    """The word in small letters and American spelling, without separators.

    >>> plain("Kernel-Regulariser")
    'kernelregularizer'
    """
    letters = re.sub(r"[^a-z0-9]", "", str(word).lower())
    return re.sub(r"is(?=(e|ed|er|ers|ation)$)", "iz", letters) or str(word)


@cache
def _table() -> dict:
    import yaml  # only for an unknown word

    return yaml.safe_load(Path(__file__).with_name("elsewhere.yaml").read_text(encoding="utf-8"))


@cache
def _foreign_words(of: str) -> dict[str, str | None]:
    """The words of other tools for the values of a key or a group, for keys, or for functions."""
    table = _table()
    if of in ("keys", "functions"):
        words = table.get(of)
    else:
        words = _split(table["values"]).get(of)
    return {plain(word.strip("'")): meant for word, meant in _split(words or {}).items()}


@cache
def _foreign_keys(where: str) -> dict[str, str | None]:
    """The words of other tools for keys of a group, or of one of its choices, `schedule=step`."""
    words = _split(_table()["within"]).get(where) or {}
    return {plain(word): meant for word, meant in _split(words).items()}


@cache
def _foreign_pairs(kind: str) -> tuple[tuple[str, str | None], ...]:
    """(word, meaning) of keys of a kind of part; one word has several meanings: `kernel_size` is the kernel
    of a convolution and the size of a pooling."""
    table = _table()["within"].get(kind) or {}
    return tuple((word, meant) for several, meant in table.items() for word in str(several).split(", "))


def _split(table: dict) -> dict:
    """The table with one word a line; in the file a line may have several, separated by commas."""
    return {word: meant for several, meant in table.items() for word in str(several).split(", ")}
