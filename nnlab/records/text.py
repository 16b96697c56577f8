"""How numbers, metrics, durations and command lines read as text."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Iterable

from nnlab.errors import visible

SMALL_NUMBER, LARGE_NUMBER, HUGE_NUMBER = 1e-3, 100, 1e6  # from where on a number is written in another way

SECONDS_DECIMALS = {0.995: 2, 9.95: 1, 59.5: 0}  # below so many seconds, so many decimals

METRIC_LABELS = {
    "val_loss": "validation loss",
    "val_error": "validation error",
    "train_loss": "training loss",
    "train_error": "training error",
    "test_rmse": "test RMSE",
    "test_mae": "test MAE",
    "test_r2": "test R2",
}


def error_name(task: str) -> str:
    """What an error is: the share of wrong classes, or the root of the mean squared error."""
    return "RMSE" if task == "regression" else "error"


def label(name: str, task: str) -> str:
    """A metric's name as people read it: `validation RMSE` for val_error of a regression."""
    if name not in METRIC_LABELS:
        return name.replace("_", " ")
    return METRIC_LABELS[name].replace("error", error_name(task))


def loss_in_words(loss: str, task: str, normalization: str) -> str:
    """What the loss is of, and so its unit: `squared error of the standardised target`; `cross entropy`."""
    words = loss.replace("_", " ")
    return f"{words} of the {target_in_words(normalization)}" if task == "regression" else words


def target_in_words(normalization: str) -> str:
    """`standardised target`, for data.target_normalization=standard."""
    known = {"standard": "standardised target", "none": "target"}
    return known.get(normalization, f"target normalised by {normalization}")


def form(name: str, task: str):
    """How a metric is written: a percentage, where it is a share."""
    if name == "parameters":
        return "{:,.0f}".format
    share = task == "classification" and name.endswith(("error", "accuracy"))
    return percent if share else number


def percent(share: float) -> str:
    """0.0321 as `3.21%`."""
    return f"{100 * share:.2f}%" if math.isfinite(share) else str(share)


def number(x: float) -> str:
    """Four digits after the point; of large numbers four digits in all and whole thousands, `16,623`; and the
    exponent where that would show too little or too much."""
    if LARGE_NUMBER <= abs(x) < HUGE_NUMBER:
        return _fixed(x, abs(x))
    if abs(x) >= HUGE_NUMBER and math.isfinite(x):
        return f"{x:.3g}"
    return f"{x:.3g}" if 0 < abs(x) < SMALL_NUMBER else f"{x:.4f}"


def _fixed(x: float, largest: float) -> str:
    """With as many decimals as leave four digits to a number as large as `largest`, from LARGE_NUMBER on."""
    return f"{x:,.1f}" if round(largest, 1) < 1000 else f"{x:,.0f}"


def spread(value: float, half: float | None, written=number) -> str:
    """`16,623 ± 6,458`: a value and half the width of its interval, in one format."""
    if half is None:
        return written(value)
    largest = max((abs(x) for x in (value, half) if math.isfinite(x)), default=0.0)
    texts = written(value), written(half)
    if written is number and largest >= HUGE_NUMBER:
        texts = _scientific(value, 2), _scientific(half, 1)
    elif written is number and largest >= LARGE_NUMBER:
        texts = _beside(value, largest), _beside(half, largest)
    return " ± ".join(texts)


def _scientific(x: float, digits: int) -> str:
    return f"{x:.{digits}e}" if abs(x) >= LARGE_NUMBER else number(x)


def _beside(x: float, largest: float) -> str:
    """With the decimals of the larger number, but never rounded to 0."""
    return f"{x:.1g}" if 0 < abs(x) < 1 else _fixed(x, largest)


def duration(seconds: float) -> str:
    """`0.41 s`, `1.4 s`, `12 s`, `3:20 min` or `1:05 h`."""
    for below, decimals in SECONDS_DECIMALS.items():
        if seconds < below:
            return f"{seconds:.{decimals}f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d} min"
    return f"{minutes // 60}:{minutes % 60:02d} h"


def shell_word(word: str) -> str:
    """The word as a shell reads it; of two ways the one that is easier to read.

    >>> print(shell_word("data.target='Age (years)'"))
    "data.target='Age (years)'"
    """
    if re.fullmatch(r"[\w@%+=:,./-]+", word):  # letters of any alphabet
        return word
    # In double quotes a shell still acts on some signs.
    in_double = "'" in word and word.isprintable() and not any(sign in word for sign in '"$`\\!')
    return f'"{word}"' if in_double else shlex.quote(word)


def shell_line(words: Iterable[str]) -> str:
    """The command line of these words."""
    return " ".join(map(shell_word, words))


def on_terminal(stream) -> bool:
    """Whether the stream is a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def printable(line: str, stream) -> str:
    """The line in letters that the stream has, and that are seen: it may quote a file."""
    return encodable(visible(line), stream)


def encodable(line: str, stream) -> str:
    """The line in letters that the stream has."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        line = line.replace("±", "+-").encode(encoding, "replace").decode(encoding)
    return line
