"""Bootstrap intervals of means: values resampled with replacement, where they may not be normal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnlab.statistics.student import CONFIDENCE_LEVEL, ROUNDING_SHARE
from nnlab.streams import stream

RESAMPLE_COUNT = 9_999
# Of fewer values, intervals of 95% hold the mean less than 85% of the time (docs/reliability.md).
LEAST_VALUES = 6
CHUNK_COUNT = 1_000  # resamples at a time, which bounds the memory


def bca_intervals(samples: Sequence[np.ndarray]) -> list[tuple[float, float] | None]:
    """The 95% interval of each sample's mean by BCa (Efron 1987, Better bootstrap confidence intervals).

    None of fewer than 6 values, and where all are the same. Samples of n values are all resampled alike, by
    numbers that depend on n alone, so an interval does not change with what else is compared.
    """
    intervals: list[tuple[float, float] | None] = [None] * len(samples)
    for n in {len(sample) for sample in samples if len(sample) >= LEAST_VALUES}:
        chosen = [i for i, sample in enumerate(samples) if len(sample) == n and np.ptp(sample) > 0]
        if not chosen:
            continue
        values = np.stack([samples[i] for i in chosen], axis=1)  # (n, samples)
        sizes = np.abs(values).max(0)
        for i, size, column, means in zip(
            chosen, sizes, (values / sizes).T, _resampled_means(values / sizes).T, strict=True
        ):
            low, high = _bca(column, means)
            intervals[i] = float(low * size), float(high * size)
    return intervals


def _resampled_means(values: np.ndarray) -> np.ndarray:
    """(resamples, samples): each is a mean weighted by how often a value was drawn."""
    n, random = len(values), stream(0, "bootstrap", len(values))
    means = np.empty((RESAMPLE_COUNT, values.shape[1]))
    for start in range(0, RESAMPLE_COUNT, CHUNK_COUNT):
        count = min(CHUNK_COUNT, RESAMPLE_COUNT - start)
        drawn = random.integers(n, size=(count, n)) + n * np.arange(count)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=count * n).reshape(count, n) / n
        means[start : start + count] = weights @ values
    return means


def _bca(values: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Quantiles of the resampled means, moved by their bias z0 and by the acceleration a:
    Phi(z0 + (z0 + z) / (1 - a (z0 + z))) for z = Phi^-1(2.5%), Phi^-1(97.5%)."""
    from scipy.special import ndtr, ndtri  # imported late: it takes as long as training a small model

    centred, distances = values - values.mean(), means - values.mean()
    distances[np.abs(distances) <= ROUNDING_SHARE] = 0  # the values are at most 1
    below = (1 - np.sign(distances).mean()) / 2
    z0 = ndtri(np.clip(below, 1 / len(means), 1 - 1 / len(means)))
    acceleration = (centred**3).sum() / (6 * (centred**2).sum() ** 1.5)
    z = z0 + ndtri([(1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2])
    return np.quantile(means, ndtr(z0 + z / (1 - acceleration * z)))
