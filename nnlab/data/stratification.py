"""Dividing examples so that every stratum (a class, usually) has its share of each part."""

import numpy as np


def divide(random, examples: np.ndarray, strata: np.ndarray, size: int):
    """`examples` in two, the second of `size`; every stratum in equal shares (largest remainders).

    Of equal remainders the lot decides: else some small classes never were in a test set.
    """
    own = strata[examples]
    names, counts = np.unique(own, return_counts=True)
    take, remainder = np.divmod(counts * size, len(examples))
    lot = np.random.Generator(random.bit_generator.jumped()).permutation(
        len(names)
    )  # `random` stays as it is
    take[np.lexsort([lot, -remainder])[: size - take.sum()]] += 1
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
