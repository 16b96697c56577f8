"""A gradient compared with central differences, number by number; kinks are not taken for faults.

    df/dx_i = (f(x + h e_i) - f(x - h e_i)) / 2h + O(h^2)

With rounding errors of eps |f| in f, the best step is about h = cbrt(eps), 6e-6 in float64, where both errors
are about 1e-11 (Nocedal and Wright 2006, section 8.1). Where relu is at 0, or the two largest inputs of a
maximum are equal, no derivative exists to compare with: right and left differ, however small the step is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

MACHINE_EPSILON = float(np.finfo(np.float64).eps)
BEST_STEP = MACHINE_EPSILON ** (1 / 3)
CLOSER_STEPS = (1e-1, 1e-2)  # times BEST_STEP: a kink that it crosses is soon out of reach
ROUNDING_ERRORS = 16  # by how many roundings of |f| the difference of two values may be off


def difference_quotient(f: Callable, h):
    """(f(h) - f(-h)) / 2h, where f moves something by its argument."""
    return (f(h) - f(-h)) / (2 * h)


@contextmanager
def moved(x: torch.Tensor, at, step: float) -> Iterator[None]:
    """x[at] is `step` larger within, and exactly what it was afterwards."""
    before = x[at].clone()
    x[at] = before + step
    try:
        yield
    finally:
        x[at] = before


@dataclass(frozen=True)
class Comparison:
    """(n,) each: the error of a gradient, relative to `scale`, and where a kink leaves nothing to compare."""

    errors: np.ndarray
    kinks: np.ndarray  # bool
    resolved: bool  # whether the rounding errors of f are below the tolerance

    @property
    def worst(self) -> int | None:
        """The number with the largest error; None if there is nothing to compare."""
        smooth = np.flatnonzero(~self.kinks)
        return int(smooth[self.errors[smooth].argmax()]) if len(smooth) else None

    @property
    def error(self) -> float:
        return 0.0 if self.worst is None else float(self.errors[self.worst])


def compare(
    gradient: np.ndarray, f: Callable, here: float, size: float, scale: float, tolerance: float
) -> Comparison:
    """Compare `gradient` (n,) with the differences of f.

    f(which, step) -> (m,) gives the value of f with each of the m numbers `which` moved by `step`, one at a
    time; `here` is its value where nothing is moved, and `size` that of the terms it sums. Errors are
    relative to `scale`, the largest gradient of the parameter, or to what can be resolved.
    """
    everything = np.arange(len(gradient))
    noise = ROUNDING_ERRORS * MACHINE_EPSILON * size
    scale = max(scale, noise / BEST_STEP / tolerance, np.finfo(float).tiny)
    slope = difference_quotient(lambda h: f(everything, h), BEST_STEP)
    errors = np.nan_to_num(abs(slope - gradient) / scale, nan=np.inf)
    kinks = np.zeros(len(gradient), bool)
    doubtful = np.flatnonzero(errors > tolerance)
    for step in BEST_STEP * np.array(CLOSER_STEPS):
        if not len(doubtful):
            break
        g = gradient[doubtful]
        right = (f(doubtful, step) - here) / step
        left = (here - f(doubtful, -step)) / step
        slack = tolerance * scale + noise / step
        # Either the kink is out of reach of the smaller step, and the difference fits the gradient ...
        fits = abs((right + left) / 2 - g) <= slack
        # ... or the point lies on it, and any subgradient will do: a number between both slopes.
        smooth = abs(right - left) <= slack
        low = np.minimum(left, right) - slack
        high = np.maximum(left, right) + slack
        subgradient = ~smooth & (low <= g) & (g <= high)
        kinks[doubtful] = fits | subgradient
        doubtful = doubtful[~(fits | subgradient)]
    # 1.001: a scale that was raised to what can be resolved is just at the limit, and not resolved.
    return Comparison(errors, kinks, scale * tolerance > noise / BEST_STEP * 1.001)
