"""The words of `nnlab data FILE target=left`: the file needs no key, and the keys of data=table no `data.`"""

from __future__ import annotations

from nnlab.catalogue import Catalogue
from nnlab.commands.quoting import quote_text
from nnlab.errors import UserError, nearest, shortened

SYNONYMS = {"file": "path", "label": "target", "columns": "types"}


def data_overrides(words: list[str]) -> list[str]:
    """The words as overrides of `nnlab train`. Raises `UserError` for a second file, or an unknown key.

    >>> data_overrides(["my data.csv", "target=left", "types.zip=category", "data.drop=[id]"])
    ["data.path='my data.csv'", 'data.target=left', 'data.types.zip=category', 'data.drop=[id]']
    """
    keys = {key.partition(".")[2] for key in Catalogue("data").keys("data")}
    overrides, files = [], []
    for word in words:
        key, equals, value = word.partition("=")
        head, dot, rest = key.partition(".")
        head = SYNONYMS.get(head, head) if head not in keys else head
        if not equals:
            files.append(word)
        elif head in keys:
            overrides.append(f"data.{head}{dot}{rest}={value}")
        elif head == "data":
            overrides.append(word)
        else:
            raise UserError(f"nnlab data has no key '{shortened(key)}'{nearest(key, keys, 'data')}")
    for word in files[1:]:
        raise UserError(
            f"'{shortened(word)}': nnlab data takes one file; a path with spaces needs quotes, several files "
            f"are a list, path=[a.csv,b.csv]"
        )
    return [f"data.path={quote_text(word)}" for word in files] + overrides
