"""How numbers, and the summary of a run, read as text."""

from __future__ import annotations

import math
import os

LABELS = {
    "val_loss": "validation loss",
    "val_error": "validation error",
    "train_loss": "training loss",
    "train_error": "training error",
}


def summary_lines(summary: dict, task: str) -> list[str]:
    """The table at the end of a run: best epoch, best validation and test metrics, rows."""
    lines = []
    if "best_epoch" in summary:
        best = summary["best_epoch"]
        spread = f"  ({best['min']} to {best['max']})" if best["min"] < best["max"] else ""
        lines.append(f"  {'best epoch':<19}{best['median']:.0f}{spread}")
    every = summary["metrics"].items()
    shown = ("val_loss", "val_error") if "val_loss" in summary["metrics"] else ("train_loss", "train_error")
    lines += metric_lines({n: m for n, m in every if n.startswith("test_") or n in shown}, task)
    counts = summary["rows"]
    if counts["total"] > 1 or counts["diverged"]:
        lines += ["", *_notes(summary, counts)]
    return lines


def metric_lines(metrics: dict, task: str) -> list[str]:
    """A line for each metric of a summary: its mean, with the interval or the spread over folds."""
    return [
        f"  {LABELS.get(name, name.replace('_', ' ')):<19}{_with_interval(metric, _form(name, task))}"
        for name, metric in metrics.items()
    ]


def _notes(summary: dict, counts: dict) -> list[str]:
    parts = [f"{counts[s]} {s}" for s in ("finished", "stopped", "diverged") if counts[s]]
    left_out = " (left out of the means)" if 0 < counts["diverged"] < counts["total"] else ""
    word = "row" if counts["total"] == 1 else "rows"
    lines = [f"  {counts['total']} {word}: {', '.join(parts)}{left_out}"]
    n = max((metric["n"] for metric in summary["metrics"].values()), default=0)
    if n > 1:
        of = "splits" if summary["unit"] == "repeat" else "seeds"
        lines.append(f"  mean ± 95% interval over {n} {of}")
    elif any("fold_std" in metric for metric in summary["metrics"].values()):
        lines.append("  mean over the folds; for an interval, repeat: seeds=10 or split.repeats=10")
    return lines


def _with_interval(metric: dict, form) -> str:
    if metric["n"] > 1:
        return f"{form(metric['mean'])} ± {form(metric['high'] - metric['mean'])}"
    if "fold_std" in metric:
        return f"{form(metric['mean'])}  (sd over folds {form(metric['fold_std'])})"
    return form(metric["mean"])


def _form(name: str, task: str):
    share = task == "classification" and name.endswith(("error", "accuracy"))
    return percent if share else number


def percent(share: float) -> str:
    """0.0321 as `3.21%`."""
    return f"{100 * share:.2f}%" if math.isfinite(share) else str(share)


def number(x: float) -> str:
    """Four digits after the point, or the exponent where that would show too little or too much."""
    return f"{x:.4f}" if x == 0 or 1e-3 <= abs(x) < 1e4 else f"{x:.3g}"


def duration(seconds: float) -> str:
    """`0.41 s`, `1.4 s`, `12 s`, `3:20 min` or `1:05 h`."""
    if seconds < 59.5:
        return f"{seconds:.{2 if seconds < 0.995 else 1 if seconds < 9.95 else 0}f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d} h"


def on_terminal(stream) -> bool:
    """Whether the stream is a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def printable(line: str, stream) -> str:
    """The line in letters that the stream has."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        line = line.replace("±", "+-").encode(encoding, "replace").decode(encoding)
    return line
