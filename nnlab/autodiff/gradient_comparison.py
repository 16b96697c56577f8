"""The result of comparing one gradient with central differences and with autograd, and its tolerances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnlab.autodiff.central_differences import FACTOR_TOLERANCE
from nnlab.streams import stream

# Relative errors. A correct gradient differs by about 1e-8 from central differences, and by about 1e-15 from
# autograd, which has no cancellation; one with a wrong sign or factor by 1e-2 or more.
DIFFERENCE_TOLERANCE = 1e-5
AUTOGRAD_TOLERANCE = 1e-8
MIN_SAMPLE = 10  # elements of a gradient that are compared, however much that costs
# The rounding error of a gradient, relative to the largest of the network: of a convolution it is a sum over
# positions and examples, 10,000 terms or more, which may cancel.
ROUNDING_OF_SUMS = 1e-12


@dataclass(frozen=True)
class GradientComparison:
    """The errors of one gradient, of a parameter or of a box's input."""

    gradient_name: str  # of a parameter, hidden1.weight, or of a box, "relu1: dx"
    error: float  # relative to central differences
    autograd_error: float | None  # relative to autograd, if the box has a reference
    kinks: int = 0
    compared_count: int = 0  # how many elements were compared with differences
    total_count: int = 0  # how many there are
    directions: int = 0  # how many random directions were compared too, each of all elements
    resolved: bool = True  # whether differences can distinguish an error of the tolerance from rounding
    factor: float | None = None  # it is so many times the differences; None if it is no multiple of them

    @property
    def box(self) -> str:
        """The box whose gradient it is, or the parameter."""
        return self.gradient_name.partition(":")[0]

    @property
    def wrong(self) -> bool:
        return self.error > DIFFERENCE_TOLERANCE or (self.autograd_error or 0) > AUTOGRAD_TOLERANCE

    @property
    def worst(self) -> tuple[float, float]:
        """The error that is larger relative to its limit, and the limit."""
        errors = (self.error, DIFFERENCE_TOLERANCE), (self.autograd_error or 0.0, AUTOGRAD_TOLERANCE)
        return max(errors, key=lambda pair: pair[0] / pair[1])

    @property
    def severity(self) -> float:
        """The larger of both errors, as a multiple of its limit."""
        error, limit = self.worst
        return error / limit

    @property
    def fault(self) -> str:
        """What is wrong with it, in words."""
        if self.factor is None:
            return f"{self.gradient_name} is wrong: {self.errors}"
        factor = "minus" if abs(self.factor + 1) < FACTOR_TOLERANCE else f"{self.factor:.3g} times"
        return f"{self.gradient_name} is wrong, {factor} the right one: {self.errors}"

    @property
    def errors(self) -> str:
        """Both errors in words."""
        errors = f"off by {self.error:.2g} from differences (limit {DIFFERENCE_TOLERANCE:g})"
        if self.autograd_error is None:
            return errors
        return f"{errors}, {self.autograd_error:.2g} from autograd's (limit {AUTOGRAD_TOLERANCE:g})"

    def to_json(self) -> dict:
        """What check.json has of it."""
        return {
            "error": self.error, "autograd": self.autograd_error, "kinks": self.kinks,
            "compared": self.compared_count, "of": self.total_count, "directions": self.directions,
            "resolved": self.resolved,
        }  # fmt: skip


def affordable_sample(work: float, work_per_value: float, sample: int) -> int:
    """How many elements of a gradient are compared, for at most so much `work`: each takes two values."""
    return int(max(min(MIN_SAMPLE, sample), min(sample, work / (2 * max(work_per_value, 1)))))


def relative_error(gradient: np.ndarray, reference: np.ndarray, rounding: float = 0.0) -> float:
    """The largest difference, relative to the largest element of both; infinite for NaN.

    rounding  an error that the sums of both may have. It is within the tolerance where the gradient vanishes,
              as that of a bias before batch normalisation, which subtracts it
    """
    scale = max(abs(gradient).max(initial=0), abs(reference).max(initial=0), rounding / AUTOGRAD_TOLERANCE)
    if np.isnan(scale):
        return float(np.inf)
    if scale == 0:
        return 0.0
    return float(np.nan_to_num(abs(gradient - reference).max(initial=0) / scale, nan=np.inf))


def sample_indices(n: int, count: int | None, name: str) -> np.ndarray:
    """`count` of n indices, sorted, the same ones in every call; all if `count` is None or at least n."""
    if count is None or count >= n:
        return np.arange(n)
    return np.sort(stream(0, "check", "numbers", name).choice(n, count, replace=False))
