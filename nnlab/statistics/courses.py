"""What a curve gives as one number a row: curves (rows, epochs), NaN where a row did not train.

A row that stopped early stays as it is, so its last value holds for the epochs that follow. `diverged`
(rows,) says which rows did; they have no number (NaN), which `compare_arms` takes for the worst of all.
"""

from __future__ import annotations

import numpy as np


def final(curves: np.ndarray, diverged: np.ndarray | None = None) -> np.ndarray:
    """(rows,): the value of the last epoch that a row trained.

    >>> final(np.array([[3.0, 2.0, np.nan], [3.0, 1.0, 2.0]])).tolist()
    [2.0, 2.0]
    """
    return _without(diverged, held(curves)[:, -1]) if np.shape(curves)[1] else np.full(len(curves), np.nan)


def best(
    curves: np.ndarray, larger_is_better: bool = False, diverged: np.ndarray | None = None
) -> np.ndarray:
    """(rows,): the best value of any epoch."""
    sign = -1.0 if larger_is_better else 1.0
    finite = np.isfinite(curves)
    smallest = np.where(finite, sign * np.asarray(curves, float), np.inf).min(1, initial=np.inf)
    return _without(diverged, np.where(finite.any(1), sign * smallest, np.nan))


def area(curves: np.ndarray, epochs: int | None = None, diverged: np.ndarray | None = None) -> np.ndarray:
    """(rows,): the area under the curve divided by the epochs, which is the mean over them.

    `epochs`, of the longest curve that is compared: shorter ones keep their last value till then.

    >>> area(np.array([[4.0, 2.0]]), epochs=4).tolist()
    [2.5]
    """
    values = held(curves)
    further = (epochs or values.shape[1]) - values.shape[1]
    if further < 0:
        raise ValueError(f"epochs = {epochs}, and the curves have {values.shape[1]}")
    if not values.shape[1]:
        return np.full(len(values), np.nan)
    values = np.pad(values, ((0, 0), (0, further)), mode="edge")
    finite = np.isfinite(values)
    counts = finite.sum(1)
    # Divided before they are added, since the sum of large numbers may overflow.
    means = (np.where(finite, values, 0) / np.maximum(counts, 1)[:, None]).sum(1)
    return _without(diverged, np.where(counts > 0, means, np.nan))


def cost_to_target(
    curves: np.ndarray, target: float, costs: np.ndarray, larger_is_better: bool = False
) -> np.ndarray:
    """(rows,): what it cost until the first epoch at or below `target` (at or above, where larger is better).

    `costs` (epochs,) or (rows, epochs) are what training has cost by the end of each epoch: steps, or
    seconds. Infinite where the target is never reached; a row that reached it before it diverged has reached
    it.

    >>> curves = np.array([[3.0, 2.0, 1.0], [3.0, 3.0, 3.0]])
    >>> cost_to_target(curves, target=2.0, costs=np.array([10, 20, 30])).tolist()
    [20.0, inf]
    """
    with np.errstate(invalid="ignore"):
        reached = np.asarray(curves) >= target if larger_is_better else np.asarray(curves) <= target
    spent = np.where(reached, np.broadcast_to(np.asarray(costs, float), reached.shape), np.inf)
    return spent.min(1, initial=np.inf)


def held(curves: np.ndarray) -> np.ndarray:
    """The curves with every gap filled by the last finite value before it; NaN before the first."""
    curves = np.asarray(curves, float)
    finite = np.isfinite(curves)
    latest = np.maximum.accumulate(np.where(finite, np.arange(curves.shape[1]), -1), axis=1)
    filled = np.take_along_axis(curves, np.maximum(latest, 0), axis=1) if curves.shape[1] else curves
    return np.where(latest >= 0, filled, np.nan)


def _without(diverged: np.ndarray | None, numbers: np.ndarray) -> np.ndarray:
    return numbers if diverged is None else np.where(diverged, np.nan, numbers)
