"""What PyYAML says of a file that is not YAML, as one sentence with the line."""

from __future__ import annotations

import re
from pathlib import Path

MOST_CHARACTERS = 200
CLOSED = "perhaps a bracket is not closed"
INDENTED = "a key is expected; does its indentation fit the lines above?"
PLAIN_WORDS = (  # what libyaml says -> what it means for who wrote the file
    (
        r"could not determine a constructor for the tag '(tag:yaml.org,2002:|!)?(.*)'",
        r"it has a type, '!\2', and only plain values are read",
    ),
    (
        r"found character.* that cannot start any token",
        "a tab, or a character such as @ or %: indent by spaces, and put a text with it in quotes",
    ),
    (
        r"found (unknown escape character|invalid.*escape).*",
        "a backslash in double quotes; single quotes keep it",
    ),
    (r"found undefined alias.*", "* refers to a name that nothing above has; a text with it needs quotes"),
    (
        r"mapping values are not allowed.*",
        "a second colon, or a wrong indentation; a text with a colon needs quotes",
    ),
    (r"(did not|could not) find expected ':'", "a key without a colon"),
    (r"did not find expected key", INDENTED),
    (r"did not find expected '-' indicator", "'-' is expected; does its indentation fit the lines above?"),
    (r"did not find expected (',' or '[]}]')", rf"expected \1, {CLOSED}"),
    (r"found unexpected end of (stream|quoted scalar)", "a quote is not closed"),
    (r"expected a scalar node, but found .*", "a value is expected, and no list or keys"),
    (r"found unhashable key", "a key that is a list, or has keys"),
)


def yaml_sentence(path: Path, error: Exception) -> str:
    """`'net.yaml', line 3, is not YAML that nnlab reads: a quote is not closed`"""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = f"'{path}', line {mark.line + 1}," if mark else f"'{path}'"
    problem = " ".join((getattr(error, "problem", None) or str(error)).split())[:MOST_CHARACTERS]
    for pattern, meaning in PLAIN_WORDS:
        problem = re.sub(f"^{pattern}$", meaning, problem)
    begun = getattr(error, "context_mark", None)
    if mark and begun and begun.line < mark.line:
        problem += f"; what it belongs to begins in line {begun.line + 1}"
    return f"{where} is not YAML that nnlab reads: {problem}"
