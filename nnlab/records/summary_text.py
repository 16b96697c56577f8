"""Formats a run's summary as lines of text: metrics, intervals, and what is missing."""

from __future__ import annotations

from textwrap import wrap

from nnlab.metrics import is_unbalanced
from nnlab.records.rate_text import idle_note, rate_lines
from nnlab.records.text import format_number, metric_formatter, metric_label, metric_words, plus_minus
from nnlab.records.text_columns import LABEL_WIDTH
from nnlab.records.weight_summary import shown_weights, weight_notes
from nnlab.training.results import MAIN_METRICS

CLASSES_NAMED = 3
UNBALANCED_METRICS = ("balanced_accuracy", "roc_auc")
POSITIVE_METRICS = ("f1", "average_precision")  # of two classes, they are about one
SHOWN_UNCALIBRATED = ("loss", "calibration_error")  # of calibrated rows: with and without
OUTPUTS_NAMED = 5
NOTE_WIDTH = 76


def summary_lines(summary: dict, task: str) -> list[str]:
    """The lines at the end of a run: best epoch, validation and test metrics, notes."""
    lines, shown = [], shown_metrics(summary)
    width = label_width(shown, task)
    if "best_epoch" in summary:
        lines.append(f"  {'best epoch':<{width}}{_median_range(summary['best_epoch'])}")
    lines += rate_lines(summary, width)
    tests = {name: metric for name, metric in shown.items() if name.startswith("test_")}
    lines += metric_lines({name: m for name, m in shown.items() if name not in tests}, task, width=width)
    calibration = summary.get("calibration", {})
    lines += [f"  {name:<{width}}{_number_range(values)}" for name, values in calibration.items()]
    lines += refit_lines(summary, width)
    undefined = {name: text for name, text in _undefined(summary).items() if _is_shown(name, summary)}
    lines += metric_lines(tests, task, undefined, width)
    lines += metric_lines(shown_weights(summary), task, width=width)
    notes = summary_notes(summary, task)
    return [*lines, "", *notes] if notes else lines


def shown_metrics(summary: dict) -> dict[str, dict]:
    """Of the summary's metrics, those that people are shown: at the best epoch, and of the test set."""
    return {name: metric for name, metric in summary["metrics"].items() if _is_shown(name, summary)}


def _is_shown(name: str, summary: dict) -> bool:
    """The main metrics, those that were measured on validation examples too or chose the threshold, and for
    unbalanced classes those that see rare classes."""
    set_name, _, metric = name.partition("_")
    if set_name != "test":
        return set_name == "val" or "val_loss" not in summary["metrics"]
    if f"{name.removesuffix('_uncalibrated')}_uncalibrated" in summary["metrics"]:
        return metric.removesuffix("_uncalibrated") in SHOWN_UNCALIBRATED
    sees_rare = metric in UNBALANCED_METRICS and is_unbalanced(_support(summary))
    is_chosen = f"val_{metric}" in summary["metrics"] or metric == summary.get("threshold_by")
    return metric in MAIN_METRICS or is_chosen or sees_rare


def _support(summary: dict) -> list[int]:
    return summary.get("classification", {}).get("support", [])  # old summaries have none


def label_width(names, task: str) -> int:
    """The characters of the column of labels for these metrics."""
    return max([LABEL_WIDTH, *(len(metric_label(name, task)) + 2 for name in names)])


def refit_lines(summary: dict, width: int = LABEL_WIDTH) -> list[str]:
    """Which training the numbers and weights are from, if there was a refit."""
    if "refit" not in summary:
        return []
    refit = summary["refit"]
    first, second = _count_range(refit["first_examples"]), _count_range(refit["examples"])
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
    labels = ["trained twice", *[""] * (len(texts) - 1)]
    return [f"  {label:<{width}}{text}" for label, text in zip(labels, texts, strict=True)]


def _median_range(values: dict) -> str:
    median, low, high = values["median"], values["min"], values["max"]
    return f"{median:.0f}  ({low} to {high})" if low < high else f"{median:.0f}"


def _number_range(values: dict) -> str:
    median, low, high = (format_number(values[name]) for name in ("median", "min", "max"))
    return f"{median}  ({low} to {high})" if low < high else median


def _count_range(values: dict) -> str:
    low, high = values["min"], values["max"]
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _epochs(values: dict) -> str:
    return f"{_count_range(values)} epoch{'s' * (values['max'] > 1)}"


def metric_lines(
    metrics: dict, task: str, undefined: dict[str, str] | None = None, width: int | None = None
) -> list[str]:
    """A line for each metric: its mean, with the interval or the standard deviation over folds.

    `undefined` has a remark for metrics that are undefined in some rows: name -> text.
    """
    undefined, lines = undefined or {}, []
    width = width or label_width([*metrics, *undefined], task)
    for name in dict.fromkeys([*metrics, *undefined]):
        value = _with_interval(metrics.get(name), metric_formatter(name, task))
        lines.append(f"  {metric_label(name, task):<{width}}{value}{undefined.get(name, '')}")
    return lines


def _undefined(summary: dict) -> dict[str, str]:
    """Metric -> a remark that it is undefined, in how many rows, and why."""
    undefined = summary.get("undefined", {})
    survivors = summary["rows"]["total"] - summary["rows"]["diverged"]
    texts = {}
    for name, count in undefined.items():
        if not name.startswith("test_"):
            continue
        why = ""
        if name == "test_r2" and "test_rmse" not in undefined:  # the outputs are finite
            why = ": all test targets are equal"
        texts[name] = (
            f"undefined{why}" if count == survivors else f"  (undefined in {count} of {survivors} rows{why})"
        )
    return texts


def summary_notes(summary: dict, task: str) -> list[str]:
    """The remarks below the metrics: rows, intervals, weights, thresholds."""
    lines = [*_row_lines(summary), *interval_lines(summary)]
    lines += [f"  {line}" for line in wrap(idle_note(summary), NOTE_WIDTH)]
    if task == "regression" and summary["metrics"] and "loss_is" in summary:
        lines.append(f"  loss: {summary['loss_is']}; RMSE, MAE: in its own unit")
    if "weighted_by" in summary:
        weighted = f"losses are weighted by {summary['weighted_by']}; those of the test set are not"
        lines += [f"  {line}" for line in wrap(weighted, NOTE_WIDTH)]
    lines += _threshold_lines(summary)
    if "test_r2" in summary["metrics"] and summary.get("undefined_outputs"):
        outputs = summary["undefined_outputs"]
        which = ", ".join(map(str, outputs[:OUTPUTS_NAMED])) + ", ..." * (len(outputs) > OUTPUTS_NAMED)
        lines.append(f"  test R2 without output{'s' * (len(outputs) > 1)} {which}: equal test targets")
    return lines + _positive_class(summary) + _absent_classes(summary) + weight_notes([summary])


def _threshold_lines(summary: dict) -> list[str]:
    """Which numbers are of the threshold, and which of the likelier class."""
    by, metrics = summary.get("threshold_by"), summary["metrics"]
    if by is None or not any(name.startswith("test_") for name in metrics):
        return []
    text = f"test numbers are by the threshold {by}"
    if isinstance(by, str):
        label = metric_words(by)
        text = f"test numbers are by the threshold with the largest {label} on the validation set"
    if "val_error" in metrics:
        text += "; the validation error is by the likelier class"
    return [f"  {line}" for line in wrap(text, NOTE_WIDTH)]


def _positive_class(summary: dict) -> list[str]:
    """Which class metrics of two classes are about, if one of them is shown."""
    positive = summary.get("classification", {}).get("positive_class")
    shown = shown_metrics(summary)
    labels = [metric_words(metric) for metric in POSITIVE_METRICS if f"test_{metric}" in shown]
    return [f"  {', '.join(labels)}: of the class '{positive}'"] if labels and positive else []


def _row_lines(summary: dict) -> list[str]:
    """How many rows finished, stopped and diverged; nothing for a single row that finished."""
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
    """What the intervals are over, and what they do not cover."""
    metrics, intervals = summary["metrics"], summary.get("intervals", {})
    counts = {}
    for prefix in ("train_", "val_", "test_"):
        counts[prefix] = max((m["n"] for name, m in metrics.items() if name.startswith(prefix)), default=0)
    validated = counts["val_"]
    unit_count = counts["test_"] or validated or counts["train_"]
    if unit_count < 2:
        if "windows" in summary:
            windows = summary["windows"]
            return [f"  mean over {windows} windows of time; for an interval over seeds: seeds=10"]
        if any("fold_std" in metric for metric in metrics.values()):
            return ["  mean over the folds; for an interval, repeat: seeds=10 or split.repeats=10"]
        return []
    if summary["unit"] == "seed":
        line = f"  mean ± 95% interval over {unit_count} seeds"
        return [f"{line} on one split: it does not cover new data" if intervals else line]
    methods = {prefix: interval["method"] for prefix, interval in intervals.items()}
    lines = [f"  mean ± 95% interval over {unit_count} splits"]
    if "corrected" in methods.values():
        lines[0] += ", corrected for overlap (Nadeau-Bengio)"
    if validated > unit_count:
        lines.append(f"  validation: over all their {validated} folds")
    if methods.get("test") == "student":
        lines.append("  test: one test set, the same in every split: it does not cover new data")
    return lines


def _absent_classes(summary: dict) -> list[str]:
    """The classes without a test example, in any row or in some: their recall is undefined there."""
    classification = summary.get("classification", {})
    # Summaries of old versions have no `recall_rows`.
    counts = dict(zip(classification.get("classes", ()), classification.get("recall_rows", ()), strict=False))
    survivors = summary["rows"]["total"] - summary["rows"]["diverged"]
    never = [c for c, rows in counts.items() if rows == 0]
    sometimes = [c for c, rows in counts.items() if 0 < rows < survivors]
    lines = []
    if never:
        lines.append(f"  no test example, so no recall: {_list_first(never)}")
    if sometimes:
        lines.append(f"  no test example in some rows, so no recall there: {_list_first(sometimes)}")
    return lines


def _list_first(classes: list) -> str:
    names = ", ".join(f"'{c}'" for c in classes[:CLASSES_NAMED])
    more = len(classes) - CLASSES_NAMED
    return f"{names} and {more} more" if more > 0 else names


def _with_interval(metric: dict | None, formatter) -> str:
    if metric is None:
        return ""
    if metric["n"] > 1 and metric["low"] is not None:
        return plus_minus(metric["mean"], metric["high"] - metric["mean"], formatter)
    if "fold_std" in metric:
        return f"{formatter(metric['mean'])}  (sd over folds {formatter(metric['fold_std'])})"
    return formatter(metric["mean"])
