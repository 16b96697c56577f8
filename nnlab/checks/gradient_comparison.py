"""A gradient compared with its references, and how far off it may be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnlab.streams import stream

# Relative errors. A right gradient is off by some 1e-8 from differences, and by some 1e-15 from autograd,
# which subtracts nothing; a wrong sign or factor by 1e-2 or more.
DIFFERENCE_TOLERANCE = 1e-5
AUTOGRAD_TOLERANCE = 1e-8


@dataclass(frozen=True)
class Compared:
    """One gradient compared with its references."""

    where: str  # hidden1.weight, or of which box: relu1, dx
    error: float  # relative, compared with differences
    of_autograd: float | None  # the same compared with autograd, if there is a reference
    kinks: int = 0
    numbers: int = 0  # how many were compared with differences
    of: int = 0  # of how many
    resolved: bool = True  # whether differences can tell an error of their tolerance from rounding

    @property
    def wrong(self) -> bool:
        return self.error > DIFFERENCE_TOLERANCE or (self.of_autograd or 0) > AUTOGRAD_TOLERANCE

    @property
    def worst(self) -> tuple[float, float]:
        """The error that is larger in units of its limit, and the limit."""
        both = (self.error, DIFFERENCE_TOLERANCE), (self.of_autograd or 0.0, AUTOGRAD_TOLERANCE)
        return max(both, key=lambda pair: pair[0] / pair[1])

    @property
    def severity(self) -> float:
        """The larger of both errors, in units of its limit."""
        error, limit = self.worst
        return error / limit

    def plain(self) -> dict:
        """For check.json."""
        return {
            "error": self.error, "autograd": self.of_autograd, "kinks": self.kinks, "compared": self.numbers,
            "of": self.of, "resolved": self.resolved,
        }  # fmt: skip


def relative(mine: np.ndarray, other: np.ndarray) -> float:
    """The largest difference, relative to the largest number of both; infinite for NaN."""
    scale = max(abs(mine).max(initial=0), abs(other).max(initial=0))
    if np.isnan(scale):
        return float(np.inf)
    if scale == 0:
        return 0.0
    return float(np.nan_to_num(abs(mine - other).max(initial=0) / scale, nan=np.inf))


def some(n: int, count: int | None, name: str) -> np.ndarray:
    """`count` of n numbers, sorted, always the same ones; all if `count` is None or as large."""
    if count is None or count >= n:
        return np.arange(n)
    return np.sort(stream(0, "check", "numbers", name).choice(n, count, replace=False))
