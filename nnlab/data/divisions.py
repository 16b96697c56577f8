"""How a split divides examples: by chance, in whole groups, or by time.

Each holds a set of about `size` examples out, and divides examples into k pairs of a training and a
validation set. Indices in, sorted indices out. A `unit` is what is never divided.
"""

from __future__ import annotations

import numpy as np

from nnlab.data.grouping import divide_groups
from nnlab.data.stratification import stratified_folds, stratified_split
from nnlab.errors import UserError


class ByChance:
    """Single examples at random, each class in proportion: its `strata` (N,)."""

    unit, whole = "example", ""
    remedy = "add examples, or take split=none metric=last, which holds nothing back"
    is_random = stratifies = True

    def __init__(self, strata: np.ndarray):
        self.strata = strata

    def units(self, examples: np.ndarray) -> np.ndarray:
        """(n,) the unit of each of these examples."""
        return examples

    def units_with_class(self, examples: np.ndarray, y: np.ndarray, m: int) -> np.ndarray:
        """(m,): how many units have an example of each class, of classes y (N,)."""
        return np.bincount(y[examples], minlength=m)

    def most_folds(self, examples: np.ndarray) -> int:
        """The largest k."""
        return len(np.unique(self.units(examples)))

    def hold_out(self, rng, examples: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        """(the rest, the examples that are held out)."""
        return stratified_split(rng, examples, self.strata, size)

    def folds(self, rng, examples: np.ndarray, k: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Each of k parts validates while the others train."""
        return _rotated(examples, stratified_folds(rng, self.strata[examples], k), k)


class ByGroup(ByChance):
    """Whole groups at random, each class as nearly in proportion as these allow."""

    unit = "group"
    whole = "groups are not divided"
    remedy = "leave the groups out (data.group), or take split=none metric=last, which holds nothing back"

    def __init__(self, strata: np.ndarray, groups: np.ndarray):
        super().__init__(strata)
        self.groups = groups

    def units(self, examples):
        return self.groups[examples]

    def units_with_class(self, examples, y, m):
        pairs = np.unique(np.stack([self.groups[examples], y[examples]]), axis=1)
        return np.bincount(pairs[1], minlength=m)

    def hold_out(self, rng, examples, size):
        share = size / len(examples)
        part = self._divide(rng, examples, np.array([1 - share, share]))
        return examples[part == 0], examples[part == 1]

    def folds(self, rng, examples, k):
        return _rotated(examples, self._divide(rng, examples, np.full(k, 1 / k)), k)

    def _divide(self, rng, examples, shares):
        return divide_groups(rng, self.groups[examples], self.strata[examples], shares)


class ByTime:
    """By time: the last examples are held out, and those of one moment stay together.

    The k folds are windows of about equal size after one another, each validated by what came before it, as
    scikit-learn's TimeSeriesSplit has them.
    """

    unit = "time"
    whole = "examples of one time stay together"
    is_random = stratifies = False
    remedy = "leave the times out (data.time), or take split=none metric=last, which holds nothing back"

    def __init__(self, times: np.ndarray):
        self.times = times

    def units(self, examples):
        return self.times[examples]

    def most_folds(self, examples):
        return len(np.unique(self.times[examples])) - 1  # what came before the first window

    def hold_out(self, rng, examples, size):
        ordered, starts = self._in_order(examples)
        cut = _nearest(starts, len(ordered) - size)
        return np.sort(ordered[:cut]), np.sort(ordered[cut:])

    def folds(self, rng, examples, k):
        ordered, starts = self._in_order(examples)
        n = len(ordered)
        cuts = [_nearest(starts, n - (k - fold) * (n // (k + 1))) for fold in range(k)]
        if len(set(cuts)) < k:
            raise UserError(
                f"split.k = {k}: so many examples have the same time that only {len(set(cuts))} windows are "
                f"left; choose a smaller k"
            )
        return [
            (np.sort(ordered[:cut]), np.sort(ordered[cut:end]))
            for cut, end in zip(cuts, [*cuts[1:], n], strict=True)
        ]

    def _in_order(self, examples):
        """The examples by time, and the positions where a new moment begins."""
        ordered = examples[np.argsort(self.times[examples], kind="stable")]
        return ordered, np.flatnonzero(np.diff(self.times[ordered])) + 1


Division = ByChance | ByTime


def division_of(dataset, stratify: bool) -> Division:
    """How a data set is to be divided. Raises `UserError` for groups and times together."""
    if dataset.groups is not None and dataset.times is not None:
        raise UserError(
            "the data have groups and times, and a split keeps groups together or goes by time: leave out "
            "one of them (data.group, data.time)"
        )
    if dataset.times is not None:
        return ByTime(dataset.times)
    strata = dataset.y if stratify and dataset.classes else np.zeros(len(dataset.x), np.int64)
    return ByChance(strata) if dataset.groups is None else ByGroup(strata, dataset.groups)


def _rotated(examples: np.ndarray, fold: np.ndarray, k: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each fold, the examples of the others and its own."""
    return [(examples[fold != f], examples[fold == f]) for f in range(k)]


def _nearest(positions: np.ndarray, wanted: int) -> int:
    return int(positions[np.abs(positions - wanted).argmin()])
