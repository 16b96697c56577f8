"""The summary of a run as lines of text: its metrics, what they are means over, and what is missing."""

from __future__ import annotations

from nnlab.records.text import form, label, spread

CLASSES_NAMED = 3
OUTPUTS_NAMED = 5


def summary_lines(summary: dict, task: str) -> list[str]:
    """The table at the end of a run: best epoch, best validation and test metrics, what they are, rows."""
    lines = []
    if "best_epoch" in summary:
        lines.append(f"  {'best epoch':<19}{_spread(summary['best_epoch'])}")
    metrics = summary["metrics"]
    of_best = ("train_loss", "train_error")
    if "val_loss" in metrics:
        of_best = ("val_loss", "val_error")
    lines += metric_lines({name: m for name, m in metrics.items() if name in of_best}, task)
    lines += refit_lines(summary)
    tests = {name: m for name, m in metrics.items() if name.startswith("test_")}
    lines += metric_lines(tests, task, _undefined(summary))
    notes = _notes(summary, task)
    return [*lines, "", *notes] if notes else lines


def refit_lines(summary: dict) -> list[str]:
    """How often it was trained, on what, and which training the numbers are of; nothing without a refit."""
    if "refit" not in summary:
        return []
    refit = summary["refit"]
    first, second = _plainly(refit["first_examples"]), _plainly(refit["examples"])
    diverged, rows = refit["diverged"], refit["rows"]
    again = f"again on {second}, validation included"
    if diverged == rows:
        which = "and diverged" if rows == 1 else "and all rows diverged"
        texts = [f"first on {first} examples: all numbers here and the weights", f"{again}, {which}"]
    else:
        texts = [f"first on {first} examples: the numbers above", f"{again}, for {_epochs(refit['epochs'])}:"]
        texts.append("the weights, and the test numbers below")
        if diverged:
            texts[-1] += "; but"
            texts.append(f"{diverged} of {rows} rows diverged then: theirs are the first's")
    return [f"  {'trained twice':<19}{texts[0]}", *(f"{'':<21}{text}" for text in texts[1:])]


def _spread(values: dict) -> str:
    median, low, high = values["median"], values["min"], values["max"]
    return f"{median:.0f}  ({low} to {high})" if low < high else f"{median:.0f}"


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
    undefined = summary.get("undefined", {})
    kept = summary["rows"]["total"] - summary["rows"]["diverged"]
    words = {}
    for name, count in undefined.items():
        if not name.startswith("test_"):
            continue
        why = ""
        if name == "test_r2" and "test_rmse" not in undefined:  # the outputs are finite
            why = ": all test targets are equal"
        words[name] = f"undefined{why}" if count == kept else f"  (undefined in {count} of {kept} rows{why})"
    return words


def _notes(summary: dict, task: str) -> list[str]:
    lines = [*_row_lines(summary), *interval_lines(summary)]
    if task == "regression" and summary["metrics"] and "loss_is" in summary:
        lines.append(f"  loss: {summary['loss_is']}; RMSE, MAE: in its own unit")
    if "test_r2" in summary["metrics"] and summary.get("undefined_outputs"):
        outputs = summary["undefined_outputs"]
        which = ", ".join(map(str, outputs[:OUTPUTS_NAMED])) + ", ..." * (len(outputs) > OUTPUTS_NAMED)
        lines.append(f"  test R2 without output{'s' * (len(outputs) > 1)} {which}: equal test targets")
    return lines + _absent_classes(summary)


def _row_lines(summary: dict) -> list[str]:
    """What became of the rows; nothing of a single one that trained to its end."""
    counts, lines = summary["rows"], []
    total, diverged = counts["total"], counts["diverged"]
    if total > 1 or diverged:
        parts = [
            f"{counts[status]} {status}" for status in ("finished", "stopped", "diverged") if counts[status]
        ]
        line = f"  {total} row{'s' * (total > 1)}: {', '.join(parts)}"
        if 0 < diverged < total:
            line += " (left out of the means)"
        lines.append(line)
    for why, count in summary.get("stopped_by", {}).items():
        lines.append(f"  {count} stopped by {why}" if total > 1 else f"  stopped by {why}")
    return lines


def interval_lines(summary: dict) -> list[str]:
    """What the intervals of a summary are over, and what they do not cover."""
    metrics, intervals = summary["metrics"], summary.get("intervals", {})
    counts = {}
    for of in ("train_", "val_", "test_"):
        counts[of] = max((m["n"] for name, m in metrics.items() if name.startswith(of)), default=0)
    validated = counts["val_"]
    units = counts["test_"] or validated or counts["train_"]
    if units < 2:
        if any("fold_std" in metric for metric in metrics.values()):
            return ["  mean over the folds; for an interval, repeat: seeds=10 or split.repeats=10"]
        return []
    if summary["unit"] == "seed":
        line = f"  mean ± 95% interval over {units} seeds"
        return [f"{line} on one split: it does not cover new data" if intervals else line]
    methods = {of: interval["method"] for of, interval in intervals.items()}
    lines = [f"  mean ± 95% interval over {units} splits"]
    if "corrected" in methods.values():
        lines[0] += ", corrected for overlap (Nadeau-Bengio)"
    if validated > units:
        lines.append(f"  validation: over all their {validated} folds")
    if methods.get("test") == "student":
        lines.append("  test: one test set, the same in every split: it does not cover new data")
    return lines


def _absent_classes(summary: dict) -> list[str]:
    """The classes without a test example, in any row or in some: their recall is undefined there."""
    classification = summary.get("classification", {})
    # An older summary has no `recall_rows`.
    counts = dict(zip(classification.get("classes", ()), classification.get("recall_rows", ()), strict=False))
    kept = summary["rows"]["total"] - summary["rows"]["diverged"]
    never = [c for c, rows in counts.items() if rows == 0]
    sometimes = [c for c, rows in counts.items() if 0 < rows < kept]
    lines = []
    if never:
        lines.append(f"  no test example, so no recall: {_first(never)}")
    if sometimes:
        lines.append(f"  no test example in some rows, so no recall there: {_first(sometimes)}")
    return lines


def _first(classes: list) -> str:
    names = ", ".join(f"'{c}'" for c in classes[:CLASSES_NAMED])
    more = len(classes) - CLASSES_NAMED
    return f"{names} and {more} more" if more > 0 else names


def _with_interval(metric: dict | None, form) -> str:
    if metric is None:
        return ""
    if metric["n"] > 1 and metric["low"] is not None:
        return spread(metric["mean"], metric["high"] - metric["mean"], form)
    if "fold_std" in metric:
        return f"{form(metric['mean'])}  (sd over folds {form(metric['fold_std'])})"
    return form(metric["mean"])
