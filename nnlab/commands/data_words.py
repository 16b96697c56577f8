"""The words of `nnlab data FILE target=left`: the file needs no key, and the keys of data=table no `data.`"""

from __future__ import annotations

from nnlab.catalogue import Catalogue
from nnlab.commands.quoting import quote_text
from nnlab.errors import UserError, nearest, shortened
from nnlab.records.text import shell_word
from nnlab.suggestions import dataset_for_file

KEY_SYNONYMS = {"file": "path", "label": "target", "columns": "types"}


def data_overrides(words: list[str]) -> list[str]:
    """The words as overrides of `nnlab train`. Raises `UserError` for a second file, or an unknown key.

    >>> data_overrides(["my data.csv", "target=left", "types.zip=category", "data.drop=[id]"])
    ["data.path='my data.csv'", 'data.target=left', 'data.types.zip=category', 'data.drop=[id]']
    """
    keys = {key.partition(".")[2] for key in Catalogue("data").keys("data")}
    overrides, files = [], {}  # of files the word -> the value of data.path
    for word in words:
        key, equals, value = word.partition("=")
        head, dot, rest = key.partition(".")
        head = KEY_SYNONYMS.get(head, head) if head not in keys else head
        if not equals:
            files[word] = quote_text(word)
        elif key == "data" and dataset_for_file(value):
            raise UserError(f"{shortened(word)}: a file needs no key here, nnlab data {shell_word(value)}")
        elif head == "path" or key == "data.path":
            files[word] = value
        elif head in keys:
            overrides.append(f"data.{head}{dot}{rest}={value}")
        elif head == "data":
            overrides.append(word)
        else:
            raise UserError(f"nnlab data has no key '{shortened(key)}'{nearest(key, keys, 'data')}")
    if len(files) > 1:
        first, second = map(shortened, [*files][:2])
        raise UserError(
            f"'{first}' and '{second}': nnlab data takes one file; a path with spaces needs quotes, several "
            f"files are a list, path=[a.csv,b.csv]"
        )
    return [f"data.path={value}" for value in files.values()] + overrides
