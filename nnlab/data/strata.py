"""Dividing examples so that every stratum (a class, usually) has its share of each part."""

import numpy as np


def divide(random, examples: np.ndarray, strata: np.ndarray, size: int):
    """`examples` in two, the second of `size`; every stratum in equal shares (largest remainders)."""
    own = strata[examples]
    names, counts = np.unique(own, return_counts=True)
    exact = counts * size / len(examples)
    take = np.floor(exact).astype(int)
    take[np.argsort(take - exact, kind="stable")[: size - take.sum()]] += 1
    chosen = [random.permutation(examples[own == c])[:n] for c, n in zip(names, take, strict=True)]
    second = np.sort(np.concatenate(chosen))
    return np.setdiff1d(examples, second, assume_unique=True), second


def deal(random, strata: np.ndarray, k: int) -> np.ndarray:
    """A fold number for each example: strata shuffled, then dealt like cards, so sizes differ by one."""
    shuffled = random.permutation(len(strata))
    by_stratum = shuffled[np.argsort(strata[shuffled], kind="stable")]
    number = np.empty(len(strata), np.int64)
    number[by_stratum] = np.arange(len(strata)) % k
    return number
