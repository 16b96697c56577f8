"""Compares a gradient with central differences, element by element; kinks are not mistaken for errors.

    df/dx_i = (f(x + h e_i) - f(x - h e_i)) / 2h + O(h^2)

With rounding errors of eps |f| in f, the best step is about h = cbrt(eps), 6e-6 in float64, where both errors
are about 1e-11 (Nocedal and Wright 2006, section 8.1). Where relu is at 0, or the two largest inputs of a
maximum are equal, no derivative exists to compare with: forward and backward differences disagree, however
small the step is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

MACHINE_EPSILON = float(np.finfo(np.float64).eps)
BEST_STEP = MACHINE_EPSILON ** (1 / 3)
SMALLER_STEPS = (1e-1, 1e-2)  # times BEST_STEP: a smaller step does not cross a nearby kink
FACTOR_TOLERANCE = 1e-4  # up to which a gradient is a multiple of the differences
ROUNDING_ERRORS = 16  # of |f|: the rounding error of a difference of two values


def difference_quotient(f: Callable, h):
    """(f(h) - f(-h)) / 2h."""
    return (f(h) - f(-h)) / (2 * h)


@contextmanager
def shifted(x: torch.Tensor, index, step: float) -> Iterator[None]:
    """Inside the context x[index] is larger by `step`; afterwards it has exactly its old value."""
    original = x[index].clone()
    x[index] = original + step
    try:
        yield
    finally:
        x[index] = original


@dataclass(frozen=True)
class Comparison:
    """(n,) each: the error of a gradient relative to `scale`, and where a kink makes comparison
    impossible."""

    errors: np.ndarray
    kinks: np.ndarray  # bool
    resolved: bool  # whether the rounding errors of f are below the tolerance
    factor: float | None = None  # the gradient is so many times the differences; None if it is no multiple

    @property
    def worst(self) -> int | None:
        """The index of the largest error; None if there are only kinks."""
        smooth = np.flatnonzero(~self.kinks)
        return int(smooth[self.errors[smooth].argmax()]) if len(smooth) else None

    @property
    def error(self) -> float:
        return 0.0 if self.worst is None else float(self.errors[self.worst])


def compare(
    gradient: np.ndarray, f: Callable, center_value: float, magnitude: float, scale: float, tolerance: float,
    smaller_steps: tuple[float, ...] = SMALLER_STEPS,
) -> Comparison:  # fmt: skip
    """Compare `gradient` (n,) with the differences of f.

    f(indices, step) -> (m,) gives the values of f with each of the m elements `indices` shifted by `step`,
    one at a time; `center_value` is its unshifted value, and `magnitude` that of the terms it sums. Errors
    are relative to `scale`, the largest gradient of the parameter, or to what rounding lets us resolve.
    """
    all_indices = np.arange(len(gradient))
    noise = ROUNDING_ERRORS * MACHINE_EPSILON * magnitude
    scale = max(scale, noise / BEST_STEP / tolerance, np.finfo(float).tiny)
    slope = difference_quotient(lambda h: f(all_indices, h), BEST_STEP)
    errors = np.nan_to_num(abs(slope - gradient) / scale, nan=np.inf)
    kinks = np.zeros(len(gradient), bool)
    suspects = np.flatnonzero(errors > tolerance)
    for step in BEST_STEP * np.array(smaller_steps):
        if not len(suspects):
            break
        g = gradient[suspects]
        forward = (f(suspects, step) - center_value) / step
        backward = (center_value - f(suspects, -step)) / step
        allowed = tolerance * scale + noise / step
        # Either the kink is out of reach of the smaller step, and the difference fits the gradient ...
        fits = abs((forward + backward) / 2 - g) <= allowed
        # ... or the point lies on it, and any subgradient will do: a number between both slopes.
        smooth = abs(forward - backward) <= allowed
        low = np.minimum(backward, forward) - allowed
        high = np.maximum(backward, forward) + allowed
        subgradient = ~smooth & (low <= g) & (g <= high)
        kinks[suspects] = fits | subgradient
        suspects = suspects[~(fits | subgradient)]
    factor = _factor(gradient[~kinks], slope[~kinks])
    # 1.001: a scale that was raised to the resolution limit is just at that limit, and not resolved.
    return Comparison(errors, kinks, scale * tolerance > noise / BEST_STEP * 1.001, factor)


def _factor(gradient: np.ndarray, slope: np.ndarray) -> float | None:
    """The c of gradient = c slope: -1 where its sign is wrong, 2 where a half is missing."""
    size = np.linalg.norm(slope)
    if len(slope) < 2 or not 0 < size < np.inf:  # every number is a multiple of another
        return None
    factor = gradient @ slope / size**2
    residual = np.linalg.norm(gradient - factor * slope)
    return float(factor) if residual < FACTOR_TOLERANCE * abs(factor) * size else None
