"""(mean, scale) of inputs by passes over blocks of examples: of each channel of images, or of each input
where the examples are in a file. The methods are those of `normalization.NORMALIZATIONS`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nnlab.data.normalization import (
    LEAST_SCALE_SHARE,
    SAMPLE_EXAMPLES,
    constants_scaled_by_one,
    fence,
    median_and_spread,
    statistics,
)

BLOCK_ELEMENTS = 2**22  # converted to float64 at a time
FEWEST_SAMPLED, SAMPLE_ELEMENTS = 64, 2**26  # examples from which medians are computed, and numbers in them


def input_statistics(x, method: str, groups: int | None, examples=None) -> tuple[np.ndarray, np.ndarray]:
    """(mean, scale) of each input, or where `groups` is given, of each of so many runs of inputs."""
    if groups is None:
        return statistics(x, method, examples)
    return streamed_statistics(x, method, groups, examples)


def streamed_statistics(x, method: str, groups: int, examples=None) -> tuple[np.ndarray, np.ndarray]:
    """(mean, scale), each (d,) float64, of x (N, d) or of its rows `examples`.

    The inputs are `groups` equal runs, such as the pixels of each channel, and those of a run get one mean
    and one scale.
    """
    width, n = x.shape[1] // groups, len(x) if examples is None else len(examples)
    if method == "none":
        return np.zeros(x.shape[1]), np.ones(x.shape[1])
    low, high = _bounds(x, method, groups, examples)

    def blocks():
        for block in row_blocks(x, examples):
            yield np.clip(block.astype(np.float64).reshape(len(block), groups, width), low, high)

    total, least, most = np.zeros(groups), np.full(groups, np.inf), np.full(groups, -np.inf)
    for block in blocks():
        total += block.sum((0, 2))
        least, most = np.minimum(least, block.min((0, 2))), np.maximum(most, block.max((0, 2)))
    mean, scale = total / (n * width), most - least
    if method == "minmax":
        mean = least
    elif method == "maxabs":
        mean, scale = np.zeros(groups), np.maximum(-least, most)
    else:
        squares = np.zeros(groups)
        for block in blocks():
            squares += ((block - mean[:, None]) ** 2).sum((0, 2))
        deviation = np.sqrt(squares / (n * width))
        scale = np.maximum(deviation, LEAST_SCALE_SHARE * scale) if method == "robust" else deviation
    mean, scale = constants_scaled_by_one(mean, scale, n * width)
    return np.repeat(mean, width), np.repeat(scale, width)


def streamed_center(x, method: str, groups: int) -> np.ndarray:
    """(d,): a number near the values of each input, by a sample of the examples; 0 where 0 has to stay 0."""
    if method in ("none", "maxabs"):
        return np.zeros(x.shape[1])
    return np.repeat(_of_sample(median_and_spread, x, groups, None)[0], x.shape[1] // groups)


def row_blocks(x, examples=None) -> Iterator[np.ndarray]:
    """The rows of x (N, d), or these `examples` of it, a few megabytes at a time."""
    size, n = max(1, BLOCK_ELEMENTS // max(1, x.shape[1])), len(x) if examples is None else len(examples)
    for start in range(0, n, size):
        rows = slice(start, start + size)
        yield x[rows] if examples is None else x[examples[rows]]


def _bounds(x, method: str, groups: int, examples) -> tuple[np.ndarray | float, np.ndarray | float]:
    """(low, high), each (groups, 1), to which `robust` clips; none for other methods."""
    if method != "robust":
        return -np.inf, np.inf
    median, reach = _of_sample(fence, x, groups, examples)
    return (median - reach)[:, None], (median + reach)[:, None]


def _of_sample(statistic, x, groups: int, examples) -> tuple[np.ndarray, np.ndarray]:
    """Two statistics (groups,) of some examples, computed for a few groups at a time."""
    n, width = len(x) if examples is None else len(examples), x.shape[1] // groups
    enough = max(FEWEST_SAMPLED, -(-SAMPLE_EXAMPLES // width))
    count = min(n, SAMPLE_EXAMPLES, enough, max(FEWEST_SAMPLED, SAMPLE_ELEMENTS // x.shape[1]))
    rows = np.linspace(0, n - 1, count).astype(int)
    sample = x[rows if examples is None else np.asarray(examples)[rows]].reshape(count, groups, width)
    size = max(1, BLOCK_ELEMENTS // (count * width))
    blocks = [
        statistic(sample[:, g : g + size].transpose(0, 2, 1).reshape(count * width, -1).astype(np.float64))
        for g in range(0, groups, size)
    ]
    return tuple(np.concatenate(parts) for parts in zip(*blocks, strict=True))
