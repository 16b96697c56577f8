"""Hashes of what a run trains and is tested on, by which its results are known to be comparable."""

from __future__ import annotations

import hashlib

import numpy as np

from nnlab.data.streamed_statistics import row_blocks
from nnlab.experiment import Experiment
from nnlab.training.data_cache import DataCache

SUBSETS = ("train", "validation", "test")


def fingerprints(e: Experiment, cache: DataCache) -> dict[str, str]:
    """The entry in summary.json: of the `data`, all that was read, and of the `examples`, which of them
    train, validate and test each fold, and their targets."""
    digest = hashlib.blake2b(digest_size=8)
    for subset in SUBSETS:
        digest.update(examples_digest(e, subset, cache))
    return {"data": cache.fingerprint(e), "examples": digest.hexdigest()}


def examples_digest(e: Experiment, subset: str, cache: DataCache) -> bytes:
    """A digest of the indices of these examples and of their targets, over all folds.

    Inputs are left out: two tables of the same examples with different columns are comparable. Only for drawn
    examples inputs are included, since different draws may have equal targets.
    """
    dataset, digest = cache.load_data(e), hashlib.blake2b(digest_size=16)
    y = dataset.y if dataset.noisy is None else dataset.noisy
    drawn = e.data.drawn or e.data.limit
    for fold in cache.folds(e):
        indices = getattr(fold, subset)
        arrays = [indices, y[indices]]
        if drawn:
            arrays += row_blocks(dataset.x, indices)
        for array in arrays:
            digest.update(np.ascontiguousarray(array).data)
    return digest.digest()
