"""What the curve of a measure gives for each row: its last value, the best, the mean, the steps to a target.

The curve of test_error, or of test_rmse, is val_error, as far as it was recorded after every epoch; else it
is the loss.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from nnlab.errors import UserError
from nnlab.metrics import larger_is_better
from nnlab.records.arm_scores import COURSES, STEPS, RowKey, Rows
from nnlab.records.measures import refuse_target
from nnlab.records.run_summaries import task_name
from nnlab.records.stored_run import StoredRun
from nnlab.statistics import courses
from nnlab.untrusted import is_count

KINDS = ("final", "best", "area")


def with_courses(
    arms: Mapping[str, Rows], runs: Mapping[str, Sequence[StoredRun]], measure: str, target: float | None
) -> tuple[dict[str, Rows], list[str]]:
    """The rows with what their curves give, and the names of this: `final:val_error`, ..., and `steps` if
    there is a target. The rows as they are, where arms have no curve in common. Raises `UserError` for a
    target that is no value of the curve."""
    metric = _common_curve(runs, measure)
    if metric is None:
        return dict(arms), []
    refuse_target(target, metric, task_name(next(iter(runs.values()))[0].summary))
    names = [STEPS] * (target is not None) + [f"{kind}:{metric}" for kind in KINDS]
    try:
        longest = max(run.curves(metric).shape[1] for each in runs.values() for run in each)
        of_arms = {arm: _of_arm(each, metric, target, longest) for arm, each in runs.items()}
    except UserError:  # a folder of somebody else
        return dict(arms), []
    rows = {
        arm: {key: {**row, COURSES: of_arms[arm].get(key, {})} for key, row in each.items()}
        for arm, each in arms.items()
    }
    return rows, names


def _common_curve(runs: Mapping[str, Sequence[StoredRun]], measure: str) -> str | None:
    """The recorded curve that says most of the measure, and that all runs have."""
    recorded = [{*run.metrics} for each in runs.values() for run in each]
    return curve_of(measure, set.intersection(*recorded) if recorded else ())


def curve_of(measure: str, recorded: Collection[str]) -> str | None:
    """Of these curves the one that says most of the measure."""
    name = measure.partition("_")[2]
    same = "error" if name == "rmse" else name  # the error of numbers is their RMSE
    wanted = [
        measure,
        f"val_{name}",
        f"val_{same}",
        "val_loss",
        f"train_{name}",
        f"train_{same}",
        "train_loss",
    ]
    return next((each for each in wanted if each in recorded), None)


def _of_arm(
    runs: Sequence[StoredRun], metric: str, target: float | None, epochs: int
) -> dict[RowKey, dict[str, float]]:
    """Row -> name -> number; of a row that two runs have, the first."""
    larger, by_row = larger_is_better(metric), {}
    for run in runs:
        curves, rows = run.curves(metric), sorted(run.rows, key=lambda row: row["row"])
        if [row["row"] for row in rows] != [*range(len(curves))]:
            raise UserError(f"'{run.path}' has curves of other rows than rows.json")
        values = {
            f"final:{metric}": courses.final(curves),
            f"best:{metric}": courses.best(curves, larger),
            f"area:{metric}": courses.area(curves, epochs),
        }
        if target is not None:
            steps = np.array([_steps_an_epoch(run, row) for row in rows])
            spent = steps[:, None] * np.arange(1, curves.shape[1] + 1)
            values[STEPS] = courses.cost_to_target(curves, target, spent, larger)
        for number, row in enumerate(rows):
            key = row["seed"], row.get("repeat", 0), row.get("fold", 0)
            by_row.setdefault(key, {name: float(each[number]) for name, each in values.items()})
    return by_row


def _steps_an_epoch(run: StoredRun, row: dict) -> int:
    """Batches in an epoch. Raises `UserError` where a folder does not say."""
    examples, size = row.get("examples"), run.settings.get("batch_size")
    trained = examples.get("train") if isinstance(examples, dict) else None
    if size == "full":
        return 1
    if not is_count(trained) or not is_count(size) or not size:
        raise UserError(f"'{run.path}' does not say how many examples train, and in which batches")
    return -(-trained // size)
