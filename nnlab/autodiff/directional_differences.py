"""Compares a gradient with differences along random directions, each of which changes every element at once.

    (f(x + h v) - f(x - h v)) / 2h = g'v + O(h^2),  v ~ N(0, 1)

An error e of the gradient, in however few elements, shows as e'v, which is as large as the norm of e. A few
directions say more of a large gradient than many of its elements, but not which of them is wrong.

Every relu and every window of a max-pooling may have a kink between both points, and each is an error of its
share. A smaller step crosses fewer: with the smallest ones almost none, for more rounding.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from nnlab.autodiff.central_differences import Comparison, compare
from nnlab.autodiff.gradient_comparison import DIFFERENCE_TOLERANCE
from nnlab.streams import stream

DIRECTION_STEPS = (1e-1, 1e-2, 1e-3, 1e-4)  # times BEST_STEP
DIRECTIONS = 3  # an error of a thousandth of the gradient is missed once in a million times


def compare_directions(
    name: str, gradient: np.ndarray, x: torch.Tensor, value: Callable[[], float], center_value: float,
    magnitude: float,
) -> Comparison:  # fmt: skip
    """Compare `gradient`, that of value() with respect to x, flat. x is shifted in place, and restored."""
    directions = stream(0, "check", "directions", name).standard_normal((DIRECTIONS, *x.shape))

    def f(which: np.ndarray, step: float) -> np.ndarray:
        original, values = x.clone(), []
        for v in directions[which]:
            x.copy_(original + step * torch.from_numpy(v))
            values.append(value())
        x.copy_(original)
        return np.array(values)

    slopes = directions.reshape(DIRECTIONS, -1) @ gradient
    scale = float(np.linalg.norm(gradient))
    return compare(slopes, f, center_value, magnitude, scale, DIFFERENCE_TOLERANCE, DIRECTION_STEPS)
