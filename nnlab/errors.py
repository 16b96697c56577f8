"""What a user did wrong, said in one sentence."""

import difflib


class UserError(ValueError):
    """Bad input: the value, where it came from, what is allowed. Commands print it and exit with 2."""


class UnknownSetting(UserError, TypeError):
    """A setting that a class does not have; in Python a `TypeError`, as for any unknown keyword."""


NO_MEMORY = ("can't allocate memory", "Storage size calculation overflowed")  # torch, in a `RuntimeError`


class MachineFault(RuntimeError):
    """The machine failed, not the user: no memory, a killed process. Commands print it and exit with 1."""


def fault(error: BaseException) -> str | None:
    """What the machine's fault is, in one sentence; None if `error` is none of the machine's but nnlab's."""
    name = type(error).__name__
    said = " ".join(str(error).split())
    if isinstance(error, BrokenPipeError):
        return "standard output was closed"
    if isinstance(error, MemoryError) or "OutOfMemory" in name or any(w in said for w in NO_MEMORY):
        return f"there is not enough memory: {said or name}"
    if isinstance(error, OSError):
        reason = error.strerror or said or name
        return f"{reason}: '{error.filename}'" if error.filename is not None else reason
    return said if isinstance(error, MachineFault) else None


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
