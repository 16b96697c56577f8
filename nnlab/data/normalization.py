"""Normalisation by the statistics of a row's own training examples, never of the others."""

import warnings

import numpy as np
import torch

from nnlab.errors import Advice

SAMPLE = 4096  # examples of which medians are taken
FENCE = 10.0  # spreads from the median, 6.7 standard deviations of a normal column: no farther out counts,
TAIL = 5.0  # unless that is less than so many times as far as the column's tail goes
HALVINGS = (1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64)  # of the examples lie farther out: looked for a tail
GAP = 4.0  # times as far as the one before: that is no tail any more (a Cauchy column's 2)
FLOOR = 0.1  # of a column's range: no smaller deviation divides (a normal column's is 0.15)
LINEAR = 5.0  # deviations up to which an input stays as it is
BLOCK = 2**22  # numbers at a time in float64
SPARSE, MANY = 0.9, 50  # a sparse table: so large a share of zeros, so many columns


def median_and_spread(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each column of x (N, d), by up to `SAMPLE` examples: a few far values move neither.

    The spread is the median distance from the median, over the examples that differ from it: a column of
    mostly zeros is judged by its other values. It is 0 if there are none.
    """
    median, distance = _distances(x)
    return median, _spread(distance)


def _distances(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The medians (d,) and the distances from them of up to `SAMPLE` examples, sorted."""
    sample = x[np.linspace(0, len(x) - 1, min(len(x), SAMPLE)).astype(int)]
    median = np.median(sample, axis=0)
    return median, np.sort(np.abs(sample - median), axis=0)


def _spread(distance: np.ndarray) -> np.ndarray:
    equal = (distance == 0).sum(0)
    middle = np.minimum(equal + (len(distance) - equal - 1) // 2, len(distance) - 1)
    return np.take_along_axis(distance, middle[None], 0)[0]


def fence(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(median, reach) of each column of x (N, d): what lies farther from its median is an outlier.

    A heavy tail goes on: with half as many examples beyond, the distance is no more than some times as
    large. Where there is a gap instead, as before a code for a missing value, the tail ends before it.
    """
    median, distance = _distances(x)
    spread = _spread(distance)
    tail, goes_on = spread, spread > 0
    for share in HALVINGS:
        farther = distance[int((1 - share) * (len(distance) - 1))]
        goes_on = goes_on & (farther <= GAP * tail)
        tail = np.where(goes_on, np.maximum(tail, farther), tail)
    return median, np.where(spread > 0, np.maximum(FENCE * spread, TAIL * tail), np.inf)


def robust(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, scale) of each column of x (N, d), in which values beyond the fence count as the fence.

    The scale is the standard deviation, or a tenth of the range where that is more: so where one value is
    nearly all of a column, the few others do not shout.
    """
    median, reach = fence(x)
    x = np.clip(x, median - reach, median + reach)
    return x.mean(0), np.maximum(x.std(0), FLOOR * np.ptp(x, axis=0))


def standard(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x.mean(0), x.std(0)


# Each gives (mean, scale) of x (N, d): an input is replaced by (input - mean) / scale.
NORMALIZATIONS = {
    "robust": robust,  # to mean 0 and deviation 1, far values aside; then `pulled_in`
    "standard": standard,  # to mean 0 and standard deviation 1
    "minmax": lambda x: (x.min(0), x.max(0) - x.min(0)),  # to [0, 1]
    "maxabs": lambda x: (np.zeros(x.shape[1]), np.abs(x).max(0)),  # to [-1, 1]; 0 stays 0
    "none": lambda x: (np.zeros(x.shape[1]), np.ones(x.shape[1])),
}
CHOICES = tuple(NORMALIZATIONS)


def pulled_in(z: torch.Tensor) -> torch.Tensor:
    """Inputs in standard deviations, in place: as they are up to 5, beyond they grow as a logarithm.

        z where |z| <= 5, else sign(z) (5 + log(1 + r)) with r = |z| - 5

    A column that hardly varies in training has a tiny deviation: one new example may lie a million of them
    out, and its loss outweighs all others; here it is 19 out. Near values keep their distances, so a linear
    model stays one, and far ones their order, so a class that begins far out can be learnt. (RealMLP's
    curve, Holzmueller, Grinsztajn and Steinwart 2024, begins at 0 and ends at 3.)
    """
    inner = z.clamp(-LINEAR, LINEAR)
    beyond = z.sub_(inner)
    return beyond.copy_(beyond.abs().log1p_().copysign_(inner)).add_(inner)


def statistics(x: np.ndarray, how: str, rows=None) -> tuple[np.ndarray, np.ndarray]:
    """(mean, scale), each (d,) float64, of the examples `rows` of x (N, d): see `NORMALIZATIONS`.

    A column that never varies keeps scale 1, so it becomes 0 and not 0/0.
    """
    mean, scale = np.zeros(x.shape[1]), np.ones(x.shape[1])
    n = len(x) if rows is None else len(rows)
    if how != "none":
        for here, block in columns(x, rows):
            mean[here], scale[here] = NORMALIZATIONS[how](block)
    rounding = n * np.finfo(np.float64).eps * np.abs(mean)  # how far equal numbers may seem to spread
    return mean, np.where(scale > rounding, scale, 1.0)


def columns(x: np.ndarray, rows=None):
    """x (N, d) in float64, some columns at a time to save memory: yields (which columns, (N, some))."""
    width = max(1, BLOCK // max(1, len(x) if rows is None else len(rows)))
    for start in range(0, x.shape[1], width):
        here = slice(start, start + width)
        yield here, (x[:, here] if rows is None else x[rows, here]).astype(np.float64, order="C")


def warn_if_sparse(x: np.ndarray, how: str) -> None:
    """Advice, if subtracting a mean or a minimum would fill a table that is nearly all zeros.

    Counts of words and one-hot columns are over 90% zeros, images of written digits about 80%.
    """
    if how not in ("robust", "standard", "minmax") or x.shape[1] < MANY:
        return
    zeros = 1 - np.count_nonzero(x) / max(1, x.size)
    if zeros > SPARSE:
        warnings.warn(
            f"data.normalization = '{how}': {100 * zeros:.0f}% of the inputs are zeros, and subtracting a "
            f"mean or a minimum makes other numbers of them; data.normalization=maxabs keeps zeros zero",
            Advice,
            stacklevel=3,
        )
