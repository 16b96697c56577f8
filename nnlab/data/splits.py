"""Splits a data set into training, validation and test sets: holdout, k-fold, or none.

The test set is held out first, and used once, at the end. Data with their own test set (`Dataset.given`) keep
it: `split.test` is then ignored, and the test set is the same in every repeat. All draws depend on the
split's seed alone, so rows that differ only in `seed` share their split. How examples are divided, the data
decide: see `divisions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnlab.allowed import LARGEST_COUNT, LARGEST_EXACT_INTEGER
from nnlab.arguments import typed
from nnlab.data.class_counts import class_counts, count_text, warn_of_small_classes
from nnlab.data.dataset import Dataset
from nnlab.data.divisions import Division, division_of
from nnlab.errors import UserError, advise
from nnlab.hyperparameters import Component, static
from nnlab.streams import stream

MOST_DEVIATION = 0.5  # of the size of a set from its share, as a share of that, without advice
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

    @property
    def refit_examples(self) -> np.ndarray:
        """What a second training trains on: training and validation examples, sorted."""
        return np.sort(np.concatenate([self.train, self.validation]))


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
        test = dataset.given("test")
        if test is None:
            return [Fold(all_indices, empty, empty)]
        return [Fold(np.setdiff1d(all_indices, test, assume_unique=True), empty, test)]


@dataclass(frozen=True)
class RandomSplit(Split):
    """Base class of the splits that draw: at random, in whole groups or by time, as the data have it.

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
        division = division_of(dataset, self.stratify)
        if self.repeats > 1 and not division.is_random:
            raise UserError(
                f"split.repeats = {self.repeats}: a split by time is the same in every repeat; allowed: 1"
            )
        return [fold for repeat in range(self.repeats) for fold in self._folds(dataset, division, repeat)]

    def _folds(self, dataset: Dataset, division: Division, repeat: int) -> list[Fold]:
        raise NotImplementedError

    def _hold_out_test(self, dataset: Dataset, division: Division, repeat: int):
        """(random generator, indices outside the test set and of a given validation set, test indices)."""
        rng, free = stream(self.seed + repeat, "split"), np.arange(len(dataset.x))
        total, test = len(free), dataset.given("test")
        for given in (test, dataset.given("validation")):
            if given is not None:
                free = np.setdiff1d(free, given, assume_unique=True)
        if test is not None or self.test == 0:
            return rng, free, free[:0] if test is None else test
        rest, test = self._hold_out(rng, division, free, "test", total)
        return rng, rest, test

    def _hold_out(self, rng, division: Division, examples: np.ndarray, part: str, total: int):
        """(the rest, the examples that are held out): the share of `total` that the split has for this part.

        Raises `UserError` if no example is left for it, or if these cannot be divided.
        """
        share = getattr(self, part)
        size = round(share * total)
        if size == 0:
            raise UserError(
                f"split.{part} = {share:g} leaves no example for the {part} set; choose a larger share"
            )
        if size >= len(examples):
            raise UserError(
                f"split.{part} = {share:g} is {size} of the {total} examples, and only {len(examples)} are "
                f"left to divide; choose a smaller share"
            )
        if len(examples) > 1 and len(np.unique(division.units(examples))) == 1:
            raise UserError(
                f"all {len(examples)} examples for {_parts_after(part)} are of one {division.unit}, and "
                f"{division.whole}; {division.remedy}"
            )
        rest, held_out = division.hold_out(rng, examples, size)
        if abs(len(held_out) - size) > MOST_DEVIATION * size:
            advise(
                f"split.{part} = {share:g}: the {part} set has {len(held_out) / total:.0%} of the examples, "
                f"since {division.whole}"
            )
        return rest, held_out


@dataclass(frozen=True)
class Holdout(RandomSplit):
    """One training, one validation and one test set; the sizes are shares of all examples.

    No group of the data is in two of them. With times the past trains, what follows validates, and the last
    examples test. A validation or test set that the data bring is taken as it is.
    """

    name: ClassVar[str] = "holdout"
    validation: float = static(0.2, above=0, below=1)

    def _folds(self, dataset, division, repeat):
        given, n = dataset.given("validation"), len(dataset.x)
        if given is not None and self.repeats > 1 and dataset.given("test") is not None:
            raise UserError(
                f"split.repeats = {self.repeats}: the data say which examples train, validate and test, so "
                f"all repeats are the same; allowed: 1"
            )
        rng, rest, test = self._hold_out_test(dataset, division, repeat)
        if given is not None:
            return [Fold(rest, given, test, repeat)]
        if round(self.validation * n) >= len(rest):
            raise self._nothing_left(dataset, len(rest) / n)
        if self.stratify and division.stratifies and dataset.classes:
            class_counts(dataset, division, rest)
        train, validation = self._hold_out(rng, division, rest, "validation", n)
        return [Fold(train, validation, test, repeat)]

    def _nothing_left(self, dataset: Dataset, share: float) -> UserError:
        if dataset.given("test") is not None:
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

    No group of the data is in two folds. With times each of k windows validates what came before it, and the
    test set is what comes last.

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

    def _folds(self, dataset, division, repeat):
        if dataset.given("validation") is not None:
            raise UserError(
                "split=kfold: the data say which examples validate, and in k folds each of them does once; "
                "allowed: split=holdout, or a column that gives a test set alone"
            )
        rng, rest, test = self._hold_out_test(dataset, division, repeat)
        units, most = len(np.unique(division.units(rest))), division.most_folds(rest)
        if self.k > most:
            raise UserError(
                f"split.k = {self.k}: only {count_text(units, division.unit)} to divide into folds; "
                + (f"allowed: at most {most}" if most > 1 else division.remedy)
            )
        if self.fold is not None and self.fold >= self.k:
            last = self.k - 1
            raise UserError(f"split.fold = {self.fold}: expected null or a whole number from 0 to {last}")
        if self.stratify and division.stratifies and dataset.classes:
            warn_of_small_classes(dataset, division, class_counts(dataset, division, rest), self.k)
        folds = division.folds(rng, rest, self.k)
        requested = range(self.k) if self.fold is None else [self.fold]
        return [Fold(*folds[f], test, repeat, f) for f in requested]


SPLITS = {split.name: split for split in (Holdout, KFold, NoSplit)}


def _parts_after(part: str) -> str:
    """What examples are divided into when this part is held out of them."""
    return "training and validation" if part == "validation" else "training, validation and test"
