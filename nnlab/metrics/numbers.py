"""Formulas of regression: functions of `NumberAnswers`, predictions and targets in the target's unit.

`..._each` give a value for each of the m outputs; a metric is their mean, but that the RMSE is the root of
the mean square over all outputs. Outputs that are not finite leave a metric infinite or undefined (NaN).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nnlab.metrics.classes import mean_of_defined


@dataclass(frozen=True)
class NumberAnswers:
    """Predicted numbers z and targets t (m, N) of m outputs and N examples."""

    z: np.ndarray
    t: np.ndarray

    @cached_property
    def residual(self) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):  # of a target of 1e308
            return self.z - self.t


def rmse_each(a: NumberAnswers) -> np.ndarray:
    return _root_mean_square(a.residual)


def rmse(a: NumberAnswers) -> float:
    return float(_root_mean_square(rmse_each(a)[None])[0])


def mae_each(a: NumberAnswers) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.abs(a.residual).mean(1)


def mae(a: NumberAnswers) -> float:
    return float(mae_each(a).mean())


def r2_each(a: NumberAnswers) -> np.ndarray:
    """1 - residual / total sum of squares; undefined (NaN) where all targets of an output are equal, as those
    of a single example are."""
    varies = a.t.max(1) > a.t.min(1)
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = _root_mean_square(a.t - a.t.mean(1, keepdims=True))
        return 1 - np.divide(rmse_each(a), deviation, out=np.full(len(a.t), np.nan), where=varies) ** 2


def r2(a: NumberAnswers) -> float:
    """The mean over the outputs that have one (scikit-learn's uniform average)."""
    varies = a.t.max(1) > a.t.min(1)
    return float(r2_each(a)[varies].mean()) if varies.any() else float("nan")


def mape_each(a: NumberAnswers) -> np.ndarray:
    """Undefined (NaN) where a target of the output is 0."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return np.where((a.t == 0).any(1), np.nan, np.abs(a.residual / a.t).mean(1))


def mape(a: NumberAnswers) -> float:
    """The mean over the outputs that have one."""
    return mean_of_defined(mape_each(a)) if np.isfinite(a.z).all() else float("nan")


def median_absolute_error_each(a: NumberAnswers) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.median(np.abs(a.residual), 1)


def median_absolute_error(a: NumberAnswers) -> float:
    return float(median_absolute_error_each(a).mean())


def _root_mean_square(v: np.ndarray) -> np.ndarray:
    """(m,): the root mean square over the examples of v (m, N)."""
    # Divided by the largest, squares neither overflow nor vanish, whatever the unit.
    largest = np.abs(v).max(1, keepdims=True)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    with np.errstate(over="ignore"):
        return scale[:, 0] * np.sqrt(((v / scale) ** 2).mean(1))
