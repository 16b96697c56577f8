"""Errors of one sentence: what a user did wrong, what failed in the machine, and advice."""

import contextlib
import errno
import shutil
import sys
import textwrap
import unicodedata
import warnings
from collections.abc import Iterable, Sequence

from nnlab.masking import mask_passwords
from nnlab.suggestions import distance, hint

# Nobody looks through more names: a sentence then lists the nearest.
MOST_NAMES_LISTED, NEAREST_NAMES_LISTED = 40, 12
MOST_NAMES_COMPARED = 2000  # of a header with any number of names
LONGEST_SENTENCE = 1200  # characters
# What torch says in a `RuntimeError`.
NO_MEMORY_MESSAGES = ("can't allocate memory", "Storage size calculation overflowed")
# Nobody's choice, unlike a path without permission, or a name that is too long.
_MACHINE_ERRORS = ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "ENOMEM", "EMFILE", "ENFILE", "ESTALE")


def visible(text: str) -> str:
    r"""The text with invisible characters written as escapes; lines and tabs stay.

    A terminal takes some for commands (a label may hold `ESC ]0;` and set its title); others turn the
    direction of writing, or have no width.

    >>> visible("a\x1b]0;b")
    'a\\x1b]0;b'
    """
    if text.isprintable():
        return text
    return "".join(c if _is_seen(c) else c.encode("unicode_escape").decode() for c in text)


def _is_seen(c: str) -> bool:
    return c.isprintable() or c in "\n\t" or unicodedata.category(c) == "Zs"


def one_line(text: str) -> str:
    """The same in one line, without its middle if that is long: it may quote a file of one line."""
    return shortened(" ".join(line.strip() for line in visible(text).split("\n")).strip(), LONGEST_SENTENCE)


def say(command: str, sentence: str) -> None:
    """One line on stderr: `nnlab train: epochs = 0: expected a whole number at least 1`."""
    complain(f"nnlab {command}: {mask_passwords(one_line(sentence))}")


def complain(line: str) -> None:
    """One line on stderr; on a terminal, which would break it within words, it is wrapped between them."""
    # Where stderr is full or gone, the exit code still says that something went wrong.
    with contextlib.suppress(OSError):
        if sys.stderr is not None and sys.stderr.isatty():
            width = shutil.get_terminal_size().columns
            line = textwrap.fill(
                line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
            )
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
    """A setting that a class does not have; also a `TypeError`, as Python raises for an unknown keyword."""


class MachineFault(RuntimeError):
    """The machine failed, not the user: no memory, a killed process. Commands print it and exit with 1."""


def is_machine_error(error: OSError) -> bool:
    """Whether the machine is at fault, and not the path that the user chose."""
    return errno.errorcode.get(error.errno, "") in _MACHINE_ERRORS


def describe_machine_fault(error: BaseException) -> str | None:
    """The machine's fault in one sentence; None if the fault is nnlab's."""
    name = type(error).__name__
    message = " ".join(str(error).split())
    if isinstance(error, BrokenPipeError):
        return "standard output was closed"
    is_memory = isinstance(error, MemoryError) or "OutOfMemory" in name
    if is_memory or any(words in message for words in NO_MEMORY_MESSAGES):
        return f"there is not enough memory: {message or name}"
    if isinstance(error, OSError):
        reason = error.strerror or message or name
        if error.filename is None:
            return reason
        return f"{reason}: '{error.filename}'"
    if isinstance(error, MachineFault):
        return message
    return None


class Advice(UserWarning):
    """Input that is legal but probably not meant: the reason and another way. Commands print it and continue.

    The sentence is made `visible`, as that of a `UserError`.
    """

    def __init__(self, sentence: str):
        super().__init__(one_line(str(sentence)))


class CheckedAdvice(Advice):
    """Advice on data that the rung `data` of `nnlab check` gives too, with what it measured."""


def advise(sentence: str, kind: type[Advice] = Advice) -> None:
    """Warn with an `Advice`, at the line of the user's that called nnlab: the last one before its own."""
    depth, level, frame = 0, 1, sys._getframe()
    while frame is not None:
        depth += 1
        if frame.f_globals.get("__name__", "").partition(".")[0] == "nnlab":
            level = depth + 1
        frame = frame.f_back
    warnings.warn(sentence, kind, stacklevel=level)


def nearest(name, names, of: str = "") -> str:
    """`"; did you mean 'adam'?"`, or the list of names if none is near.

    `of` is the key or group whose value it is, or "keys": words of other tools are known.
    """
    names = sorted(str(n) for n in names)
    if isinstance(name, str):
        meant = hint(shortened(name), names, of)
        if meant:
            return meant
    if len(names) <= MOST_NAMES_LISTED:
        return f"; allowed: {', '.join(map(shortened, names))}"
    listed = names
    if name:
        typed = shortened(str(name)).lower()
        compared = names[:MOST_NAMES_COMPARED]
        listed = sorted(compared, key=lambda n: distance(typed, shortened(n).lower()))
    first_names = ", ".join(map(shortened, listed[:NEAREST_NAMES_LISTED]))
    return f"; allowed: {first_names} and {len(names) - NEAREST_NAMES_LISTED:,} more"


def list_names(names: Sequence[str], max_shown: int = 3) -> str:
    """The first names, and how many more there are.

    >>> list_names(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    first = ", ".join(names[:max_shown])
    return f"{first} and {len(names) - max_shown:,} more" if len(names) > max_shown else first


def quote_names(names: Iterable[object], max_shown: int = 6) -> str:
    """The same of names that a user or a file gave.

    >>> quote_names(["age", "net income"])
    "'age', 'net income'"
    """
    return list_names([f"'{shortened(str(name))}'" for name in names], max_shown)


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
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} ... {text[-half:]} ({len(text):,} characters)"
