"""Of runs that differ in their learning rates alone, the best one: where there are more runs than panels."""

from __future__ import annotations

import json

import numpy as np

from nnlab.pictures.base import ShownRun
from nnlab.pictures.panels import MOST_PANELS
from nnlab.records.files import RECORDING_KEYS


def at_best_rates(runs: list[ShownRun]) -> tuple[list[ShownRun], str]:
    """The runs to draw, and a note of what they are: all, if they have a panel each. Else of every few that
    differ in `optimizer.lr` alone that with the lowest training loss, on average over rows and epochs."""
    if len(runs) <= MOST_PANELS:
        return runs, ""
    groups: dict[str, list[ShownRun]] = {}
    for run in runs:
        groups.setdefault(_all_but_rate(run.stored.settings), []).append(run)
    most = max(map(len, groups.values()))
    note = f"each at the best mean loss of {most} learning rates" if most > 1 else ""
    return [min(group, key=_mean_loss) for group in groups.values()], note


def _all_but_rate(settings: dict) -> str:
    optimizer = {key: value for key, value in settings["optimizer"].items() if key != "lr"}
    kept = {key: value for key, value in settings.items() if key not in RECORDING_KEYS}
    return json.dumps(kept | {"optimizer": optimizer}, sort_keys=True, default=str)


def _mean_loss(run: ShownRun) -> float:
    """The mean training loss; infinite where a row has none of an epoch."""
    losses = run.stored.curves("train_loss")
    return float(np.where(np.isfinite(losses), losses, np.inf).mean())
