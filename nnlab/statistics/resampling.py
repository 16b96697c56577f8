"""Bootstrap intervals of means: values resampled with replacement, where they may not be normal."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from nnlab.statistics.student import ROUNDING_SHARE, t_quantile
from nnlab.streams import stream

RESAMPLE_COUNT = 10_000
# Of fewer values there are too few resamples that differ: 126 of 5.
LEAST_VALUES = 6
CHUNK_COUNT = 10  # resamples are made in so many parts, which bounds the memory
MOST_KEPT = 100  # values: other quantities of the same seeds use the same resamples, at most 16 MB


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
    n = len(values)
    weights = _kept_weights if n <= MOST_KEPT else _weights
    return np.concatenate([weights(n, chunk) @ values for chunk in range(CHUNK_COUNT)])


def _weights(n: int, chunk: int) -> np.ndarray:
    """(resamples of the chunk, n): how often each value was drawn, over n."""
    count = RESAMPLE_COUNT // CHUNK_COUNT
    drawn = stream(0, "bootstrap", n, chunk).integers(n, size=(count, n)) + n * np.arange(count)[:, None]
    return np.bincount(drawn.ravel(), minlength=count * n).reshape(count, n) / n


_kept_weights = lru_cache(maxsize=2 * CHUNK_COUNT)(_weights)


def _bca(values: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Quantiles of the resampled means, moved by their bias z0 and by the acceleration a:
    Phi(z0 + (z0 + z) / (1 - a (z0 + z))) for z = -+ t sqrt(n / (n - 1)).

    This z, for 1.96, widens what is too narrow for few values: resampled means spread by the standard
    deviation with n for n - 1, and with normal tails for Student's (Hesterberg 2015, What teachers should
    know about the bootstrap, 5.2).
    """
    from scipy.special import ndtr, ndtri  # imported late: it takes as long as training a small model

    n = len(values)
    z = t_quantile(n - 1) * (n / (n - 1)) ** 0.5
    centred, distances = values - values.mean(), means - values.mean()
    distances[np.abs(distances) <= ROUNDING_SHARE] = 0  # the values are at most 1
    below = (1 - np.sign(distances).mean()) / 2
    z0 = ndtri(np.clip(below, 1 / len(means), 1 - 1 / len(means)))
    acceleration = (centred**3).sum() / (6 * (centred**2).sum() ** 1.5)
    z = z0 + np.array([-z, z])
    return np.quantile(means, ndtr(z0 + z / (1 - acceleration * z)))
