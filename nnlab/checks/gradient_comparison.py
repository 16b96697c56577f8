"""A gradient beside its references, and how far off it may be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnlab.streams import stream

# Relative errors. A right gradient is off by some 1e-8 from differences, and by some 1e-15 from autograd,
# which subtracts nothing; a wrong sign or factor by 1e-2 or more.
DIFFERENCES = 1e-5
AUTOGRAD = 1e-8


@dataclass(frozen=True)
class Compared:
    """One gradient beside its references."""

    where: str  # hidden1.weight, or what of which box: relu1, dx
    error: float  # relative, to differences
    of_autograd: float | None  # the same to autograd, if there is a reference
    kinks: int = 0
    numbers: int = 0  # how many were compared with differences
    of: int = 0  # of how many
    resolved: bool = True  # differences can tell an error of their limit from rounding

    @property
    def wrong(self) -> bool:
        return self.error > DIFFERENCES or (self.of_autograd or 0) > AUTOGRAD

    @property
    def worst(self) -> tuple[float, float]:
        """The error that is larger in units of its limit, and the limit."""
        both = (self.error, DIFFERENCES), (self.of_autograd or 0.0, AUTOGRAD)
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
    """The largest difference, relative to the largest number of both; infinite for what is no number."""
    scale = max(abs(mine).max(initial=0), abs(other).max(initial=0))
    return float(np.nan_to_num(abs(mine - other).max(initial=0) / scale, nan=np.inf)) if scale > 0 else 0.0


def some(n: int, count: int | None, name: str) -> np.ndarray:
    """`count` of n numbers, sorted, always the same ones; all if `count` is None or as large."""
    if count is None or count >= n:
        return np.arange(n)
    return np.sort(stream(0, "check", "numbers", name).choice(n, count, replace=False))
