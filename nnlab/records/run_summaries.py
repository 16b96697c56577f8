"""Compares the summaries of several runs: names from their overrides, and the metric that ranks them."""

from __future__ import annotations

import re

from nnlab.metrics import METRICS, recorded_name
from nnlab.records.text_columns import short_names

BRIEF_CHARACTERS = 36  # of a run's name in a progress line
SEED_REMEDIES = {"seed": "seeds=10", "split.seed": "split.repeats=10"}  # to average over seeds


def parse_overrides(name: str) -> dict[str, str]:
    """Parse a run's name into its overrides: key -> value."""
    overrides_of_run = re.split(r" (?=[~+]*[A-Za-z_][\w./@-]*=)", name)
    return {key: value for key, _, value in (word.partition("=") for word in overrides_of_run)}


def brief_names(names: list[str], longest: int = BRIEF_CHARACTERS) -> list[str]:
    """The names with short keys; if one is too long, the values alone."""
    overrides_of_run = [parse_overrides(name) for name in names]
    keys = list(dict.fromkeys(key for overrides in overrides_of_run for key in overrides))
    short = dict(zip(keys, short_names(keys), strict=True))
    texts = [
        " ".join(f"{short[key]}={value}" if value else key for key, value in overrides.items())
        for overrides in overrides_of_run
    ]
    if max(map(len, texts)) <= longest:
        return texts
    return [", ".join(overrides.values()) for overrides in overrides_of_run]


def ranking_set(summaries: dict[str, dict]) -> str:
    """The set that ranks the runs: val, or train if no successful run has a validation set."""
    metric_names = {name for s in summaries.values() for name in s["metrics"]}
    return "train" if "train_loss" in metric_names and "val_loss" not in metric_names else "val"


def ranking_metric(summaries: dict[str, dict]) -> str:
    """The metric that ranks the runs: what chose the best epoch, if that is one of the table of metrics in
    all runs; else the loss, or the error if runs on the same data differ in loss or in the weights of its
    examples."""
    chosen = {summary.get("metric") for summary in summaries.values()}
    if len(chosen) == 1 and chosen <= METRICS.keys():
        return recorded_name(chosen.pop())
    kinds: dict[str, set] = {}
    for summary in summaries.values():
        kinds.setdefault(data_name(summary), set()).add(kind_of_loss(summary))
    quantity = "loss" if all(len(kind) == 1 for kind in kinds.values()) else "error"
    return f"{ranking_set(summaries)}_{quantity}"


def kind_of_loss(summary: dict) -> tuple:
    """What its training and validation losses are: those of one kind are comparable."""
    return str(summary.get("loss_is")), str(summary.get("weighted_by"))


def task_name(summary: dict) -> str:
    """The run's task; in old folders, inferred from the metrics."""
    inferred = "regression" if "test_rmse" in summary["metrics"] else "classification"
    return summary.get("task", inferred)


def data_name(summary: dict) -> str:
    return summary.get("data", "")


def diverged_note(summary: dict) -> str:
    counts = summary["rows"]
    return f" ({counts['diverged']} of {counts['total']} diverged)" if counts["diverged"] else ""
