"""Prepares the data of comparison.png: loss curves of several runs, and results by a varied setting."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nnlab.records.comparison_picture import NAME_CHARACTERS, ResultsByValue, draw
from nnlab.records.run_summaries import (
    SEED_REMEDIES,
    brief_names,
    data_name,
    diverged_note,
    kind_of_loss,
    parse_overrides,
    ranking_metric,
    ranking_set,
    task_name,
)
from nnlab.records.stored_run import StoredRun
from nnlab.records.text import metric_label


def draw_comparison(runs: dict[str, Path], summaries: dict[str, dict]) -> bytes:
    """Draw all runs' losses over the epochs, and their results by a numeric setting, as a PNG."""
    set_name = ranking_set(summaries)
    names = _unique_names(brief_names(list(runs), NAME_CHARACTERS))
    curves = dict(zip(names, (loss_curves(folder, set_name) for folder in runs.values()), strict=True))
    return draw(
        curves,
        [diverged_note(summaries[name]) for name in runs],
        axis_label(summaries),
        results_by_value(summaries),
    )


def _unique_names(names: list[str]) -> list[str]:
    """The names, with a number appended to repeated ones."""
    earlier_count = [names[:i].count(name) for i, name in enumerate(names)]
    return [f"{name} ({n})" if n else name for name, n in zip(names, earlier_count, strict=True)]


def results_by_value(summaries: dict[str, dict]):
    """The results by the numeric setting with the most values, if it has three or more.

    None if there is no such setting, or the runs are on different data.
    """
    overrides_of_run = {name: parse_overrides(name) for name in summaries}
    metric_name = ranking_metric(summaries)
    if len(set(map(data_name, summaries.values()))) > 1:
        return None
    keys = list(dict.fromkeys(key for overrides in overrides_of_run.values() for key in overrides))
    numbers = {
        key: [_number(overrides.get(key, "")) for overrides in overrides_of_run.values()] for key in keys
    }
    counts = {key: len(set(v)) for key, v in numbers.items() if None not in v and key not in SEED_REMEDIES}
    if max(counts.values(), default=0) < 3:
        return None
    key = max(counts, key=counts.__getitem__)
    lines = {}
    for (name, summary), x in zip(summaries.items(), numbers[key], strict=True):
        metric = summary["metrics"].get(metric_name)
        if metric is not None and metric["mean"] is not None:
            # Without an interval (a single row), both ends are the mean.
            ends = [metric.get(end) for end in ("low", "high")]
            ends = [metric["mean"] if end is None else end for end in ends]
            other_overrides = " ".join(f"{k}={v}" for k, v in overrides_of_run[name].items() if k != key)
            lines.setdefault(other_overrides, []).append([x, metric["mean"], *ends])
    arrays = {name: np.array(points, float) for name, points in lines.items()}
    task = task_name(next(iter(summaries.values())))
    label = f"{metric_label(metric_name, task)} of the best epoch"
    return ResultsByValue(key, label, arrays) if arrays else None


def _number(text: str) -> float | None:
    """`64` and `[64]` are numbers; `full` and `[64,32]` are not."""
    try:
        value = float(text.removeprefix("[").removesuffix("]"))
        return value if np.isfinite(value) else None
    except ValueError:
        return None


def loss_curves(folder: Path, set_name: str = "val") -> np.ndarray:
    """The losses (rows, epochs) in a run folder, NaN where a row did not train or there is no such set."""
    run, name = StoredRun(folder), f"{set_name}_loss"
    return run.curves(name) if name in run.metrics else np.full_like(run.curves("train_loss"), np.nan)


def axis_label(summaries: dict[str, dict]) -> str:
    """The label of the loss axis."""
    kinds = {(data_name(s), kind_of_loss(s)) for s in summaries.values()}
    axis = metric_label(f"{ranking_set(summaries)}_loss", "")
    return f"{axis}, of different data or kinds" if len(kinds) > 1 else axis
