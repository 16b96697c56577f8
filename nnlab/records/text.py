"""Formats numbers, metrics, durations and command lines as text."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Iterable

from nnlab.errors import visible

SMALL_NUMBER, LARGE_NUMBER, HUGE_NUMBER = 1e-3, 100, 1e6  # where the number format changes
HUGE_FIXED_NUMBER = 1e9  # ... of numbers that stand in one line with smaller ones

SECONDS_DECIMALS = {0.995: 2, 9.95: 1, 59.5: 0}  # upper limit in seconds -> decimals

METRIC_LABELS = {  # of others, their names in words
    "f1": "F1", "f1_macro": "macro F1", "mcc": "Matthews correlation", "roc_auc": "ROC AUC",
    "brier_score": "Brier score", "top5_accuracy": "top-5 accuracy", "rmse": "RMSE", "mae": "MAE", "r2": "R2",
    "mape": "MAPE", "weight_norm": "norm of weights", "zero_weights": "weights at 0",
}  # fmt: skip
SHORT_LABELS = {  # of ten characters at most, for a column; of others, the label itself
    "balanced_accuracy": "bal. acc.", "mcc": "Matthews", "average_precision": "avg. prec.",
    "brier_score": "Brier", "calibration_error": "calibr.", "top5_accuracy": "top-5",
    "median_absolute_error": "median AE",
}  # fmt: skip
SET_LABELS = {"train": "training", "val": "validation", "test": "test"}


def error_name(task: str) -> str:
    """The name of a task's error: the misclassification rate is "error", in a regression it is RMSE."""
    return "RMSE" if task == "regression" else "error"


def metric_words(metric: str) -> str:
    """`ROC AUC` for roc_auc, whatever it is measured on."""
    return METRIC_LABELS.get(metric, metric.replace("_", " "))


def metric_label(name: str, task: str) -> str:
    """The displayed name of a metric: `validation RMSE` for val_error of a regression."""
    set_name, _, metric = name.partition("_")
    if set_name not in SET_LABELS:
        return metric_words(name)
    if metric == "error" and set_name != "test":
        return f"{SET_LABELS[set_name]} {error_name(task)}"
    return f"{SET_LABELS[set_name]} {metric_words(metric)}"


def loss_description(loss: str, task: str, normalization: str) -> str:
    """The loss and its unit: `squared error of the standardised target`, `cross entropy`."""
    words = loss.replace("_", " ")
    return f"{words} of the {target_description(normalization)}" if task == "regression" else words


def target_description(normalization: str) -> str:
    """`standardised target`, for data.target_normalization=standard."""
    known = {"standard": "standardised target", "none": "target"}
    return known.get(normalization, f"target normalised by {normalization}")


def short_label(recorded: str) -> str:
    """The heading of a metric's column: `bal. acc.` for val_balanced_accuracy."""
    metric = recorded.partition("_")[2]
    return SHORT_LABELS.get(metric) or metric_words(metric)


def metric_formatter(name: str, task: str):
    """The function that formats a metric: as a percentage if it is a share."""
    if name == "parameters":
        return "{:,.0f}".format
    return format_percent if is_percentage(name, task) else format_number


def is_percentage(name: str, task: str) -> bool:
    """Whether a metric is a share, which is written as a percentage."""
    name = name.removesuffix("_uncalibrated")
    is_share = task == "classification" and name.endswith(("error", "accuracy", "f1", "f1_macro"))
    return is_share or name.endswith("mape") or name in ("zero_weights", "small_weights")


def format_percent(share: float) -> str:
    """0.0321 as `3.21%`."""
    return f"{100 * share:.2f}%" if math.isfinite(share) else str(share)


def format_number(x: float) -> str:
    """Four decimals, as `0.4172`; from 100 on four digits or whole thousands, as `16,623`.

    With an exponent below 0.001 and from a million on.
    """
    if LARGE_NUMBER <= abs(x) < HUGE_NUMBER:
        return _fixed(x, abs(x))
    if abs(x) >= HUGE_NUMBER and math.isfinite(x):
        return f"{x:.3g}"
    return f"{x:.3g}" if 0 < abs(x) < SMALL_NUMBER else f"{x:.4f}"


def format_alike(*numbers: float) -> list[str]:
    """Numbers of one line, all with the decimals, or the exponent, of the largest: `22,700` beside
    `1,770,000`."""
    largest = max((abs(x) for x in numbers if math.isfinite(x)), default=0.0)
    if LARGE_NUMBER <= largest < HUGE_FIXED_NUMBER:
        return [_with_decimals_of(x, largest) for x in numbers]
    if largest >= HUGE_FIXED_NUMBER:
        return [f"{x:.2e}" if x else "0" for x in numbers]
    return [format_number(x) for x in numbers]


def _fixed(x: float, largest: float) -> str:
    """With the decimals that give `largest` (from LARGE_NUMBER on) four digits."""
    return f"{x:,.1f}" if round(largest, 1) < 1000 else f"{x:,.0f}"


def plus_minus(value: float, half: float | None, formatter=format_number) -> str:
    """`16,623 ± 6,458`: a value and half the width of its interval, in the same format."""
    if half is None:
        return formatter(value)
    largest = max((abs(x) for x in (value, half) if math.isfinite(x)), default=0.0)
    texts = formatter(value), formatter(half)
    if formatter is format_number and largest >= HUGE_NUMBER:
        texts = _scientific(value, 2), _scientific(half, 1)
    elif formatter is format_number and largest >= LARGE_NUMBER:
        texts = _with_decimals_of(value, largest), _with_decimals_of(half, largest)
    return " ± ".join(texts)


def _scientific(x: float, digits: int) -> str:
    return f"{x:.{digits}e}" if abs(x) >= LARGE_NUMBER else format_number(x)


def _with_decimals_of(x: float, largest: float) -> str:
    """x with the decimals of `largest`, but never rounded to 0."""
    return f"{x:.1g}" if 0 < abs(x) < 1 else _fixed(x, largest)


def format_duration(seconds: float) -> str:
    """`0.41 s`, `1.4 s`, `12 s`, `3:20 min` or `1:05 h`."""
    for below, decimals in SECONDS_DECIMALS.items():
        if seconds < below:
            return f"{seconds:.{decimals}f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d} min"
    return f"{minutes // 60}:{minutes % 60:02d} h"


def shell_word(word: str) -> str:
    """Quote a word for the shell, in the way that is easier to read.

    >>> print(shell_word("data.target='Age (years)'"))
    "data.target='Age (years)'"
    """
    if re.fullmatch(r"[\w@%+=:,./-]+", word):  # letters of any alphabet
        return word
    # In double quotes a shell still interprets some characters.
    use_double_quotes = "'" in word and word.isprintable() and not any(sign in word for sign in '"$`\\!')
    return f'"{word}"' if use_double_quotes else shlex.quote(word)


def shell_line(words: Iterable[str]) -> str:
    """Join words to a command line, quoted for the shell."""
    return " ".join(map(shell_word, words))


def is_terminal(stream) -> bool:
    """Whether the stream is a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def make_printable(line: str, stream) -> str:
    """The line without control characters (it may quote a file), and encodable by the stream."""
    return make_encodable(visible(line), stream)


def make_encodable(line: str, stream) -> str:
    """The line with characters replaced that the stream cannot encode."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        line = line.replace("±", "+-").replace("×", "x").encode(encoding, "replace").decode(encoding)
    return line
