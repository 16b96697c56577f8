"""What several runs' summaries have in common: by what they are named, and by what they can be compared."""

from __future__ import annotations

import re

from nnlab.records.text_columns import short_names

BRIEF_LETTERS = 36  # letters of a run's name in a line of progress
SEED_REMEDIES = {"seed": "seeds=10", "split.seed": "split.repeats=10"}  # what gives the mean over them


def overrides(name: str) -> dict[str, str]:
    """A run's name as what was overridden: key -> value."""
    each = re.split(r" (?=[~+]*[A-Za-z_][\w./@-]*=)", name)
    return {key: value for key, _, value in (word.partition("=") for word in each)}


def brief(names: list[str], longest: int = BRIEF_LETTERS) -> list[str]:
    """The names with short keys; where one of them is too long, the values alone."""
    each = [overrides(name) for name in names]
    keys = list(dict.fromkeys(key for one in each for key in one))
    short = dict(zip(keys, short_names(keys), strict=True))
    texts = [
        " ".join(f"{short[key]}={value}" if value else key for key, value in one.items()) for one in each
    ]
    if max(map(len, texts)) <= longest:
        return texts
    return [", ".join(one.values()) for one in each]


def kind_of(summaries: dict[str, dict]) -> str:
    """Runs are ranked by validation; by training if no run that ended well has held anything back."""
    there = {name for s in summaries.values() for name in s["metrics"]}
    return "train" if "train_loss" in there and "val_loss" not in there else "val"


def judge_of(summaries: dict[str, dict]) -> str:
    """The metric that orders the runs: the loss, if all on the same data have the same kind of it."""
    kinds: dict[str, set] = {}
    for summary in summaries.values():
        kinds.setdefault(data_of(summary), set()).add(summary.get("loss_is"))
    what = "loss" if all(len(kind) == 1 for kind in kinds.values()) else "error"
    return f"{kind_of(summaries)}_{what}"


def task_of(summary: dict) -> str:
    """The run's task; of a folder that does not say it, what its metrics are of."""
    inferred = "regression" if "test_rmse" in summary["metrics"] else "classification"
    return summary.get("task", inferred)


def data_of(summary: dict) -> str:
    return summary.get("data", "")


def diverged_note(summary: dict) -> str:
    counts = summary["rows"]
    return f" ({counts['diverged']} of {counts['total']} diverged)" if counts["diverged"] else ""
