"""Which epochs and examples of a large run are drawn, so that a page stays small."""

from __future__ import annotations

import numpy as np

MOST_EPOCHS = 400  # of a curve: more than a screen has room for


def thinned_epochs(epochs: int) -> np.ndarray:
    """The indices, from 0, of the epochs that are drawn: all, or evenly spread, first and last with them."""
    if epochs <= MOST_EPOCHS:
        return np.arange(epochs)
    return np.unique(np.linspace(0, epochs - 1, MOST_EPOCHS).round().astype(int))
