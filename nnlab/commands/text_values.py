"""Quotes file and column names in overrides, since they may have letters, brackets and spaces Hydra rejects.

Hydra's grammar reads plain ASCII words only, and takes `Age (years)` for a call of a function. What it cannot
read, and stands where a text may stand, is put into Hydra's quotes before the word is read.
"""

import re
from collections.abc import Iterable

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString
from hydra.errors import HydraException

from nnlab import declarations
from nnlab.catalogue import Catalogue
from nnlab.commands.column_types import parse_override
from nnlab.commands.hydra_overrides import HYDRA_KEYS
from nnlab.commands.quoting import quote_text, to_hydra_spelling

NAMES_GROUP = "data"  # the group whose keys take names that others chose: `[kg]`, `1.5` and `true` are some
TARGET_KEY = "data.target"
WHOLE_TEXT_KEYS = ("caption",)  # sentences, whose commas are part of them
_PLAIN_VALUE = re.compile(r"[\w.,/+-]*|\[[\w.,+-]*\]", re.ASCII)  # what Hydra reads in any case


class TextQuoter:
    """Puts texts on a command line into quotes where Hydra needs them; with `allow_several` a key may have
    several values between commas, as with -m and in a search. Values of `unquoted_keys` stay as they are.

    >>> quoter = TextQuoter(Catalogue("train"), allow_several=False)
    >>> quoter.quote_texts(["data.target=Age (years)", "epochs=5"])
    ["data.target='Age (years)'", 'epochs=5']
    """

    def __init__(self, catalogue: Catalogue, allow_several: bool, unquoted_keys: Iterable[str] = ()):
        self.catalogue, self.allow_several, self.unquoted_keys = (
            catalogue,
            allow_several,
            frozenset(unquoted_keys),
        )
        self._parser = OverridesParser.create()

    def quote_texts(self, words: Iterable[str]) -> list[str]:
        return [self._quote_text(word) for word in words]

    def _quote_text(self, word: str) -> str:
        key, equals, value = word.partition("=")
        name = key.lstrip("+")
        if not equals or name in self.unquoted_keys:
            return word
        if name in WHOLE_TEXT_KEYS:
            return word if self._is_text(word) else f"{key}={quote_text(value)}"
        # What is plain is read in any case; but of names, 1e3 and true are to stay what was typed.
        if name.partition(".")[0] != NAMES_GROUP and _PLAIN_VALUE.fullmatch(value):
            return word
        is_read = self._parsed(word) is not None
        values = split_values(value) if self.allow_several else [value]
        is_name = name.startswith(f"{NAMES_GROUP}.")
        if is_read and not (is_name and any(self._is_misread(key, value) for value in values)):
            return word
        if not self._takes_text(name, value) or not self._parsed(f"{key}=x"):
            return word
        return f"{key}={','.join(self._quote_value(key, value, is_read) for value in values)}"

    def _quote_value(self, key: str, value: str, is_read: bool) -> str:
        """One of the values: in quotes if the grammar makes something else of it, or nothing at all."""
        if not is_read and self._takes_list(key) and (items := re.fullmatch(r"\[(.*)\]", value.strip())):
            return f"[{','.join(self._quote_value(key, item, False) for item in split_values(items[1]))}]"
        if is_read:
            needs_quotes = self._is_misread(key, value)
        else:
            needs_quotes = not value.strip() or self._parsed(f"{key}={value}") is None
        return quote_text(value.strip()) if needs_quotes else value

    def _is_misread(self, key: str, value: str) -> bool:
        """Whether the grammar reads a name as something else, as it does with 1e3 and true; `[a,b]` is
        a list. No target is none at all, so `null` is a column's name there."""
        read = self._parsed(f"{key}={value}")
        if not read or read.is_sweep_override():
            return False
        as_read = read.value()
        if isinstance(as_read, int) and not isinstance(as_read, bool):
            return str(as_read) != value.strip()  # 1_000
        if as_read is None:
            return key.lstrip("+") == TARGET_KEY
        if isinstance(as_read, list):
            return len(as_read) < 2 and not self._takes_list(key)
        return isinstance(as_read, dict | float | bool)

    def _is_text(self, word: str) -> bool:
        """Whether the grammar reads one text: as it was typed, or what is in its quotes."""
        read = self._parsed(word)
        return bool(read) and not read.is_sweep_override() and isinstance(read.value(), str | QuotedString)

    def _takes_list(self, key: str) -> bool:
        return any(field.listed for field in declarations.fields_of(key.lstrip("+")))

    def _parsed(self, word: str) -> Override | None:
        try:
            return parse_override(self._parser, to_hydra_spelling(word))
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


def split_values(value: str) -> list[str]:
    """The values between commas that stand outside of brackets and quotes.

    >>> split_values("Größe,Age (years, months)")
    ['Größe', 'Age (years, months)']
    """
    values = [""]
    depth = 0  # of nested brackets
    open_quote = ""  # the quote that is open
    for character in value:
        if open_quote:
            if character == open_quote:
                open_quote = ""
        elif character in "'\"":
            open_quote = character
        if not open_quote:
            depth += (character in "([{") - (character in ")]}")
        if character == "," and not open_quote and depth == 0:
            values.append("")
        else:
            values[-1] += character
    is_balanced = not open_quote and depth == 0
    return values if is_balanced else [value]
