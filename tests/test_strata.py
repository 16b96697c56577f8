"""Stratified splits: equal shares of every class, and remainders given out without bias."""

import hashlib

import numpy as np
import pytest
from sklearn.model_selection import StratifiedShuffleSplit

from nnlab.data.dataset import Dataset
from nnlab.data.sources import Digits
from nnlab.data.splits import Holdout
from nnlab.data.stratification import stratified_split
from nnlab.streams import stream

COUNTS = {
    "fifty of two": [2] * 50, "of four": [4] * 25, "one of each": [1] * 30, "two kinds": [3] * 9 + [5] * 9,
    "ones and twos": [1, 2] * 12, "unequal": [7, 11, 13, 40], "rare": [2, 500, 2, 500],
}  # fmt: skip


@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS)
@pytest.mark.parametrize("share", [0.1, 0.2, 0.3, 0.5])
def test_shares_are_equal_and_remainders_go_to_every_class_that_has_the_same(counts, share):
    strata = np.repeat(np.arange(len(counts)), counts)
    n, size = len(strata), round(share * len(strata))
    taken = []
    for seed in range(60):
        rest, second = stratified_split(stream(seed, "split"), np.arange(n), strata, size)
        assert len(second) == size and np.array_equal(np.sort(np.concatenate([rest, second])), np.arange(n))
        taken.append(np.bincount(strata[second], minlength=len(counts)))
    taken, exact = np.array(taken), np.array(counts) * size / n
    assert (np.abs(taken - exact) < 1).all()
    for count in set(counts):  # classes of one size are treated alike
        alike = taken[:, np.array(counts) == count]
        several = len(set(alike[0])) > 1
        assert np.array_equal(alike.min(0) < alike.max(0), np.full(alike.shape[1], several))


def test_no_class_is_favoured_more_than_by_sklearn():
    y = np.repeat(np.arange(25), 4)
    dataset = Dataset(np.zeros((100, 2)), y, tuple(map(str, range(25))))
    folds = [Holdout(seed=seed, test=0.3).folds(dataset)[0] for seed in range(150)]
    shares = np.mean([np.bincount(y[fold.test], minlength=25) == 2 for fold in folds], 0)
    peers = StratifiedShuffleSplit(150, test_size=30, random_state=0).split(y, y)
    theirs = np.mean([np.bincount(y[test], minlength=25) == 2 for _, test in peers], 0)
    assert shares.mean() == theirs.mean() == 0.2
    assert np.abs(shares - 0.2).max() < 0.15 and shares.std() < 1.6 * theirs.std()


def test_splits_without_equal_remainders_stay_as_they_were():
    fold = Holdout().folds(Digits().load())[0]
    parts = [np.asarray(part, "<i8").tobytes() for part in (fold.train, fold.validation, fold.test)]
    assert [hashlib.md5(part).hexdigest()[:8] for part in parts] == ["a2d8910c", "ba41023f", "7ed6f3a6"]
