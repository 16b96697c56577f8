"""Which epochs and examples of a large run are drawn, so that a page stays small."""

from __future__ import annotations

import numpy as np

MOST_EPOCHS = 400  # of a curve: more than a screen has room for


def thinned_epochs(epochs: int) -> np.ndarray:
    """The indices, from 0, of the epochs that are drawn."""
    return spread_indices(epochs, MOST_EPOCHS)


def spread_indices(count: int, most: int) -> np.ndarray:
    """All indices below `count`, or `most` of them, evenly spread from the first to the last."""
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(int))
