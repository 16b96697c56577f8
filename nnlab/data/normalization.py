"""Normalisation by the statistics of a row's own training examples, never of the others."""

import warnings

import numpy as np
import torch

from nnlab.errors import Advice

SAMPLE_EXAMPLES = 4096  # of which medians are computed
# No value farther out than 10 spreads from the median counts: 6.7 standard deviations of a normal column.
FENCE_SPREADS = 10.0
# ... unless the column has a heavy tail: values up to 5 times as far out as the tail goes count.
FENCE_TAILS = 5.0
TAIL_SHARES = (1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64)  # of the examples that lie farther out, to find a tail
# A tail ends where half the share lies more than 4 times as far out; in a Cauchy column it is 2 times.
GAP_RATIO = 4.0
# No smaller deviation divides than this share of a column's range (a normal column's is 0.15), so that rare
# values of a nearly constant column do not become huge.
LEAST_SCALE_SHARE = 0.1
LINEAR_LIMIT = 5.0  # deviations up to which an input stays as it is
BLOCK_NUMBERS = 2**22  # converted to float64 at a time
SPARSE_ZERO_SHARE = 0.9  # a table with more zeros, in at least so many columns, is sparse:
SPARSE_COLUMNS = 50


def median_and_spread(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(median, spread) of each column of x (N, d), by up to `SAMPLE_EXAMPLES` examples.

    The spread is the median distance from the median, of the examples that differ from it, so that a column
    of mostly zeros is judged by its other values. It is 0 if there are none. Outliers change neither.
    """
    median, distance = _distances(x)
    return median, _spread(distance)


def _distances(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The medians (d,), and the sorted distances from them of up to `SAMPLE_EXAMPLES` examples."""
    sample = x[np.linspace(0, len(x) - 1, min(len(x), SAMPLE_EXAMPLES)).astype(int)]
    median = np.median(sample, axis=0)
    return median, np.sort(np.abs(sample - median), axis=0)


def _spread(distance: np.ndarray) -> np.ndarray:
    equal = (distance == 0).sum(0)
    middle = np.minimum(equal + (len(distance) - equal - 1) // 2, len(distance) - 1)
    return np.take_along_axis(distance, middle[None], 0)[0]


def fence(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(median, reach) of each column of x (N, d): a value farther from the median than `reach` is an outlier.

    The reach follows a heavy tail, but not across a gap, such as that before a code for missing values.
    """
    median, distance = _distances(x)
    spread = _spread(distance)
    tail, continues = spread, spread > 0
    for share in TAIL_SHARES:
        farther = distance[int((1 - share) * (len(distance) - 1))]
        continues = continues & (farther <= GAP_RATIO * tail)
        tail = np.where(continues, np.maximum(tail, farther), tail)
    return median, np.where(spread > 0, np.maximum(FENCE_SPREADS * spread, FENCE_TAILS * tail), np.inf)


def robust(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, scale) of each column of x (N, d), with outliers clipped to the fence.

    The scale is the standard deviation, or a tenth of the range where that is larger.
    """
    median, reach = fence(x)
    x = np.clip(x, median - reach, median + reach)
    return x.mean(0), np.maximum(x.std(0), LEAST_SCALE_SHARE * np.ptp(x, axis=0))


def standard(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x.mean(0), x.std(0)


# Each gives (mean, scale) of x (N, d): an input is replaced by (input - mean) / scale.
NORMALIZATIONS = {
    "robust": robust,  # to mean 0 and standard deviation 1 without outliers; then `pulled_in`
    "standard": standard,  # to mean 0 and standard deviation 1
    "minmax": lambda x: (x.min(0), x.max(0) - x.min(0)),  # to [0, 1]
    "maxabs": lambda x: (np.zeros(x.shape[1]), np.abs(x).max(0)),  # to [-1, 1]; 0 stays 0
    "none": lambda x: (np.zeros(x.shape[1]), np.ones(x.shape[1])),
}
NORMALIZATION_NAMES = tuple(NORMALIZATIONS)


def pulled_in(z: torch.Tensor, limit: float = LINEAR_LIMIT) -> torch.Tensor:
    """Inputs in standard deviations, in place: unchanged up to 5, growing like a logarithm beyond.

        z where |z| <= 5, else sign(z) (5 + log(1 + r)) with r = |z| - 5

    A column that hardly varies in training has a tiny deviation. One new example may lie a million deviations
    out, and its loss would outweigh all others; here it lies 19 out. Near values keep their distances, so a
    linear model stays linear; far ones keep their order, so a class that begins far out can be learnt.
    (RealMLP's curve, Holzmueller, Grinsztajn and Steinwart 2024, begins to bend at 0 and ends at 3.)
    """
    inner = z.clamp(-limit, limit)
    beyond = z.sub_(inner)
    return beyond.copy_(beyond.abs().log1p_().copysign_(inner)).add_(inner)


def bounded(z: torch.Tensor, limit: float) -> torch.Tensor:
    """As `pulled_in`, but sign(z) (5 + r / sqrt(1 + r^2)) beyond: what runs of an earlier version used."""
    inner = z.clamp(-limit, limit)
    beyond = z.sub_(inner)
    return beyond.div_(torch.hypot(beyond, torch.ones_like(beyond))).add_(inner)


def centered(block: np.ndarray, center: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    """A block of examples (n, d) in float64 as a tensor (d, n) of the type of `like`, less the center (d,).

    Subtracted before the cast, so that a column like 1e9 + small keeps its digits in float32.
    """
    return torch.from_numpy(np.subtract(block, center, out=block)).to(like).T


def normalize_inputs(x: torch.Tensor, normalizer: dict[str, np.ndarray]) -> torch.Tensor:
    """Inputs (d, n) in place, of which the normaliser's `center` has been subtracted: z = (x - mean) / scale,
    far values `pulled_in` where it has `linear`."""
    z = _shift_and_scale(x, normalizer["mean"] - normalizer["center"], normalizer["scale"])
    if "linear" not in normalizer:
        return z
    pull_in = bounded if "bound" in normalizer else pulled_in
    return pull_in(z, float(normalizer["linear"]))


def normalize_targets(t: torch.Tensor, normalizer: dict[str, np.ndarray]) -> torch.Tensor:
    """The same of targets (m, n), less `target_center`; never pulled in, since their way back is a line."""
    shift = normalizer["target_mean"] - normalizer["target_center"]
    return _shift_and_scale(t, shift, normalizer["target_scale"])


def _shift_and_scale(x: torch.Tensor, shift: np.ndarray, scale: np.ndarray) -> torch.Tensor:
    """(x - shift) / scale, in place."""
    if not shift.any() and (scale == 1).all():
        return x
    column = [torch.from_numpy(v[:, None]).to(x) for v in (shift, 1 / scale)]
    return x.sub_(column[0]).mul_(column[1])


def statistics(x: np.ndarray, how: str, examples=None) -> tuple[np.ndarray, np.ndarray]:
    """(mean, scale), each (d,) float64, of all or some `examples` of x (N, d); see `NORMALIZATIONS`."""
    mean, scale = np.zeros(x.shape[1]), np.ones(x.shape[1])
    n = len(x) if examples is None else len(examples)
    if how != "none":
        for here, block in columns(x, examples):
            mean[here], scale[here] = NORMALIZATIONS[how](block)
    # A column that never varies keeps scale 1, so that it becomes 0 and not 0/0. Rounding may give equal
    # numbers a deviation of this size.
    rounding = n * np.finfo(np.float64).eps * np.abs(mean)
    return mean, np.where(scale > rounding, scale, 1.0)


def columns(x: np.ndarray, examples=None):
    """x (N, d) in float64, some columns at a time to save memory: yields (slice of columns, (N, some))."""
    n = len(x) if examples is None else len(examples)
    width = max(1, BLOCK_NUMBERS // max(1, n))
    for start in range(0, x.shape[1], width):
        here = slice(start, start + width)
        block = x[:, here] if examples is None else x[examples, here]
        yield here, block.astype(np.float64, order="C")


def warn_if_sparse(x: np.ndarray, how: str) -> None:
    """Advice, if subtracting a mean or a minimum would fill a table that is nearly all zeros.

    Counts of words and one-hot columns are over 90% zeros, images of written digits about 80%.
    """
    if how not in ("robust", "standard", "minmax") or x.shape[1] < SPARSE_COLUMNS:
        return
    zeros = 1 - np.count_nonzero(x) / max(1, x.size)
    if zeros > SPARSE_ZERO_SHARE:
        warnings.warn(
            f"data.normalization = '{how}': {100 * zeros:.0f}% of the inputs are zeros, and subtracting a "
            f"mean or a minimum makes them nonzero; data.normalization=maxabs keeps zeros zero",
            Advice,
            stacklevel=3,
        )
