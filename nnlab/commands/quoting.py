"""Quoting of text for Hydra's grammar: quotes, backslashes, infinity."""

import re

# Quoted text stays as it is: it is matched first, so that nothing in it is taken for a number.
_QUOTED_OR_DOTTED = re.compile(
    r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|(?<=[=,:(\[{ ])([+-]?)\.(inf|Inf|INF|nan|NaN|NAN)(?=[],:)} ]|$)"""
)


def to_hydra_spelling(line: str) -> str:
    """The word with `.inf` and `.nan`, as YAML writes them, in Hydra's spelling; quoted text stays.

    >>> to_hydra_spelling("optimizer.clip_norm=[.inf,-.INF,'.inf']")
    "optimizer.clip_norm=[inf,-inf,'.inf']"
    """

    def respell(match: re.Match) -> str:
        sign, name = match[1], match[2]
        return f"{sign}{name.lower()}" if name else match[0]

    return _QUOTED_OR_DOTTED.sub(respell, line)


def quote_text(text: str) -> str:
    """In quotes; as Hydra has it, a backslash is one, unless it stands before a quote."""

    def escape(match: re.Match) -> str:
        backslashes, quote_mark = match[1], match[2]
        return 2 * backslashes + "\\'" * bool(quote_mark)

    return "'" + re.sub(r"(\\*)('|$)", escape, text) + "'"
