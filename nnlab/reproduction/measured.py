"""What was measured in the cells of a reproduction, from its run folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nnlab.errors import UserError, nearest
from nnlab.records.measures import is_larger_better
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
    number = {words: i for i, words in enumerate(plan.runs)}
    tried = {cell: [number[words] for words in plan.runs_of(cell)] for cell in plan.cells}
    tried = {cell: some for cell, some in tried.items() if all(runs[i].ended for i in some)}
    steps = [run.speed.get("step_seconds", 0.0) if run.ended else 0.0 for run in runs]
    total = sum(steps) or 1.0
    cache = DataCache()  # of the data that votes are cast on
    values, best = {}, {}
    for cell, some in tried.items():
        candidates = [_values(reproduction, cell, runs[i], cache) for i in some]
        best[cell] = best_of(candidates, is_larger_better(plan.table.cells[cell].measure))
        values[cell] = candidates[best[cell]]
    run_of = {cell: some[best[cell]] for cell, some in tried.items()}
    return replace(
        reproduction,
        values=values,
        commands={cell: runs[i].command for cell, i in run_of.items()},
        folders={cell: names[i] for cell, i in run_of.items()},
        chosen={cell: plan.best_of[i] for cell, i in best.items()} if plan.best_of else {},
        seconds=seconds,
        shares={cell: sum(steps[i] for i in some) / total for cell, some in tried.items()},
    )


def best_of(candidates: Sequence[np.ndarray], larger: bool) -> int:
    """The number of the one with the best mean over seeds, among those in which fewest diverged."""

    def badness(values: np.ndarray) -> tuple[int, float]:
        finite = values[np.isfinite(values)]
        costs = -finite if larger else finite
        return len(values) - len(finite), costs.mean() if len(finite) else np.inf

    return min(range(len(candidates)), key=lambda i: badness(candidates[i]))


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
