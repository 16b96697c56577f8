"""Splits a data set into training, validation and test sets: holdout, k-fold, or none.

The test set is held out first, and used once, at the end. Data with their own test set (`Dataset.test`) keep
it: `split.test` is then ignored, and the test set is the same in every repeat. All draws depend on the
split's seed alone, so rows that differ only in `seed` share their split.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnlab.allowed import LARGEST_COUNT, LARGEST_EXACT_INTEGER
from nnlab.arguments import typed
from nnlab.data.dataset import Dataset
from nnlab.data.stratification import stratified_folds, stratified_split
from nnlab.errors import UserError, advise
from nnlab.hyperparameters import Component, static
from nnlab.streams import stream

MOST_EXAMPLE_INDICES = 2**27  # in all folds together; int64, so 1 GB


@typed
@dataclass(frozen=True)
class Fold:
    """The examples that train, validate and test a row, as sorted indices."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    repeat: int = 0
    number: int = 0

    @property
    def key(self) -> tuple[int, int]:
        return self.repeat, self.number

    @property
    def monitor(self) -> str:
        """The set on which training is monitored: `validation`, or `train` where nothing is held back."""
        return "validation" if len(self.validation) else "train"


@dataclass(frozen=True)
class Split(Component):
    """Base class of splits: `folds(dataset)` lists the folds of every repeat."""

    group: ClassVar[str] = "split"
    validates: ClassVar[bool] = True  # whether every fold has a validation set

    @property
    def count(self) -> int:
        """How many folds there are, in all repeats."""
        return 1

    def folds(self, dataset: Dataset) -> list[Fold]:
        raise NotImplementedError


@dataclass(frozen=True)
class NoSplit(Split):
    """Every example trains: no validation set, and no test set unless the data bring one.

    Schedules and stopping rules that watch a validation set cannot be combined with it: see `Experiment`.
    """

    name: ClassVar[str] = "none"
    validates: ClassVar[bool] = False

    @typed
    def folds(self, dataset: Dataset) -> list[Fold]:
        all_indices, empty = np.arange(len(dataset.x)), np.zeros(0, np.int64)
        if dataset.test is None:
            return [Fold(all_indices, empty, empty)]
        return [Fold(np.setdiff1d(all_indices, dataset.test, assume_unique=True), empty, dataset.test)]


@dataclass(frozen=True)
class RandomSplit(Split):
    """Base class of the random splits.

    `test` is the share of all examples that is held out, unless the data bring their own test set. With 0
    there is no test set.
    """

    test: float = static(0.2, low=0, below=1)
    stratify: bool = static(True)
    repeats: int = static(1, low=1, high=1000)
    seed: int = static(0, low=0, high=LARGEST_EXACT_INTEGER)

    @property
    def count(self):
        return self.repeats

    @typed
    def folds(self, dataset: Dataset) -> list[Fold]:
        n = len(dataset.x)
        if self.count * n > MOST_EXAMPLE_INDICES:
            raise UserError(
                f"{self.count:,} folds of {n:,} examples are {self.count * n:,} example indices; allowed are "
                f"{MOST_EXAMPLE_INDICES:,}: lower split.repeats or split.k"
            )
        return [fold for repeat in range(self.repeats) for fold in self._folds(dataset, repeat)]

    def _hold_out_test(self, dataset: Dataset, repeat: int):
        """(random generator, stratum of every example, indices outside the test set, test indices)."""
        rng = stream(self.seed + repeat, "split")
        strata = dataset.y if self.stratify and dataset.classes else np.zeros(len(dataset.x), np.int64)
        all_indices = np.arange(len(strata))
        if dataset.test is not None:
            return rng, strata, np.setdiff1d(all_indices, dataset.test, assume_unique=True), dataset.test
        if self.test == 0:
            return rng, strata, all_indices, all_indices[:0]
        rest, test = stratified_split(rng, all_indices, strata, round(self.test * len(strata)))
        _refuse_empty(test, "split.test", self.test, "the test set")
        return rng, strata, rest, test

    def _class_counts(self, dataset: Dataset, rest: np.ndarray) -> np.ndarray:
        """The number of examples of each class in training and validation.

        Raises `UserError` for a class with one example, which cannot be stratified.
        """
        counts = np.bincount(dataset.y[rest], minlength=len(dataset.classes))
        total = counts if dataset.test is not None else np.bincount(dataset.y, minlength=len(counts))
        for c in np.flatnonzero(total == 1)[:1]:
            raise UserError(
                f"split.stratify = true: class '{dataset.classes[c]}' has 1 example, which cannot be in "
                f"two sets; add examples of it (data.limit may be too low), take it out, or set "
                f"split.stratify=false"
            )
        return counts


@dataclass(frozen=True)
class Holdout(RandomSplit):
    """One training, one validation and one test set; the sizes are shares of all examples."""

    name: ClassVar[str] = "holdout"
    validation: float = static(0.2, above=0, below=1)

    def _folds(self, dataset, repeat):
        rng, strata, rest, test = self._hold_out_test(dataset, repeat)
        size = round(self.validation * len(strata))
        if size >= len(rest):
            raise self._nothing_left(dataset, len(rest) / len(strata))
        if self.stratify and dataset.classes:
            self._class_counts(dataset, rest)
        train, validation = stratified_split(rng, rest, strata, size)
        _refuse_empty(validation, "split.validation", self.validation, "the validation set")
        return [Fold(train, validation, test, repeat)]

    def _nothing_left(self, dataset: Dataset, share: float) -> UserError:
        if dataset.test is not None:
            return UserError(
                f"split.validation = {self.validation:g} leaves nothing to train on: the data's own test set "
                f"leaves {share:.0%} of the examples, so choose a smaller share"
            )
        return UserError(
            f"split.validation = {self.validation:g} and split.test = {self.test:g} leave nothing to "
            f"train on: their sum must be below 1"
        )


@dataclass(frozen=True)
class KFold(RandomSplit):
    """k folds of what the test set leaves: each validates once while the others train.

    >>> import nnlab
    >>> folds = KFold(k=4).folds(nnlab.Moons(n=100).load())
    >>> [(len(fold.train), len(fold.validation), len(fold.test)) for fold in folds]
    [(60, 20, 20), (60, 20, 20), (60, 20, 20), (60, 20, 20)]
    """

    name: ClassVar[str] = "kfold"
    k: int = static(5, low=2, high=LARGEST_COUNT)
    fold: int | None = static(None, low=0, high=LARGEST_COUNT)

    @property
    def count(self):
        if self.fold is not None:
            return self.repeats
        return self.repeats * self.k

    def _folds(self, dataset, repeat):
        rng, strata, rest, test = self._hold_out_test(dataset, repeat)
        if self.k > len(rest):
            raise UserError(
                f"split.k = {self.k}: there are only {len(rest)} examples to divide into folds; allowed: at "
                f"most {len(rest)}"
            )
        if self.fold is not None and self.fold >= self.k:
            last = self.k - 1
            raise UserError(f"split.fold = {self.fold}: expected null or a whole number from 0 to {last}")
        if self.stratify and dataset.classes:
            self._warn_of_small_classes(dataset, self._class_counts(dataset, rest))
        fold_of_example = stratified_folds(rng, strata[rest], self.k)
        requested = range(self.k) if self.fold is None else [self.fold]
        return [
            Fold(rest[fold_of_example != f], rest[fold_of_example == f], test, repeat, f) for f in requested
        ]

    def _warn_of_small_classes(self, dataset: Dataset, counts: np.ndarray) -> None:
        """Advice, like scikit-learn's, if a class is too small to be in every validation set."""
        smallest = np.where(counts > 0, counts, counts.max()).argmin()
        if counts[smallest] < self.k:
            advise(
                f"split.k = {self.k}: class '{dataset.classes[smallest]}' has {counts[smallest]} examples to "
                f"divide, so some validation sets have none of it; choose a smaller k"
            )


SPLITS = {split.name: split for split in (Holdout, KFold, NoSplit)}


def _refuse_empty(part: np.ndarray, key: str, share: float, what: str) -> None:
    if len(part) == 0:
        raise UserError(f"{key} = {share:g} leaves no example for {what}; choose a larger share")
