"""What the picture of several runs shows: their losses, and their results against a number that varies."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nnlab.records.run_summaries import (
    SEED_REMEDIES,
    brief,
    data_of,
    diverged_note,
    judge_of,
    kind_of,
    overrides,
    task_of,
)
from nnlab.records.runs_picture import NAME_LETTERS, Against, draw
from nnlab.records.stored_run import StoredRun
from nnlab.records.text import label


def picture(runs: dict[str, Path], summaries: dict[str, dict]) -> bytes:
    """All runs' losses over the epochs, and their results against a number that varies, as a PNG."""
    kind = kind_of(summaries)
    names = _different(brief(list(runs), NAME_LETTERS))
    curves = dict(zip(names, (losses(folder, kind) for folder in runs.values()), strict=True))
    return draw(
        curves, [diverged_note(summaries[name]) for name in runs], axis_label(summaries), against(summaries)
    )


def _different(names: list[str]) -> list[str]:
    """The names, numbered where they are the same."""
    before = [names[:i].count(name) for i, name in enumerate(names)]
    return [f"{name} ({n})" if n else name for name, n in zip(names, before, strict=True)]


def against(summaries: dict[str, dict]):
    """The results against the number that varies most, if there are three of it or more, and they may stand
    beside each other."""
    each = {name: overrides(name) for name in summaries}
    judge = judge_of(summaries)
    if len(set(map(data_of, summaries.values()))) > 1:
        return None
    keys = list(dict.fromkeys(key for one in each.values() for key in one))
    numbers = {key: [_number(one.get(key, "")) for one in each.values()] for key in keys}
    counts = {key: len(set(v)) for key, v in numbers.items() if None not in v and key not in SEED_REMEDIES}
    if max(counts.values(), default=0) < 3:
        return None
    key = max(counts, key=counts.__getitem__)
    lines = {}
    for (name, summary), x in zip(summaries.items(), numbers[key], strict=True):
        metric = summary["metrics"].get(judge)
        if metric is not None and metric["mean"] is not None:
            # A single row has no interval: then it has no length.
            ends = [metric.get(end) for end in ("low", "high")]
            ends = [metric["mean"] if end is None else end for end in ends]
            others = " ".join(f"{k}={v}" for k, v in each[name].items() if k != key)
            lines.setdefault(others, []).append([x, metric["mean"], *ends])
    arrays = {name: np.array(points, float) for name, points in lines.items()}
    task = task_of(next(iter(summaries.values())))
    return Against(key, f"{label(judge, task)} of the best epoch", arrays) if arrays else None


def _number(text: str) -> float | None:
    """`64` and `[64]` are numbers; `full` and `[64,32]` are not."""
    try:
        value = float(text.removeprefix("[").removesuffix("]"))
        return value if np.isfinite(value) else None
    except ValueError:
        return None


def losses(folder: Path, kind: str = "val") -> np.ndarray:
    """(rows, epochs) of a run folder, NaN where a row did not train, or a run has no validation set."""
    run, name = StoredRun(folder), f"{kind}_loss"
    return run.curves(name) if name in run.metrics else np.full_like(run.curves("train_loss"), np.nan)


def axis_label(summaries: dict[str, dict]) -> str:
    """What the picture shows."""
    kinds = {(data_of(s), s.get("loss_is")) for s in summaries.values()}
    axis = label(f"{kind_of(summaries)}_loss", "")
    return f"{axis}, of different data or kinds" if len(kinds) > 1 else axis
