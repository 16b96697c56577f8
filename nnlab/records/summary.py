"""Summarises the results of a run's rows: means, standard deviations, 95% intervals. Writes no file."""

from __future__ import annotations

import math

import numpy as np

from nnlab.records.intervals import SET_NAMES, choose_interval, estimate

BEST_METRICS = ("val_loss", "val_error", "train_loss", "train_error")  # at a row's best epoch, and ...
VALIDATION_PREFIX = "val_"  # ... all that were measured on validation examples


def summarize(results: list) -> dict:
    """The summary of a run's `Result`s, the content of summary.json.

    rows            how many: total, finished, stopped, diverged
    unit            what means are over: "repeat" if the run drew several splits, else "seed"
    intervals       training, validation, test -> how their intervals are made (see `intervals.Interval`)
    metrics         name -> mean, std, low, high, n (see `intervals.estimate`); test metrics are `test_<name>`
    calibration     if rows were calibrated: temperature, threshold -> min, median, max over the rows
    windows         if the folds are windows of time, each of which validates what came before it: how many
    undefined       metric -> in how many rows it is undefined, so that they are left out of its mean
    undefined_outputs  if some of several outputs have no R2 in some row: which, from 0
    best_epoch      min, median, max over the rows
    stopped_by      if rows were stopped: why -> how many
    refit           if rows were trained again: how many, and how many of them diverged in it; the examples of
                    the first training and of the second, and its epochs: min, median, max over the rows.
                    Weights and test metrics are then the second training's, validation metrics, best epochs
                    and curves the first's; of a row that diverged in the second, all are the first's
    classification  if the rows were tested on classes: classes, confusion_matrix (true, predicted)
                    summed over rows (of 100 classes at most), precision and recall of each class,
                    means over the rows in which they are defined, None if in none; how many those are:
                    precision_rows, recall_rows; so the F1 of each, f1_each; support: how many test
                    examples each class has, summed over rows; of two classes, the positive_class

    Diverged rows are counted and otherwise left out; if all diverged, `metrics` is empty.
    """
    survivors = [r for r in results if r.status != "diverged"]
    unit = "repeat" if len({r.repeat for r in results}) > 1 else "seed"
    statuses = [r.status for r in results]
    counts = {s: statuses.count(s) for s in ("finished", "stopped", "diverged")}
    values = _values(survivors)
    defined = {name: [(r, v) for r, v in each if not math.isnan(v)] for name, each in values.items()}
    summary = {
        "rows": {"total": len(results), **counts},
        "unit": unit,
        "intervals": {
            set_name: choose_interval(prefix, results).to_json() for prefix, set_name in SET_NAMES.items()
        },
        "metrics": {name: estimate(v, choose_interval(name, results)) for name, v in defined.items() if v},
        "undefined": {n: len(values[n]) - len(v) for n, v in defined.items() if len(v) < len(values[n])},
    }
    if windows := _count_windows(results):
        summary["windows"] = windows
    outputs = {i for r in survivors for i, r2 in enumerate(r.test.get("r2_each", ())) if math.isnan(r2)}
    if outputs:
        summary["undefined_outputs"] = sorted(outputs)
    if survivors:
        summary["best_epoch"] = _min_median_max([r.best_epoch for r in survivors])
    if calibration := _calibration(survivors):
        summary["calibration"] = calibration
    reasons = [r.reason for r in survivors if r.reason]
    if reasons:
        summary["stopped_by"] = {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}
    if refitted := [r for r in survivors if r.refit]:
        summary["refit"] = _refits(refitted)
    tested = [r.test for r in survivors if "recall" in r.test]
    if tested:
        summary["classification"] = _classification(tested)
    return summary


def _calibration(results: list) -> dict[str, dict]:
    """Of temperatures and thresholds, in the rows that have one."""
    values = {
        name: [float(r.calibration[name]) for r in results if name in r.calibration]
        for name in ("temperature", "threshold")
    }
    return {name: _min_median_max(each) for name, each in values.items() if each}


def _refits(results: list) -> dict:
    """Of rows that were trained again."""
    refits = [r.refit for r in results]
    return {
        "rows": len(refits),
        "diverged": sum(refit.status == "diverged" for refit in refits),
        "first_examples": _min_median_max([r.examples["train"] for r in results]),
        "examples": _min_median_max([refit.examples for refit in refits]),
        "epochs": _min_median_max([refit.epochs for refit in refits]),
    }


def _count_windows(results: list) -> int:
    """How many folds are windows of time; 0 if none are. Other folds of one split share all examples."""
    folds = {r.fold: sum(r.examples.get(part, 0) for part in ("train", "validation")) for r in results}
    is_one_split = len({r.repeat for r in results}) == 1
    return len(folds) if is_one_split and len({*folds.values()}) > 1 else 0


def _min_median_max(values: list[int] | list[float]) -> dict:
    return {"min": min(values), "median": float(np.median(values)), "max": max(values)}


def _values(results: list) -> dict[str, list[tuple]]:
    """Metric -> pairs (Result, value), at the best epoch and of the test; NaN where undefined."""
    values: dict[str, list[tuple]] = {}
    for result in results:
        names = [*BEST_METRICS, *(name for name in result.best if name.startswith(VALIDATION_PREFIX))]
        numbers = {name: result.best[name] for name in names if name in result.best}
        numbers |= {f"test_{name}": value for name, value in result.test.items()}
        for name, value in numbers.items():
            if isinstance(value, int | float | np.number):
                values.setdefault(name, []).append((result, float(value)))
    return values


def _classification(tests: list[dict]) -> dict:
    summary = {"classes": list(tests[0]["classes"])}
    if "confusion_matrix" in tests[0]:
        summary["confusion_matrix"] = np.sum([t["confusion_matrix"] for t in tests], axis=0).tolist()
    for name in ("precision", "recall", "f1_each"):
        if name not in tests[0]:  # F1, in results of old versions
            continue
        by_class = zip(*(t[name] for t in tests), strict=True)
        defined = [[v for v in values if not math.isnan(v)] for values in by_class]
        summary[name] = [float(np.mean(values)) if values else None for values in defined]
        if name != "f1_each":
            summary[f"{name}_rows"] = [len(values) for values in defined]
    if "support" in tests[0]:
        summary["support"] = np.sum([t["support"] for t in tests], axis=0).tolist()
    if "positive_class" in tests[0]:
        summary["positive_class"] = tests[0]["positive_class"]
    return summary
