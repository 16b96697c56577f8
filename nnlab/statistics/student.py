"""Student's t: mean and spread of n values, the interval of their mean, and the test that it is 0.

Results of splits that share examples vary together, and s / sqrt(n) says too little. The variance of their
mean is s^2 (1 / n + n_test / n_train) (Nadeau and Bengio 2003, Inference for the generalization error):
`overlap` is n_test / n_train, 0 for independent values.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

CONFIDENCE_LEVEL = 0.95
# Numbers that differ by this share of their size are equal but for rounding: 16 units in the last place.
ROUNDING_SHARE = 2.0**-48


def moments(values: np.ndarray) -> tuple[float, float | None]:
    """Mean and standard deviation (n - 1) of finite `values`; None for a single one, 0 of equal ones.

    They are divided by the largest first, so that squares neither overflow nor vanish.

    >>> moments(np.array([1e200, 3e200]))[0], moments(np.array([0.1, 0.1, 0.1]))
    (2e+200, (0.1, 0.0))
    """
    first, size = float(values[0]), float(np.max(np.abs(values)))
    if np.ptp(values / size if size else values) <= ROUNDING_SHARE:
        return first, 0.0 if len(values) > 1 else None
    scaled = values / size
    return float(scaled.mean()) * size, float(scaled.std(ddof=1)) * size


def standard_error(std: float, n: int, overlap: float = 0.0) -> float:
    """s sqrt(1 / n + n_test / n_train)."""
    return std * math.sqrt(1 / n + overlap)


def student_interval(mean: float, std: float, n: int, overlap: float = 0.0) -> tuple[float, float]:
    """mean -+ t s sqrt(1 / n + n_test / n_train), of n >= 2 values."""
    half_width = t_quantile(n - 1) * standard_error(std, n, overlap)
    return mean - half_width, mean + half_width


def student_p(mean: float, std: float, n: int, overlap: float = 0.0) -> float:
    """The two-sided p of the test that the mean of n >= 2 values is 0; their `std` is above 0."""
    from scipy.special import stdtr  # imported late: it takes as long as training a small model

    return float(2 * stdtr(n - 1, -abs(mean / standard_error(std, n, overlap))))


@lru_cache
def t_quantile(dof: int, confidence: float = CONFIDENCE_LEVEL) -> float:
    """The t for which P(|T| <= t) = confidence; T has Student's distribution, `dof` = 1, 2, ....

    By bisection on the finite series in theta = atan(t / sqrt(dof)) (Abramowitz and Stegun, 1964,
    26.7.3 and 26.7.4). scipy.special.stdtrit gives the same digits, but importing it takes as long
    as training a small model.
    """
    low, high = 0.0, math.pi / 2  # bounds of theta, since t is unbounded
    for _ in range(60):
        theta = (low + high) / 2
        if _t_probability(theta, dof) < confidence:
            low = theta
        else:
            high = theta
    return math.sqrt(dof) * math.tan(theta)


def _t_probability(theta: float, dof: int) -> float:
    """P(|T| <= sqrt(dof) tan(theta))."""
    sin, cos = math.sin(theta), math.cos(theta)
    odd = dof % 2
    term, total = 1.0, 0.0
    if odd:
        term = cos
    for k in range(odd + 2, dof + 1, 2):
        total += term
        term *= (k - 1) / k * cos * cos
    return 2 / math.pi * (theta + sin * total) if odd else sin * total
