"""Normalisation by the statistics of a row's own training examples, never of the others."""

import numpy as np


def statistics(x: np.ndarray, how: str) -> tuple[np.ndarray, np.ndarray]:
    """(mean, scale), each (d,): `standard` is the mean and the standard deviation of x (N, d).

    A column that never varies keeps scale 1, so it becomes 0 and not 0/0. `none` is (0, 1).
    """
    if how == "none":
        return np.zeros(x.shape[1]), np.ones(x.shape[1])
    mean, scale = x.mean(0), x.std(0)
    return mean, np.where(scale > 1e-12 * np.maximum(1, np.abs(mean)), scale, 1.0)
