"""A gradient beside central differences, number by number, with kinks told from faults.

    df/dx_i = (f(x + h e_i) - f(x - h e_i)) / 2h + O(h^2)

With rounding errors of eps |f| in f, the best step is about h = cbrt(eps), 6e-6 in float64, where both errors
are about 1e-11 (Nocedal and Wright 2006, section 8.1). Where relu is at 0, or the two largest inputs of a
maximum are equal, there is no derivative to compare with: right and left differ, however small the step is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

EPS = float(np.finfo(np.float64).eps)
STEP = EPS ** (1 / 3)
CLOSER = (1e-1, 1e-2)  # times STEP: a kink that STEP crosses is soon out of reach
ROUNDINGS = 16  # how many roundings of |f| the difference of two values may be off by


@dataclass(frozen=True)
class Comparison:
    """(n,) each: how far off a gradient is, relative to `scale`, and where a kink forbids to compare."""

    errors: np.ndarray
    kinks: np.ndarray  # bool
    resolved: bool  # the rounding errors of f are below the tolerance

    @property
    def worst(self) -> int | None:
        """The number with the largest error; None if there is nothing to compare."""
        there = np.flatnonzero(~self.kinks)
        return int(there[self.errors[there].argmax()]) if len(there) else None

    @property
    def error(self) -> float:
        return 0.0 if self.worst is None else float(self.errors[self.worst])


def compare(
    gradient: np.ndarray, f: Callable, here: float, size: float, scale: float, tolerance: float
) -> Comparison:
    """Compare `gradient` (n,) with the differences of f.

    f(which, step) -> (m,) gives the values of f after the m numbers `which`, each in its turn, have been
    moved by `step`; `here` is its value where nothing is moved, and `size` the size of what it adds up.
    Errors are relative to `scale`, the largest gradient of the parameter, or to what can be resolved.
    """
    everything = np.arange(len(gradient))
    noise = ROUNDINGS * EPS * size
    scale = max(scale, noise / STEP / tolerance, np.finfo(float).tiny)
    slope = (f(everything, STEP) - f(everything, -STEP)) / (2 * STEP)
    errors = np.nan_to_num(abs(slope - gradient) / scale, nan=np.inf)
    kinks, doubtful = np.zeros(len(gradient), bool), np.flatnonzero(errors > tolerance)
    for step in STEP * np.array(CLOSER):
        if not len(doubtful):
            break
        right, left = (f(doubtful, step) - here) / step, (here - f(doubtful, -step)) / step
        slack = tolerance * scale + noise / step
        smooth = abs(right - left) <= slack
        fits = abs((right + left) / 2 - gradient[doubtful]) <= slack
        low, high = np.minimum(left, right) - slack, np.maximum(left, right) + slack
        between = ~smooth & (low <= gradient[doubtful]) & (gradient[doubtful] <= high)
        kinks[doubtful] = fits | between
        doubtful = doubtful[~(fits | between)]
    return Comparison(errors, kinks, scale * tolerance > noise / STEP * 1.001)
