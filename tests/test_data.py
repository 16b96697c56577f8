"""Splits and normalisation against scikit-learn. (Data sets: test_sources.py and test_files.py.)"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from networks import DOUBLE, Points
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.preprocessing import StandardScaler

from nnlab.data.examples import Examples
from nnlab.data.sources import Dataset
from nnlab.data.splits import SPLITS, Holdout, KFold
from nnlab.errors import UserError

# ---- splits

small_classes = pytest.mark.filterwarnings("ignore:split.k = .* so some validation sets have none of it")


def imbalanced(n, seed=0):
    y = np.random.default_rng(seed).choice(4, size=n, p=[0.5, 0.3, 0.15, 0.05])
    return Dataset(np.arange(float(n))[:, None], y, tuple("abcd"))


def numbers_only(n, seed=0):
    return Dataset(np.arange(float(n))[:, None], np.arange(float(n))[:, None])


SPLIT_CASES = {
    "holdout": Holdout(),
    "holdout-uneven": Holdout(test=0.13, validation=0.31, seed=4),
    "holdout-repeats": Holdout(repeats=3),
    "holdout-unstratified": Holdout(stratify=False),
    "kfold": KFold(),
    "kfold-repeats": KFold(k=3, test=0.1, repeats=2, seed=7),
    "kfold-unstratified": KFold(k=7, stratify=False),
}
every_split = pytest.mark.parametrize("split", SPLIT_CASES.values(), ids=SPLIT_CASES)
every_dataset = pytest.mark.parametrize("dataset", [imbalanced, numbers_only])
every_size = pytest.mark.parametrize("n", [60, 101, 997])


def test_every_split_is_in_the_table():
    """But the one that holds nothing back: tests/test_split_none.py."""
    assert {type(split) for split in SPLIT_CASES.values()} == set(SPLITS.values()) - {SPLITS["none"]}


def sets(fold):
    return fold.train, fold.validation, fold.test


def shares(part, y):
    return np.bincount(y[part], minlength=4)


@small_classes
@every_size
@every_dataset
@every_split
def test_sets_are_disjoint_cover_everything_and_have_the_sizes_asked_for(split, dataset, n):
    folds = split.folds(dataset(n))
    k = getattr(split, "k", 1)
    assert [fold.key for fold in folds] == [(r, f) for r in range(split.repeats) for f in range(k)]
    for fold in folds:
        assert np.array_equal(np.sort(np.concatenate(sets(fold))), np.arange(n))
        assert all((np.diff(part) > 0).all() and len(part) for part in sets(fold))
        assert len(fold.test) == round(split.test * n)
        share = split.validation * n if k == 1 else (n - len(fold.test)) / k
        assert abs(len(fold.validation) - share) <= (0.5 if k == 1 else 1)


@small_classes
@every_size
@every_split
def test_stratified_counts_are_within_one_of_the_exact_shares(split, n):
    dataset = imbalanced(n)
    totals = np.bincount(dataset.y, minlength=4)
    for fold in split.folds(dataset):
        if split.stratify:
            assert np.abs(shares(fold.test, dataset.y) - totals * len(fold.test) / n).max() < 1
            rest = totals - shares(fold.test, dataset.y)
            share = 1 / split.k if hasattr(split, "k") else len(fold.validation) / rest.sum()
            assert np.abs(shares(fold.validation, dataset.y) - rest * share).max() < 1


def test_the_largest_remainders_are_rounded_up():
    """21 of 5, 10, 33 and 52: exactly 1.05, 2.1, 6.93 and 10.92."""
    y = np.repeat(np.arange(4), [5, 10, 33, 52])
    (fold,) = Holdout(test=0.21).folds(Dataset(np.zeros((100, 1)), y, tuple("abcd")))
    assert shares(fold.test, y).tolist() == [1, 2, 7, 11]


@pytest.mark.parametrize("n", [101, 400, 997])
def test_class_counts_are_those_of_sklearn(n):
    dataset, split = imbalanced(n), KFold(k=4, test=0.2)
    folds = split.folds(dataset)
    _, test = train_test_split(np.arange(n), test_size=len(folds[0].test), stratify=dataset.y, random_state=0)
    assert np.abs(shares(test, dataset.y) - shares(folds[0].test, dataset.y)).max() <= 1

    rest = np.setdiff1d(np.arange(n), folds[0].test)
    expected = StratifiedKFold(4).split(rest, dataset.y[rest])
    expected = np.sort([shares(rest[validation], dataset.y) for _, validation in expected], axis=0)
    counts = np.sort([shares(fold.validation, dataset.y) for fold in folds], axis=0)
    assert np.array_equal(counts, expected)  # a class's counts over the folds


@small_classes
@every_dataset
@pytest.mark.parametrize("k", [2, 5, 48])
def test_folds_partition_what_the_test_set_leaves(dataset, k):
    folds = KFold(k=k).folds(dataset(60))
    assert all(np.array_equal(fold.test, folds[0].test) for fold in folds)
    validated = np.concatenate([fold.validation for fold in folds])
    assert np.array_equal(np.sort(validated), np.setdiff1d(np.arange(60), folds[0].test))
    assert max(len(fold.validation) for fold in folds) - min(len(fold.validation) for fold in folds) <= 1


def assert_same(fold, other, same_fold=True):
    for a, b in zip(fold, other, strict=True):
        assert all(np.array_equal(*pair) for pair in zip(sets(a), sets(b), strict=True)) is same_fold


@every_dataset
@every_split
def test_a_split_depends_on_its_seed_alone(split, dataset):
    data = dataset(101)
    assert_same(split.folds(data), split.folds(data))
    assert_same(split.folds(data), replace(split, seed=split.seed + 50).folds(data), same_fold=False)
    single = [replace(split, seed=split.seed + r, repeats=1).folds(data) for r in range(split.repeats)]
    assert_same(split.folds(data), sum(single, []))
    assert len({fold.test.tobytes() for fold in split.folds(data)}) == split.repeats
    if hasattr(split, "k"):
        assert_same([replace(split, fold=1, repeats=1).folds(data)[0]], [split.folds(data)[1]])


@pytest.mark.parametrize("split, phrases", [
    (Holdout(test=0.01), ["split.test = 0.01", "choose a larger share"]),
    (Holdout(validation=0.01), ["split.validation = 0.01", "choose a larger share"]),
    (Holdout(test=0.5, validation=0.5), ["split.validation = 0.5", "split.test = 0.5", "nothing to train"]),
    (KFold(k=17), ["split.k = 17", "at most 16"]),
    (KFold(k=4, fold=4), ["split.fold = 4", "0 to 3"]),
])  # fmt: skip
def test_splits_that_do_not_work(split, phrases):
    with pytest.raises(UserError) as error:
        split.folds(imbalanced(20))
    assert all(word in str(error.value) for word in phrases), error.value


# ---- normalisation


def normalised(x, dtype, split=KFold(k=3)):  # noqa: B008
    """For every fold: (fold, all examples as nnlab normalises them, and as sklearn does)."""
    dataset = Dataset(x, np.arange(len(x)) % 3, tuple("abc"))
    examples = Examples(Points(), dataset, torch.empty(0, dtype=dtype))
    for fold in split.folds(dataset):
        actual, _ = examples.gather(fold, np.arange(len(x)))
        yield fold, actual.T.double().numpy(), StandardScaler().fit(x[fold.train]).transform(x)


COLUMNS = {  # name: (a column of 200 numbers, from standard normal ones)
    "plain": lambda z: 5 + 3 * z,
    "large": lambda z: 1e8 * z,
    "shifted": lambda z: 1e9 + z,
    "shifted-far": lambda z: -3e12 + 100 * z,
    "small": lambda z: 1e-6 * z,
    "tiny": lambda z: 1e-15 * z,
    "binary": lambda z: (z > 0) * 1.0,
    "constant-zero": lambda z: 0 * z,
    "constant": lambda z: 0 * z + 0.1,
    "constant-large": lambda z: 0 * z + 1e9 + 0.1,
}


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 2e-6), (torch.float64, 1e-7)], ids=str)
def test_inputs_are_normalised_as_by_sklearn(column, dtype, tolerance):
    """By the statistics of the fold's own training examples; a constant column becomes zero."""
    z = np.random.default_rng(0).standard_normal(200)
    for _, actual, expected in normalised(np.stack([column(z), z], 1), dtype):
        np.testing.assert_allclose(actual, expected, atol=tolerance * 5)
        if (column(z) == column(z)[0]).all():
            assert np.abs(actual[:, 0]).max() <= 1e-14 * abs(column(z)[0])


def test_a_column_that_is_constant_where_it_trains_alone():
    z = np.random.default_rng(0).standard_normal((90, 2))
    dataset = Dataset(z, np.zeros(90, int), ("a", "b"))
    fold = Holdout().folds(dataset)[0]
    z[fold.train, 0] = 4
    z[fold.validation, 0] = 6
    x, _ = Examples(Points(), dataset, DOUBLE).gather(fold, fold.validation)
    assert (x[0] == 2).all()


@pytest.mark.parametrize("normalization", ["standard", "none"])
def test_targets_of_regression_and_none(normalization):
    data = Points(classes=0, normalization=normalization, target_normalization=normalization)
    dataset = data.load()
    for fold in KFold(k=3).folds(dataset):
        pairs = zip(
            Examples(data, dataset, DOUBLE).gather(fold, fold.test), (dataset.x, dataset.y), strict=True
        )
        for normalized, raw in pairs:
            expected = (
                StandardScaler().fit(raw[fold.train]).transform(raw) if normalization == "standard" else raw
            )
            np.testing.assert_allclose(normalized.T, expected[fold.test], atol=1e-12)
