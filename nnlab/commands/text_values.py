"""Quotes file and column names in overrides, since they may have letters, brackets and spaces Hydra rejects.

Hydra's grammar reads plain ASCII words only, and takes `Age (years)` for a call of a function. What it cannot
read, and stands where a text may stand, is put into Hydra's quotes before the word is read.
"""

import re
from collections.abc import Iterable

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from nnlab import declarations
from nnlab.catalogue import Catalogue
from nnlab.commands.hydra_overrides import HYDRA_KEYS
from nnlab.commands.quoting import as_hydra_reads, quoted

NAMED_GROUP = "data"  # the group whose keys take names that others chose: `[kg]`, `1.5` and `true` are some
TARGET_KEY = "data.target"
_PLAIN_VALUE = re.compile(r"[\w.,/+-]*|\[[\w.,+-]*\]", re.ASCII)  # what Hydra reads in any case


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
        if not equals or name in self.but:
            return word
        # What is plain is read in any case; but of names, 1e3 and true are to stay what was typed.
        if name.partition(".")[0] != NAMED_GROUP and _PLAIN_VALUE.fullmatch(value):
            return word
        is_read = self._parsed(word) is not None
        pieces = parts(value) if self.several else [value]
        is_name = name.startswith(f"{NAMED_GROUP}.")
        if is_read and not (is_name and any(self._is_misread(key, piece) for piece in pieces)):
            return word
        if not self._takes_text(name, value) or not self._parsed(f"{key}=x"):
            return word
        return f"{key}={','.join(self._piece(key, piece, is_read) for piece in pieces)}"

    def _piece(self, key: str, piece: str, is_read: bool) -> str:
        """One of the values: in quotes if the grammar makes something else of it, or nothing at all."""
        if is_read:
            needs_quotes = self._is_misread(key, piece)
        else:
            needs_quotes = not piece.strip() or self._parsed(f"{key}={piece}") is None
        return quoted(piece.strip()) if needs_quotes else piece

    def _is_misread(self, key: str, value: str) -> bool:
        """Whether the grammar makes of it what no name is, though it may be written so: 1e3, true; `[a,b]` is
        a list. No target is none at all, so `null` is a column's name there."""
        read = self._parsed(f"{key}={value}")
        if not read or read.is_sweep_override():
            return False
        as_read = read.value()
        if isinstance(as_read, int) and not isinstance(as_read, bool):
            return str(as_read) != value.strip()  # 1_000
        if as_read is None:
            return key.lstrip("+") == TARGET_KEY
        return isinstance(as_read, dict | float | bool) or isinstance(as_read, list) and len(as_read) < 2

    def _parsed(self, word: str) -> Override | None:
        try:
            return self._parser.parse_override(as_hydra_reads(word))
        except (HydraException, RecursionError, ValueError):
            return None

    def _takes_text(self, key: str, value: str) -> bool:
        """Whether the key takes text. An unknown key counts too: the error is to say that it is unknown, and
        not that its value cannot be read."""
        if key in HYDRA_KEYS:
            return True
        group, dot, leaf = key.partition(".")
        if not dot and group in self.catalogue.groups:
            return not re.search(r"[][(){}'\"]", value)  # a file of the user's own may have any name
        if dot:
            names = self.catalogue.choices(group)
            if group in declarations.SINGLE_CLASSES:  # one class is behind all of its choices
                names = [None]
            classes = (declarations.declaration_of_choice(group, name) for name in names)
            fields = [cls.fields[leaf] for cls in classes if cls and leaf in cls.fields]
        else:
            fields = [field for field in [declarations.field_of_key(key)] if field]
        return not fields or any("str" in f.types and "choices" not in f.range for f in fields)


def parts(value: str) -> list[str]:
    """The values between commas that stand outside of brackets and quotes.

    >>> parts("Größe,Age (years, months)")
    ['Größe', 'Age (years, months)']
    """
    pieces = [""]
    depth = 0  # of brackets
    quote = ""  # the quote that is open
    for sign in value:
        if quote:
            if sign == quote:
                quote = ""
        elif sign in "'\"":
            quote = sign
        if not quote:
            depth += (sign in "([{") - (sign in ")]}")
        if sign == "," and not quote and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += sign
    is_whole = not quote and depth == 0
    return pieces if is_whole else [value]
