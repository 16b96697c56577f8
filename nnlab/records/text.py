"""How numbers, and the summary of a run, read as text."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Iterable

from nnlab.errors import visible

SMALL, LARGE, HUGE = 1e-3, 100, 1e6  # from where on a number is written in another way

LABELS = {
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
    words = LABELS.get(name, name.replace("_", " "))
    return words.replace("error", error_name(task)) if name in LABELS else words


def loss_in_words(loss: str, task: str, normalization: str) -> str:
    """What the loss is of, and so its unit: `squared error of the standardised target`; `cross entropy`."""
    of = f" of the {target_in_words(normalization)}" if task == "regression" else ""
    return loss.replace("_", " ") + of


def target_in_words(normalization: str) -> str:
    """`standardised target`, for data.target_normalization=standard."""
    known = {"standard": "standardised target", "none": "target"}
    return known.get(normalization, f"target normalised by {normalization}")


def summary_lines(summary: dict, task: str) -> list[str]:
    """The table at the end of a run: best epoch, best validation and test metrics, what they are, rows."""
    lines = []
    if "best_epoch" in summary:
        lines.append(f"  {'best epoch':<19}{_spread(summary['best_epoch'])}")
    every, undefined = summary["metrics"].items(), _undefined(summary)
    shown = ("val_loss", "val_error") if "val_loss" in summary["metrics"] else ("train_loss", "train_error")
    lines += metric_lines({n: m for n, m in every if n in shown}, task)
    lines += refit_lines(summary)
    lines += metric_lines({n: m for n, m in every if n.startswith("test_")}, task, undefined)
    notes = _notes(summary, task)
    return [*lines, "", *notes] if notes else lines


def refit_lines(summary: dict) -> list[str]:
    """How often it was trained, on what, and whose the numbers are; nothing without a refit."""
    if "refit" not in summary:
        return []
    refit = summary["refit"]
    first, second = _plainly(refit["first_examples"]), _plainly(refit["examples"])
    lost, rows = refit["diverged"], refit["rows"]
    again = f"again on {second}, validation included"
    if lost == rows:
        said = [
            f"first on {first} examples: all numbers here and the weights",
            f"{again}, {'and diverged' if rows == 1 else 'and all rows diverged'}",
        ]
    else:
        said = [
            f"first on {first} examples: the numbers above",
            f"{again}, for {_epochs(refit['epochs'])}:",
            "the weights, and the test numbers below" + "; but" * (lost > 0),
        ]
        said += [f"{lost} of {rows} rows diverged then: theirs are the first's"] if lost else []
    return [f"  {'' if i else 'trained twice':<19}{text}" for i, text in enumerate(said)]


def _spread(values: dict) -> str:
    several = f"  ({values['min']} to {values['max']})" if values["min"] < values["max"] else ""
    return f"{values['median']:.0f}{several}"


def _plainly(values: dict) -> str:
    low, high = values["min"], values["max"]
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _epochs(values: dict) -> str:
    return f"{_plainly(values)} epoch{'s' * (values['max'] > 1)}"


def metric_lines(metrics: dict, task: str, undefined: dict[str, str] | None = None) -> list[str]:
    """A line for each metric of a summary: its mean, with the interval or the spread over folds; and for each
    that is `undefined`, name -> where and why."""
    undefined = undefined or {}
    return [
        f"  {label(n, task):<19}{_with_interval(metrics.get(n), form(n, task))}{undefined.get(n, '')}"
        for n in dict.fromkeys([*metrics, *undefined])
    ]


def _undefined(summary: dict) -> dict[str, str]:
    """Metric -> in how many rows it is undefined, and why."""
    undefined, rows, words = summary.get("undefined", {}), summary["rows"], {}
    kept = rows["total"] - rows["diverged"]
    for name, count in undefined.items():
        why = ": all test targets are equal" if name == "test_r2" and "test_rmse" not in undefined else ""
        words[name] = f"undefined{why}" if count == kept else f"  (undefined in {count} of {kept} rows{why})"
    return {name: said for name, said in words.items() if name.startswith("test_")}


def _notes(summary: dict, task: str) -> list[str]:
    counts, lines = summary["rows"], []
    if counts["total"] > 1 or counts["diverged"]:
        parts = [f"{counts[s]} {s}" for s in ("finished", "stopped", "diverged") if counts[s]]
        left_out = " (left out of the means)" if 0 < counts["diverged"] < counts["total"] else ""
        word = "row" if counts["total"] == 1 else "rows"
        lines.append(f"  {counts['total']} {word}: {', '.join(parts)}{left_out}")
    for why, count in summary.get("stopped_by", {}).items():
        lines.append(f"  {f'{count} ' * (counts['total'] > 1)}stopped by {why}")
    lines += interval_lines(summary)
    if task == "regression" and summary["metrics"] and "loss_is" in summary:
        lines.append(f"  loss: {summary['loss_is']}; RMSE, MAE: in its own unit")
    if "test_r2" in summary["metrics"] and summary.get("undefined_outputs"):
        outputs = summary["undefined_outputs"]
        which = ", ".join(map(str, outputs[:5])) + ", ..." * (len(outputs) > 5)
        lines.append(f"  test R2 without output{'s' * (len(outputs) > 1)} {which}: equal test targets")
    return lines + _absent_classes(summary)


def interval_lines(summary: dict) -> list[str]:
    """What the intervals of a summary are over, and what they do not speak of."""
    metrics, intervals = summary["metrics"], summary.get("intervals", {})
    trained, validated, tested = (
        max((m["n"] for name, m in metrics.items() if name.startswith(of)), default=0)
        for of in ("train_", "val_", "test_")
    )
    units = tested or validated or trained
    if units < 2:
        folds = any("fold_std" in metric for metric in metrics.values())
        return (
            ["  mean over the folds; for an interval, repeat: seeds=10 or split.repeats=10"] if folds else []
        )
    if summary["unit"] == "seed":
        scope = " on one split: it does not cover new data" if intervals else ""
        return [f"  mean ± 95% interval over {units} seeds{scope}"]
    methods = {of: each["method"] for of, each in intervals.items()}
    corrected = ", corrected for overlap (Nadeau-Bengio)" if "corrected" in methods.values() else ""
    lines = [f"  mean ± 95% interval over {units} splits{corrected}"]
    if validated > units:
        lines.append(f"  validation: over all their {validated} folds")
    if methods.get("test") == "student":
        lines.append("  test: one test set, the same in every split: it does not cover new data")
    return lines


def _absent_classes(summary: dict) -> list[str]:
    """The classes without a test example, in any row or in some: their recall is undefined there."""
    found, rows = summary.get("classification", {}), summary["rows"]
    each = [*zip(found.get("classes", ()), found.get("recall_rows", ()), strict=False)]
    kept = rows["total"] - rows["diverged"]
    never, sometimes = [c for c, n in each if n == 0], [c for c, n in each if 0 < n < kept]
    return [
        *([f"  no test example, so no recall: {_some(never)}"] if never else []),
        *([f"  no test example in some rows, so no recall there: {_some(sometimes)}"] if sometimes else []),
    ]


def _some(classes: list) -> str:
    more = f" and {len(classes) - 3} more" if len(classes) > 3 else ""
    return ", ".join(f"'{c}'" for c in classes[:3]) + more


def _with_interval(metric: dict | None, form) -> str:
    if metric is None:
        return ""
    if metric["n"] > 1 and metric["low"] is not None:
        return spread(metric["mean"], metric["high"] - metric["mean"], form)
    if "fold_std" in metric:
        return f"{form(metric['mean'])}  (sd over folds {form(metric['fold_std'])})"
    return form(metric["mean"])


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
    if abs(x) < LARGE or not math.isfinite(x):
        return f"{x:.4f}" if x == 0 or abs(x) >= SMALL else f"{x:.3g}"
    return _fixed(x, abs(x)) if abs(x) < HUGE else f"{x:.3g}"


def _fixed(x: float, largest: float) -> str:
    """With as many decimals as leave four digits to a number as large as `largest`, from LARGE on."""
    return f"{x:,.1f}" if round(largest, 1) < 1000 else f"{x:,.0f}"


def spread(value: float, half: float | None, written=number) -> str:
    """`16,623 ± 6,458`: a value and half the width of its interval, in one format."""
    if half is None:
        return written(value)
    largest = max((abs(x) for x in (value, half) if math.isfinite(x)), default=0.0)
    if written is number and largest >= HUGE:
        said = f"{value:.2e}" if abs(value) >= LARGE else number(value)
        return f"{said} ± {f'{half:.1e}' if half >= LARGE else number(half)}"
    if written is number and largest >= LARGE:
        each = [_fixed(x, largest) if abs(x) >= 1 or x == 0 else f"{x:.1g}" for x in (value, half)]
        return " ± ".join(each)
    return f"{written(value)} ± {written(half)}"


def duration(seconds: float) -> str:
    """`0.41 s`, `1.4 s`, `12 s`, `3:20 min` or `1:05 h`."""
    if seconds < 59.5:
        return f"{seconds:.{2 if seconds < 0.995 else 1 if seconds < 9.95 else 0}f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d} h"


def shell_word(word: str) -> str:
    """The word as a shell reads it; of two ways the one that is easier to read.

    >>> print(shell_word("data.target='Age (years)'"))
    "data.target='Age (years)'"
    """
    if re.fullmatch(r"[\w@%+=:,./-]+", word):  # letters of any alphabet
        return word
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
