"""What a user did wrong, said in one sentence."""

import contextlib
import errno
import sys
import unicodedata

from nnlab.masking import masked_urls
from nnlab.suggestions import distance, hint

WALL, NAMED = 40, 12  # of more names than a reader looks through, a sentence lists the nearest
COMPARED = 2000  # of names that a sentence may list: a header has any number


def visible(text: str) -> str:
    r"""The text without characters that act instead of being seen: what a terminal takes for a command (a
    label may hold `ESC ]0;` and set its title), what turns the direction of writing, what has no width. They
    are written as Python writes them. Lines and tabs stay.

    >>> visible("a\x1b]0;b")
    'a\\x1b]0;b'
    """
    if text.isprintable():
        return text
    return "".join(c if _is_seen(c) else c.encode("unicode_escape").decode() for c in text)


def _is_seen(c: str) -> bool:
    return c.isprintable() or c in "\n\t" or unicodedata.category(c) == "Zs"


def one_line(text: str) -> str:
    """The same in one line."""
    return " ".join(line.strip() for line in visible(text).split("\n")).strip()


def say(command: str, sentence: str) -> None:
    """One line on stderr: `nnlab train: there is no file x.csv`."""
    complain(f"nnlab {command}: {masked_urls(one_line(sentence))}")


def complain(line: str) -> None:
    """One line on stderr. Where that is full or gone, the exit code still says what it has to say."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr)


class UserError(ValueError):
    """Bad input: the value, where it came from, what is allowed. Commands print it and exit with 2.

    The sentence may quote what a file holds: it is made `visible`, and one line.

    >>> import nnlab
    >>> nnlab.Experiment(optimizer="adma")
    Traceback (most recent call last):
    nnlab.errors.UserError: unknown optimizer 'adma'; did you mean 'adam'?
    """

    def __init__(self, sentence: str):
        super().__init__(one_line(str(sentence)))


class UnknownSetting(UserError, TypeError):
    """A setting that a class does not have; in Python a `TypeError`, as for any unknown keyword."""


NO_MEMORY = ("can't allocate memory", "Storage size calculation overflowed")  # torch, in a `RuntimeError`


class MachineFault(RuntimeError):
    """The machine failed, not the user: no memory, a killed process. Commands print it and exit with 1."""


# Of a file that cannot be written: it is nobody's choice. No permission, a name too long is the user's.
_MACHINES = ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "ENOMEM", "EMFILE", "ENFILE", "ESTALE")


def is_machines(error: OSError) -> bool:
    """Whether the machine is at fault, and not the path that the user chose."""
    return errno.errorcode.get(error.errno, "") in _MACHINES


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
    """Legal, but likely not what was meant: the reason and another way. Commands print it and go on.

    The sentence is made `visible`, as that of a `UserError`.
    """

    def __init__(self, sentence: str):
        super().__init__(one_line(str(sentence)))


def nearest(name, names, of: str = "") -> str:
    """`"; did you mean 'adam'?"`, or the list of names when none is near or `name` is no word.

    `of` is the key or group of which it is a value, or "keys": words of other tools are known.
    """
    names = sorted(str(n) for n in names)
    said = hint(shortened(name), names, of) if isinstance(name, str) else ""
    if said:
        return said
    if len(names) <= WALL:
        return f"; allowed: {', '.join(map(shortened, names))}"
    typed, compared = shortened(str(name)).lower(), names[:COMPARED]
    some = sorted(compared, key=lambda n: distance(typed, shortened(n).lower())) if name else names
    return f"; allowed: {', '.join(map(shortened, some[:NAMED]))} and {len(names) - NAMED:,} more"


def unknown(kind: str, name, names) -> UserError:
    """`unknown optimizer 'adm'; did you mean 'adam'?`"""
    if name is None:
        return UserError(f"{kind} has no name that says which one it is{nearest('', names, kind)}")
    return UserError(f"unknown {kind} '{name}'{nearest(name, names, kind)}")


def shortened(text: str, most: int = 60) -> str:
    """The text, or its beginning and end if it has more than `most` characters: a cell may be a whole file.

    >>> shortened("a" * 1000, 8)
    'aaaa ... aaaa (1,000 characters)'
    """
    half = most // 2
    return text if len(text) <= most else f"{text[:half]} ... {text[-half:]} ({len(text):,} characters)"
