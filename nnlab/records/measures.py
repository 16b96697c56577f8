"""By what arms are compared: a number of each row, in its test report or recorded at its best epoch."""

from __future__ import annotations

import math

from nnlab.errors import UserError
from nnlab.metrics import METRICS, larger_is_better
from nnlab.records.text import metric_label

MOST_ARMS = 100
LOWEST, HIGHEST = {"mcc": -1.0, "r2": -math.inf}, {"brier_score": 2.0, "calibration_error": 1.0}  # values
ALWAYS = ("loss", "error")  # what beside the table of metrics is measured on a set of examples
# Those that say most come first: of many arms only some are compared by.
MEASURES = (
    "auto", "test_error", "test_loss", "val_loss", "val_error", "train_loss", "train_error",
    *(f"test_{name}" for name in METRICS),
    *(f"val_{name}" for name in METRICS), "steps",
)  # fmt: skip


def pair_count(arms: int) -> int:
    """How many pairs there are."""
    return arms * (arms - 1) // 2


def refuse_many_arms(arms: int) -> None:
    """Raise `UserError` for more than anybody compares in pairs."""
    if arms > MOST_ARMS:
        raise UserError(
            f"{arms:,} arms are {pair_count(arms):,} pairs, some of which look good by chance; allowed "
            f"are {MOST_ARMS} arms: nnlab sweep searches among more, and nnlab train -m ranks them"
        )


def usual_measure(task: str, is_tested: bool, validates: bool) -> str:
    """What `auto` stands for: the error on the examples that decided least."""
    if is_tested:
        return "test_rmse" if task == "regression" else "test_error"
    return "val_error" if validates else "train_error"


def is_larger_better(measure: str) -> bool:
    """Whether more of it is better, as of an accuracy."""
    return larger_is_better(measure.rpartition(":")[2].removeprefix("test_"))


def is_loss(measure: str) -> bool:
    """Whether it is a loss as it was trained, of which there are several kinds; or what its curve gives."""
    return measure.rpartition(":")[2] in ("test_loss", "val_loss", "train_loss")


def refuse_target(target: float | None, curve: str, task: str) -> None:
    """Raise `UserError` for a target that is no value of this curve, to which steps are counted."""
    low, high = _value_range(curve.partition("_")[2], task)
    if target is None or low <= target <= high:
        return
    least, most = (f"{end:g}" if math.isfinite(end) else "" for end in (low, high))
    ends = [f"at least {least}"] * bool(least) + [f"at most {most}"] * bool(most)
    share = f"; {target:g}% is target={target / 100:g}" if (low, high) == (0, 1) and 1 < target <= 100 else ""
    raise UserError(f"target = {target:g}: the {metric_label(curve, task)} is {' and '.join(ends)}{share}")


def _value_range(quantity: str, task: str) -> tuple[float, float]:
    """The least and the largest value of an error, a loss or a metric."""
    if quantity in LOWEST | HIGHEST:
        return LOWEST.get(quantity, 0.0), HIGHEST.get(quantity, 1.0)
    metric = METRICS.get(quantity)
    is_share = metric.larger_is_better if metric else quantity == "error" and task == "classification"
    return 0.0, 1.0 if is_share else math.inf


def refuse_unmeasured(measure: str, measured: list[str], data: str) -> None:
    """Raise `UserError` unless it is `measured` in the rows of all arms on these data."""
    if measure in measured:
        return
    if measure == "steps":
        raise UserError("measure = 'steps': to which value of the validation curve? Write target=0.1, say")
    name = measure.removeprefix("val_")
    has_remedy = measure.startswith("val_") and "val_loss" in measured and name in METRICS
    remedy = f" (training with metrics=[{name}] measures it after every epoch)" * has_remedy
    raise UserError(
        f"measure = '{measure}' is not measured in all rows on {data}{remedy}; measured are "
        f"{', '.join(measured)}"
    )
