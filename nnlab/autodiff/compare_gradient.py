"""Compares one gradient with central differences, and with autograd's where that is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from nnlab.autodiff.central_differences import compare, shifted
from nnlab.autodiff.directional_differences import DIRECTIONS, compare_directions
from nnlab.autodiff.gradient_comparison import (
    DIFFERENCE_TOLERANCE,
    GradientComparison,
    relative_error,
    sample_indices,
)


class Point(NamedTuple):
    """The value of a function, and the magnitude of the terms that it sums, of which rounding is a part."""

    value: float
    magnitude: float


def compare_gradient(
    name: str, g: torch.Tensor, x: torch.Tensor, value: Callable[[], float], center: Point, sample: int,
    autograd_gradient: torch.Tensor | None, is_parameter: bool = False,
) -> GradientComparison:  # fmt: skip
    """Compare g, the gradient of value() with respect to x, at `center`. x is shifted in place, and restored.

    In `sample` elements; of a parameter of more also along random directions.
    """
    gradient = g.flatten().numpy()
    indices = sample_indices(len(gradient), sample, name)
    positions = np.transpose(np.unravel_index(indices, tuple(g.shape))).tolist()

    def f(sampled: np.ndarray, step: float) -> np.ndarray:
        values = np.empty(len(sampled))
        for n, k in enumerate(sampled):
            with shifted(x, tuple(positions[k]), step):
                values[n] = value()
        return values

    differences = compare(gradient[indices], f, *center, abs(gradient).max(initial=0), DIFFERENCE_TOLERANCE)
    error, directions = differences.error, 0
    if is_parameter and len(indices) < len(gradient):
        error = max(error, compare_directions(name, gradient, x, value, *center).error)
        directions = DIRECTIONS
    autograd_error = None
    if autograd_gradient is not None:
        autograd_error = relative_error(gradient, autograd_gradient.flatten().numpy())
    kinks = int(differences.kinks.sum())
    return GradientComparison(
        name, error, autograd_error, kinks, len(indices), len(gradient), directions, differences.resolved,
        differences.factor,
    )  # fmt: skip
