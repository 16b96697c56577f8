"""Stratified random splits: each part has every stratum, usually a class, in about the same proportion."""

import numpy as np


def stratified_split(rng, examples: np.ndarray, strata: np.ndarray, size: int):
    """Split the indices `examples` in two, the second part of `size`, each stratum in proportion.

    Quotas are rounded by the largest-remainder method.
    """
    stratum = strata[examples]
    labels, counts = np.unique(stratum, return_counts=True)
    quotas, remainders = np.divmod(counts * size, len(examples))
    # Ties between remainders are broken at random, or some small classes would never be in a test set. They
    # have a separate generator, so that `rng` draws the same numbers with ties and without.
    tie_rng = np.random.Generator(rng.bit_generator.jumped())
    tie_order = tie_rng.permutation(len(labels))
    quotas[np.lexsort([tie_order, -remainders])[: size - quotas.sum()]] += 1
    selected = [rng.permutation(examples[stratum == c])[:n] for c, n in zip(labels, quotas, strict=True)]
    second = np.sort(np.concatenate(selected))
    return np.setdiff1d(examples, second, assume_unique=True), second


def stratified_folds(rng, strata: np.ndarray, k: int) -> np.ndarray:
    """The fold (N,) of each example: strata are shuffled and dealt out, so sizes differ by at most 1."""
    shuffled = rng.permutation(len(strata))
    by_stratum = shuffled[np.argsort(strata[shuffled], kind="stable")]
    fold = np.empty(len(strata), np.int64)
    fold[by_stratum] = np.arange(len(strata)) % k
    return fold
