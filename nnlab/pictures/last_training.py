"""The training that a row's weights are from: its first, or the refit on its validation examples too."""

from __future__ import annotations

from dataclasses import replace

from nnlab.data.splits import Fold
from nnlab.pictures.base import ShownRun


def last_training(run: ShownRun, number: int) -> tuple[Fold, int]:
    """The examples and the epochs of it, of the row of that number."""
    fold = run.fold(number)
    result = next(row for row in run.stored.rows if row["row"] == number)
    refit = result.get("refit") or {"status": "diverged"}
    if refit["status"] == "diverged":
        return fold, result["epochs"]
    return replace(fold, train=fold.refit_examples), refit["epochs"]
