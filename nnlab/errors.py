"""What a user did wrong, said in one sentence."""

import difflib


class UserError(ValueError):
    """Bad input: the value, where it came from, what is allowed. Commands print it and exit with 2."""


class Advice(UserWarning):
    """Legal, but likely not what was meant: the reason and another way. Commands print it and go on."""


def nearest(name, names) -> str:
    """`"; did you mean 'adam'?"`, or the list of names when none is near or `name` is no word."""
    names = sorted(str(n) for n in names)
    word = name if isinstance(name, str) else ""
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else f"; allowed: {', '.join(names)}"


def unknown(kind: str, name, names) -> UserError:
    """`unknown optimizer 'adm'; did you mean 'adam'?`"""
    return UserError(f"unknown {kind} '{name}'{nearest(name, names)}")
