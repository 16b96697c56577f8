"""Normalisation by the statistics of a row's own training examples, never of the others."""

import warnings

import numpy as np

from nnlab.errors import Advice

# Each gives (mean, scale) of x (N, d): an input is replaced by (input - mean) / scale.
NORMALIZATIONS = {
    "standard": lambda x: (x.mean(0), x.std(0)),  # to mean 0 and standard deviation 1
    "minmax": lambda x: (x.min(0), x.max(0) - x.min(0)),  # to [0, 1]
    "maxabs": lambda x: (np.zeros(x.shape[1]), np.abs(x).max(0)),  # to [-1, 1]; 0 stays 0
    "none": lambda x: (np.zeros(x.shape[1]), np.ones(x.shape[1])),
}
CHOICES = tuple(NORMALIZATIONS)
BLOCK = 2**22  # numbers at a time in float64
SPARSE, MANY = 0.9, 50  # a sparse table: so large a share of zeros, so many columns


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
    if how not in ("standard", "minmax") or x.shape[1] < MANY:
        return
    zeros = 1 - np.count_nonzero(x) / max(1, x.size)
    if zeros > SPARSE:
        warnings.warn(
            f"data.normalization = '{how}': {100 * zeros:.0f}% of the inputs are zeros, and subtracting a "
            f"mean or a minimum makes other numbers of them; data.normalization=maxabs keeps zeros zero",
            Advice,
            stacklevel=3,
        )
