"""Training, validation and test sets. The test set is held out first, and touched once, at the end.

Whatever is drawn depends on the split's seed alone: rows that differ in `seed` share their split.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnlab.data.sources import Dataset
from nnlab.errors import UserError
from nnlab.fields import Part, static
from nnlab.streams import stream


@dataclass(frozen=True)
class Fold:
    """Which examples train, validate and test one row (sorted example numbers)."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    repeat: int = 0
    number: int = 0

    @property
    def key(self) -> tuple[int, int]:
        return self.repeat, self.number


@dataclass(frozen=True)
class Split(Part):
    """Base of the splits: `folds(dataset)` lists the folds of every repeat."""

    group: ClassVar[str] = "split"
    test: float = static(0.2, above=0, below=1)
    stratify: bool = static(True)
    repeats: int = static(1, low=1)
    seed: int = static(0, low=0)

    def folds(self, dataset: Dataset) -> list[Fold]:
        return [fold for repeat in range(self.repeats) for fold in self._folds(dataset, repeat)]

    def _held_out(self, dataset: Dataset, repeat: int):
        """The split's generator, the strata, and the examples (rest, test)."""
        random = stream(self.seed + repeat, "split")
        strata = dataset.y if self.stratify and dataset.classes else np.zeros(len(dataset.x), np.int64)
        everything = np.arange(len(strata))
        rest, test = divide(random, everything, strata, round(self.test * len(strata)))
        _enough(test, "split.test", self.test, "the test set")
        return random, strata, rest, test


@dataclass(frozen=True)
class Holdout(Split):
    """One training, one validation and one test set; the sizes are shares of all examples."""

    name: ClassVar[str] = "holdout"
    validation: float = static(0.2, above=0, below=1)

    def _folds(self, dataset, repeat):
        random, strata, rest, test = self._held_out(dataset, repeat)
        size = round(self.validation * len(strata))
        if size >= len(rest):
            raise UserError(
                f"split.validation = {self.validation:g} and split.test = {self.test:g} leave nothing to "
                f"train on: their sum must be below 1"
            )
        train, validation = divide(random, rest, strata, size)
        _enough(validation, "split.validation", self.validation, "the validation set")
        return [Fold(train, validation, test, repeat)]


@dataclass(frozen=True)
class KFold(Split):
    """k folds of what the test set leaves: each validates once while the others train."""

    name: ClassVar[str] = "kfold"
    k: int = static(5, low=2)
    fold: int | None = static(None, low=0)

    def _folds(self, dataset, repeat):
        random, strata, rest, test = self._held_out(dataset, repeat)
        if self.k > len(rest):
            raise UserError(f"split.k = {self.k}: only {len(rest)} examples to divide, so at most {len(rest)}")
        if self.fold is not None and self.fold >= self.k:
            raise UserError(f"split.fold = {self.fold}: expected null or a whole number from 0 to {self.k - 1}")
        number = deal(random, strata[rest], self.k)
        folds = [Fold(rest[number != f], rest[number == f], test, repeat, f) for f in range(self.k)]
        return folds if self.fold is None else [folds[self.fold]]


SPLITS = {split.name: split for split in (Holdout, KFold)}


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


def _enough(part: np.ndarray, key: str, share: float, what: str) -> None:
    if len(part) == 0:
        raise UserError(f"{key} = {share:g}: leaves no example for {what}; take more")
