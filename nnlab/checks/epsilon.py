"""The error of central differences against their step epsilon, in float32 and in float64.

    D(e) = (L(theta + e v) - L(theta - e v)) / 2e,  v = g / |g|,  error(e) = |D(e) - |g|| / |g|

Truncation falls as e^2, and rounding rises as 1/e: a V on logarithmic axes, whose lowest point is near the
cube root of the machine's epsilon. Where g is wrong, no epsilon helps.
"""

from __future__ import annotations

import numpy as np
import torch

from nnlab.autodiff.central_differences import BEST_STEP, difference_quotient
from nnlab.autodiff.gradient_comparison import DIFFERENCE_TOLERANCE
from nnlab.checks.objective import Objective
from nnlab.checks.subject import Budget

SMALLEST_EPSILON, LARGEST_EPSILON, MOST_EPSILONS, LEAST_EPSILONS = 1e-12, 1.0, 25, 7
WORK_SHARE = 0.05  # of the budget's work; a network that is too large for `LEAST_EPSILONS` has none


def errors_by_epsilon(objective: Objective, budget: Budget) -> dict:
    """The errors by epsilon in both dtypes, the epsilon that this rung takes, and its limit."""
    work = 2 * 2 * objective.graph.work * objective.batch  # two values, in two dtypes
    count = min(MOST_EPSILONS, int(WORK_SHARE * budget.work / work))
    objective.gradient()
    g = objective.grad.clone()
    size = float(torch.linalg.vector_norm(g))
    if count < LEAST_EPSILONS or not 0 < size < np.inf:
        return {}
    epsilons, errors = np.geomspace(SMALLEST_EPSILON, LARGEST_EPSILON, count), {}
    for dtype in (torch.float32, torch.float64):
        f = objective.value_along(g / size, dtype)
        slopes = np.array([difference_quotient(f, e) for e in epsilons])
        errors[str(dtype).removeprefix("torch.")] = abs(slopes - size) / size
    return {"epsilons": epsilons, **errors, "chosen": BEST_STEP, "limit": DIFFERENCE_TOLERANCE}
