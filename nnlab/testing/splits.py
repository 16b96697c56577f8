"""The contract of a split: disjoint training, validation and test sets that depend on the seed alone."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from nnlab.data.splits import Split
from nnlab.experiment import Experiment
from nnlab.testing.components import PartContract
from nnlab.testing.rows import Bumps, experiments

SET_NAMES = ("train", "validation", "test")
CLASS_DATA, NUMBER_DATA, TEST_EXAMPLES = Bumps(n=90), Bumps(n=90, classes=0), np.arange(0, 90, 9)


class SplitContract(PartContract):
    """`split` is the class."""

    split: type[Split]

    @property
    def part(self):
        return self.split

    def parts(self):
        return [self.split()]

    def experiments(self) -> list[Experiment]:
        """Experiments on every fold, as rows of one stack."""
        split = self.split()
        return experiments(split=split, metric="val_loss" if split.validates else "last")

    def test_every_example_has_at_most_one_role(self):
        for dataset in self._datasets():
            for fold in self.split().folds(dataset):
                all_indices = np.concatenate([getattr(fold, name) for name in SET_NAMES])
                assert len(np.unique(all_indices)) == len(all_indices), (
                    f"fold {fold.key}: an example has two roles"
                )
                assert ((all_indices >= 0) & (all_indices < len(dataset.x))).all(), (
                    f"fold {fold.key}: no such example"
                )
                assert len(fold.train), f"fold {fold.key}: nothing to train on"
                for name in SET_NAMES:
                    is_sorted = (np.diff(getattr(fold, name)) > 0).all()
                    assert is_sorted, f"fold {fold.key}: {name} is not sorted"

    def test_its_folds_are_as_many_as_it_counts_each_with_a_key(self):
        for dataset in self._datasets():
            folds = self.split().folds(dataset)
            assert len(folds) == self.split().count, f"{len(folds)} folds, but count is {self.split().count}"
            assert len({fold.key for fold in folds}) == len(folds), "two folds have one key"

    def test_it_says_whether_it_validates(self):
        for dataset in self._datasets():
            validates = [len(fold.validation) > 0 for fold in self.split().folds(dataset)]
            assert validates == [self.split.validates] * len(validates), f"validates = {self.split.validates}"

    def test_the_test_set_of_the_data_stays_whole(self):
        for dataset in self._datasets():
            with_test = replace(dataset, test=TEST_EXAMPLES)
            for fold in self.split().folds(with_test):
                assert np.array_equal(fold.test, TEST_EXAMPLES), (
                    f"fold {fold.key}: the data's own test set is another"
                )

    def test_the_folds_depend_on_the_seed_alone(self):
        seeded = "seed" in [f.name for f in fields(self.split)]
        for dataset in self._datasets():
            np.random.seed(1)
            first, again = (_fold_indices(self.split().folds(dataset)) for _ in range(2))
            assert first == again, "the same split of the same data came out otherwise"
            if seeded:
                other = _fold_indices(replace(self.split(), seed=self.split().seed + 1).folds(dataset))
                assert first != other, "another seed, but the same folds"

    def _datasets(self):
        return CLASS_DATA.load(), NUMBER_DATA.load()


def _fold_indices(folds) -> list:
    return [[getattr(fold, name).tolist() for name in SET_NAMES] for fold in folds]
