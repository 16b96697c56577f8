"""What was measured in the cells of a reproduction, from its run folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from nnlab.errors import UserError, nearest
from nnlab.records.multirun_file import stored_run_names
from nnlab.records.stored_run import StoredRun
from nnlab.reproduction.reproduction import Reproduction
from nnlab.training.data_cache import DataCache

VOTE_MEASURE = "vote_error"  # of the majority of all rows: see votes.py


def with_measured(reproduction: Reproduction, folder: Path, seconds: float | None) -> Reproduction:
    """The reproduction with the results of its runs in `folder`; of those that have not ended none.

    `seconds` of the processor went into all of them, each in the share of its training steps.
    """
    plan = reproduction.plan
    names = stored_run_names(folder)
    if len(names) != len(plan.runs):
        raise UserError(f"'{folder}' has {len(names)} runs, and its {plan.table.name} has {len(plan.runs)}")
    runs = [StoredRun(folder / name) for name in names]
    ended = {cell: plan.run_of(cell) for cell in plan.cells if runs[plan.run_of(cell)].ended}
    steps = [run.speed.get("step_seconds", 0.0) if run.ended else 0.0 for run in runs]
    total = sum(steps) or 1.0
    cache = DataCache()  # of the data that votes are cast on
    return replace(
        reproduction,
        values={cell: _values(reproduction, cell, runs[i], cache) for cell, i in ended.items()},
        commands={cell: runs[i].command for cell, i in ended.items()},
        folders={cell: names[i] for cell, i in ended.items()},
        seconds=seconds,
        shares={cell: steps[i] / total for cell, i in ended.items()},
    )


def _values(reproduction: Reproduction, cell: str, run: StoredRun, cache: DataCache) -> np.ndarray:
    """(seeds,): in the table's unit, NaN where a row diverged; the mean over the folds of a seed. A vote of
    all rows is one value."""
    measure, factor = reproduction.table.cells[cell].measure, reproduction.table.factor
    if measure == VOTE_MEASURE:
        from nnlab.reproduction.votes import vote_error  # loads networks

        return factor * np.array([vote_error(run, cache)])
    by_seed: dict[int, list[float]] = {}
    for row in run.rows:
        value = np.nan if row["status"] == "diverged" else measure_of(row, measure, run.path)
        by_seed.setdefault(row["seed"], []).append(value)
    return factor * np.array([np.mean(values) for _, values in sorted(by_seed.items())])


def measure_of(row: dict, measure: str, where) -> float:
    """`test_error` of a row's test report, `train_loss` at its best epoch. Raises `UserError`."""
    there = {f"test_{name}": value for name, value in row["test"].items()} | row["best"]
    numbers = {name: value for name, value in there.items() if isinstance(value, int | float)}
    if measure not in numbers:
        raise UserError(f"'{where}' has no {measure}{nearest(measure, numbers)}")
    return float(numbers[measure])
