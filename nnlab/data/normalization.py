"""Normalisation of inputs and targets by column statistics: the methods of `data.normalization`."""

import numpy as np
import torch

from nnlab.errors import CheckedAdvice, advise

SAMPLE_EXAMPLES = 4096  # examples from which medians are computed
# Values more than 10 spreads from the median are outliers: 6.7 standard deviations of a normal column.
FENCE_SPREADS = 10.0
# In a heavy-tailed column the limit is 5 times the length of the tail, if that is farther out.
FENCE_TAILS = 5.0
# The tail is followed through the distances that these shares of the examples exceed.
TAIL_SHARES = (1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64)
# It ends where halving the share makes the distance more than 4 times larger; in a Cauchy column it doubles.
GAP_RATIO = 4.0
# The scale is at least this share of a column's range (a normal column's is 0.15), so that rare values of a
# nearly constant column do not become huge.
LEAST_SCALE_SHARE = 0.1
LINEAR_LIMIT = 5.0  # standard deviations up to which smooth_clip_ leaves an input unchanged
BLOCK_ELEMENTS = 2**22  # converted to float64 at a time
# A table is sparse if it has at least this many columns, and more than this share of zeros.
SPARSE_COLUMNS = 50
SPARSE_ZERO_SHARE = 0.9


def median_and_spread(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(median, spread) of each column of x (N, d), by up to `SAMPLE_EXAMPLES` examples.

    The spread is the median absolute deviation of the values that differ from the median, so that a column of
    mostly zeros is judged by its other values. It is 0 if there are none. Outliers change neither.
    """
    median, deviations = _deviations(x)
    return median, _spread(deviations)


def _deviations(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The medians (d,), and the sorted absolute deviations from them, of `SAMPLE_EXAMPLES` examples."""
    sample = x[np.linspace(0, len(x) - 1, min(len(x), SAMPLE_EXAMPLES)).astype(int)]
    median = np.median(sample, axis=0)
    return median, np.sort(np.abs(sample - median), axis=0)


def _spread(deviations: np.ndarray) -> np.ndarray:
    zeros = (deviations == 0).sum(0)
    middle = np.minimum(zeros + (len(deviations) - zeros - 1) // 2, len(deviations) - 1)
    return np.take_along_axis(deviations, middle[None], 0)[0]


def fence(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(median, reach) of each column of x (N, d): a value farther from the median than `reach` is an outlier.

    The reach follows a heavy tail, but not across a gap, such as that before a code for missing values.
    """
    median, deviations = _deviations(x)
    spread = _spread(deviations)
    tail, has_no_gap = spread, spread > 0
    for share in TAIL_SHARES:
        quantile = deviations[int((1 - share) * (len(deviations) - 1))]
        has_no_gap = has_no_gap & (quantile <= GAP_RATIO * tail)
        tail = np.where(has_no_gap, np.maximum(tail, quantile), tail)
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
    "robust": robust,  # to mean 0 and standard deviation 1 apart from outliers; then `smooth_clip_`
    "standard": standard,  # to mean 0 and standard deviation 1
    "minmax": lambda x: (x.min(0), x.max(0) - x.min(0)),  # to [0, 1]
    "maxabs": lambda x: (np.zeros(x.shape[1]), np.abs(x).max(0)),  # to [-1, 1]; 0 stays 0
    "none": lambda x: (np.zeros(x.shape[1]), np.ones(x.shape[1])),
}
NORMALIZATION_NAMES = tuple(NORMALIZATIONS)


def smooth_clip_(z: torch.Tensor, limit: float = LINEAR_LIMIT) -> torch.Tensor:
    """Clip z (in standard deviations) smoothly and in place: identity up to 5, logarithmic beyond.

        z where |z| <= 5, else sign(z) (5 + log(1 + r)) with r = |z| - 5

    A column that hardly varies in training has a tiny standard deviation. A new example may lie a million of
    them out, and its loss would outweigh all others; clipped, it lies 19 out. Near values keep their
    distances, so a linear model stays linear; far ones keep their order, so a class that begins far out can
    be learnt.
    (RealMLP's curve, Holzmueller, Grinsztajn and Steinwart 2024, begins to bend at 0 and ends at 3.)
    """
    inner = z.clamp(-limit, limit)
    excess = z.sub_(inner)
    return excess.copy_(excess.abs().log1p_().copysign_(inner)).add_(inner)


def bounded_clip_(z: torch.Tensor, limit: float) -> torch.Tensor:
    """Like `smooth_clip_`, but sign(z) (5 + r / sqrt(1 + r^2)) beyond 5, as runs of an old version used."""
    inner = z.clamp(-limit, limit)
    excess = z.sub_(inner)
    return excess.div_(torch.hypot(excess, torch.ones_like(excess))).add_(inner)


def centered(block: np.ndarray, center: np.ndarray, template: torch.Tensor) -> torch.Tensor:
    """Examples (n, d) in float64, minus center (d,), as a tensor (d, n) like `template` in dtype and device.

    Centred before the cast, so that a column like 1e9 + small keeps its digits in float32.
    """
    return torch.from_numpy(np.subtract(block, center, out=block)).to(template).T


def normalize_inputs(x: torch.Tensor, normalizer: dict[str, np.ndarray]) -> torch.Tensor:
    """Normalise inputs (d, n), already minus `center`, in place: z = (x - mean) / scale.

    Where the normaliser has `linear`, z is soft-clipped beyond that limit.
    """
    z = _shift_and_scale_(x, normalizer["mean"] - normalizer["center"], normalizer["scale"])
    if "linear" not in normalizer:
        return z
    clip_ = bounded_clip_ if "bound" in normalizer else smooth_clip_
    return clip_(z, float(normalizer["linear"]))


def normalize_targets(t: torch.Tensor, normalizer: dict[str, np.ndarray]) -> torch.Tensor:
    """Normalise targets (m, n), already minus `target_center`, in place.

    They are never clipped: predictions are scaled back linearly.
    """
    shift = normalizer["target_mean"] - normalizer["target_center"]
    return _shift_and_scale_(t, shift, normalizer["target_scale"])


def _shift_and_scale_(x: torch.Tensor, shift: np.ndarray, scale: np.ndarray) -> torch.Tensor:
    """(x - shift) / scale of x (d, n), in place."""
    if not shift.any() and (scale == 1).all():
        return x
    shift, factor = (torch.from_numpy(v[:, None]).to(x) for v in (shift, 1 / scale))
    return x.sub_(shift).mul_(factor)


def statistics(x: np.ndarray, method: str, examples=None) -> tuple[np.ndarray, np.ndarray]:
    """(mean, scale), each (d,) float64, of x (N, d) or of its rows `examples`; see `NORMALIZATIONS`."""
    mean, scale = np.zeros(x.shape[1]), np.ones(x.shape[1])
    n = len(x) if examples is None else len(examples)
    if method != "none":
        for block_columns, block in column_blocks(x, examples):
            mean[block_columns], scale[block_columns] = NORMALIZATIONS[method](block)
    return constants_scaled_by_one(mean, scale, n)


def constants_scaled_by_one(mean: np.ndarray, scale: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """A constant column of n numbers gets scale 1, so that it becomes 0 and not 0/0."""
    # Rounding may give equal numbers a standard deviation of this size.
    rounding = n * np.finfo(np.float64).eps * np.abs(mean)
    return mean, np.where(scale > rounding, scale, 1.0)


def center_of(x: np.ndarray, method: str) -> np.ndarray:
    """(d,): a number near the values of each column of x (N, d), by the method: 0 where 0 has to stay 0."""
    return (median_and_spread if method == "robust" else NORMALIZATIONS[method])(x)[0]


def column_blocks(x: np.ndarray, examples=None, positions: tuple[int, ...] | None = None):
    """Yield (slice of columns, the columns in float64) of x (N, d), a few at a time to save memory.

    With `positions`, of these columns in this order.
    """
    n = len(x) if examples is None else len(examples)
    width, count = max(1, BLOCK_ELEMENTS // max(1, n)), x.shape[1] if positions is None else len(positions)
    for start in range(0, count, width):
        columns = slice(start, min(start + width, count))
        of_x = columns if positions is None else list(positions[columns])
        if examples is None:
            block = x[:, of_x]
        else:
            block = x[examples, columns] if positions is None else x[np.ix_(examples, of_x)]
        yield columns, block.astype(np.float64, order="C")


def warn_if_sparse(x: np.ndarray, method: str) -> None:
    """Advice, if subtracting a mean or a minimum would fill a table that is nearly all zeros.

    Counts of words and one-hot columns are over 90% zeros, images of written digits about 80%.
    """
    if method not in ("robust", "standard", "minmax") or x.shape[1] < SPARSE_COLUMNS:
        return
    if not isinstance(x, np.ndarray):  # in a file
        x = x[np.linspace(0, len(x) - 1, min(len(x), SAMPLE_EXAMPLES)).astype(int)]
    if method == "minmax" and not x.min(0, initial=0).any():
        return  # as of counts, and of images: what is subtracted is 0
    zeros = 1 - np.count_nonzero(x) / max(1, x.size)
    if zeros > SPARSE_ZERO_SHARE:
        advise(
            f"data.normalization = '{method}': {100 * zeros:.0f}% of the inputs are zeros, and subtracting a "
            f"mean or a minimum makes them nonzero; data.normalization=maxabs keeps zeros zero",
            CheckedAdvice,
        )
