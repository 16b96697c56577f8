"""Summarises the weights that a run has learnt: their norm, and how many of them are 0 or small."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from nnlab.records.intervals import choose_interval, estimate

if TYPE_CHECKING:
    from nnlab.regularizers import Regularizer  # imports torch, which a table of runs does not need

WEIGHT_METRICS = ("weight_norm", "zero_weights", "small_weights")


def summarize_weights(results: list, names: Iterable[str], regularizer: Regularizer) -> dict:
    """The entry `weights` of summary.json, of the weights (never the biases) with these names.

    count      how many there are
    penalties  l2 and l1, as the run had them
    small      regularizer.small, if that is set
    metrics    name -> mean, std, low, high, n over the rows that did not diverge (see `intervals.estimate`):
        weight_norm    sqrt(sum W^2)
        zero_weights   the share that is exactly 0
        small_weights  the share with |W| <= regularizer.small, if that is set

    Empty if all rows diverged. The weights are those that the run keeps, of the best epoch.
    """
    survivors = [r for r in results if r.status != "diverged"]
    if not survivors:
        return {}
    names = list(names)
    each = [(r, _measure([r.weights[name] for name in names], regularizer.small)) for r in survivors]
    interval = choose_interval("train_weights", results)
    metrics = {
        metric: estimate([(r, values[metric]) for r, values in each], interval) for metric in each[0][1]
    }
    count = sum(survivors[0].weights[name].size for name in names)
    entry = {"count": count, "penalties": {"l2": regularizer.l2, "l1": regularizer.l1}, "metrics": metrics}
    return entry if regularizer.small is None else entry | {"small": regularizer.small}


def _measure(weights: list[np.ndarray], small: float | None) -> dict[str, float]:
    count = max(1, sum(W.size for W in weights))
    values = {
        "weight_norm": float(np.sqrt(sum(np.square(W, dtype=np.float64).sum() for W in weights))),
        "zero_weights": sum(W.size - np.count_nonzero(W) for W in weights) / count,
    }
    if small is not None:
        values["small_weights"] = sum(np.count_nonzero(np.abs(W) <= small) for W in weights) / count
    return values


def shown_weight_metrics(summaries: Iterable[dict]) -> list[str]:
    """The metrics of weights that people are shown of a run, or of runs beside each other.

    A norm says something beside another, so that of L2 is shown where its strength varies. Zeros and small
    weights are what L1 is for.
    """
    entries = [summary["weights"] for summary in summaries if "weights" in summary]
    sparse = any(entry["penalties"]["l1"] or "small_weights" in entry["metrics"] for entry in entries)
    varied = len({tuple(entry["penalties"].items()) for entry in entries}) > 1
    shown = {"weight_norm": sparse or varied, "zero_weights": sparse}
    shown["small_weights"] = any("small_weights" in entry["metrics"] for entry in entries)
    return [name for name in WEIGHT_METRICS if shown[name]]


def weight_notes(summaries: Iterable[dict]) -> list[str]:
    """What is small, if small weights are shown: a line below the numbers."""
    entries = [summary.get("weights", {}) for summary in summaries]
    limits = dict.fromkeys(f"{entry['small']:g}" for entry in entries if "small" in entry)
    return [f"  small weights: their size is at most {' or '.join(limits)}"] if limits else []


def weight_metrics(summary: dict) -> dict[str, dict]:
    """The metrics of its weights, by name; none in summaries of earlier versions."""
    return summary.get("weights", {}).get("metrics", {})


def shown_weights(summary: dict) -> dict[str, dict]:
    """Those of a run by itself that people are shown."""
    return {name: weight_metrics(summary)[name] for name in shown_weight_metrics([summary])}
