"""Which epochs and examples of a large run are drawn, so that a page stays small."""

from __future__ import annotations

import numpy as np

MOST_EPOCHS = 300  # of a curve: more than a screen has room for


def spread_indices(count: int, most: int) -> np.ndarray:
    """All indices below `count`, or `most` of them, evenly spread from the first to the last."""
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(int))
