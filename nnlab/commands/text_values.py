"""Texts on the command line: names of files and columns have any letters, brackets and spaces.

Hydra's grammar reads plain ASCII words only, and takes `Age (years)` for a call of a function. What it cannot
read, and stands where a text may stand, is put into Hydra's quotes before anybody reads the word.
"""

import re
from collections.abc import Iterable

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from nnlab import declarations
from nnlab.catalogue import Catalogue
from nnlab.commands.overrides import HYDRA_KEYS, as_hydra_reads, quoted

NAMING = "data"  # the group whose keys take names that others chose: `[kg]`, `1.5` and `true` are some
TARGET = "data.target"
_PLAIN = re.compile(r"[\w.,/+-]*|\[[\w.,+-]*\]", re.ASCII)  # what Hydra reads in any case


class Texts:
    """The words of a command line with its texts in quotes; `several` says whether a key may have several
    values, between commas, as with -m and in a search.

    >>> Texts(Catalogue("train"), several=False).readable(["data.target=Age (years)", "epochs=5"])
    ["data.target='Age (years)'", 'epochs=5']
    """

    def __init__(self, catalogue: Catalogue, several: bool, but: Iterable[str] = ()):
        self.catalogue, self.several, self.but = catalogue, several, frozenset(but)
        self._parser = OverridesParser.create()

    def readable(self, words: Iterable[str]) -> list[str]:
        return [self._readable(word) for word in words]

    def _readable(self, word: str) -> str:
        key, equals, value = word.partition("=")
        name = key.lstrip("+")
        if not equals or name in self.but or name.partition(".")[0] != NAMING and _PLAIN.fullmatch(value):
            return word
        read = self._parsed(word)
        pieces = parts(value) if self.several else [value]
        names = name.startswith(f"{NAMING}.")
        if read and not (names and any(self._is_misread(key, piece) for piece in pieces)):
            return word
        if not self._takes_text(name, value) or not self._parsed(f"{key}=x"):
            return word
        if read:
            return f"{key}={','.join(quoted(p.strip()) if self._is_misread(key, p) else p for p in pieces)}"
        return f"{key}={','.join(p if self._stands(key, p) else quoted(p.strip()) for p in pieces)}"

    def _is_misread(self, key: str, value: str) -> bool:
        """Whether the grammar makes of it what no name is, though it may be written so: 1e3, true; `[a,b]` is
        a list. No target is none at all, so `null` is a column's name there."""
        read = self._parsed(f"{key}={value}")
        if not read or read.is_sweep_override():
            return False
        found = read.value()
        if isinstance(found, int) and not isinstance(found, bool):
            return str(found) != value.strip()  # 1_000
        if found is None:
            return key.lstrip("+") == TARGET
        return isinstance(found, dict | float | bool) or isinstance(found, list) and len(found) < 2

    def _stands(self, key: str, value: str) -> bool:
        return bool(value.strip()) and self._parsed(f"{key}={value}") is not None

    def _parsed(self, word: str) -> Override | None:
        try:
            return self._parser.parse_override(as_hydra_reads(word))
        except (HydraException, RecursionError, ValueError):
            return None

    def _takes_text(self, key: str, value: str) -> bool:
        """Whether the key's values are text, as far as anything says; of a key that nobody knows the sentence
        should say that, and not that its value cannot be read."""
        if key in HYDRA_KEYS:
            return True
        group, dot, leaf = key.partition(".")
        if not dot and group in self.catalogue.groups:
            return not re.search(r"[][(){}'\"]", value)  # a file of the user's own may have any name
        if dot:
            names = [None] if group in declarations.SINGLE else self.catalogue.choices(group)
            classes = (declarations.of_choice(group, name) for name in names)
            fields = [cls.fields[leaf] for cls in classes if cls and leaf in cls.fields]
        else:
            fields = [field for field in [declarations.of_key(key)] if field]
        return not fields or any("str" in f.types and "choices" not in f.range for f in fields)


def parts(value: str) -> list[str]:
    """The values between commas that stand outside of brackets and quotes.

    >>> parts("Größe,Age (years, months)")
    ['Größe', 'Age (years, months)']
    """
    found, depth, quote = [""], 0, ""
    for sign in value:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        depth += (not quote) * ((sign in "([{") - (sign in ")]}"))
        if sign == "," and not quote and depth == 0:
            found.append("")
        else:
            found[-1] += sign
    return found if not quote and depth == 0 else [value]
