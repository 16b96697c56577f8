"""Dividing examples so that every stratum, usually a class, has its share in each part."""

import numpy as np


def divide(random, examples: np.ndarray, strata: np.ndarray, size: int):
    """`examples` in two parts, the second of `size`, each stratum in proportion (largest remainders)."""
    stratum = strata[examples]
    names, counts = np.unique(stratum, return_counts=True)
    take, remainder = np.divmod(counts * size, len(examples))
    # Between equal remainders chance decides, or else some small classes would never be in a test set. It has
    # a generator of its own, so that `random` gives the same numbers as without this rule.
    lottery = np.random.Generator(random.bit_generator.jumped())
    lot = lottery.permutation(len(names))
    take[np.lexsort([lot, -remainder])[: size - take.sum()]] += 1
    chosen = [random.permutation(examples[stratum == c])[:n] for c, n in zip(names, take, strict=True)]
    second = np.sort(np.concatenate(chosen))
    return np.setdiff1d(examples, second, assume_unique=True), second


def deal(random, strata: np.ndarray, k: int) -> np.ndarray:
    """A fold number for each example: strata are shuffled and dealt like cards, so sizes differ by one."""
    shuffled = random.permutation(len(strata))
    by_stratum = shuffled[np.argsort(strata[shuffled], kind="stable")]
    number = np.empty(len(strata), np.int64)
    number[by_stratum] = np.arange(len(strata)) % k
    return number
