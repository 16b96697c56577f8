"""Data sets, each a part of the experiment with a `load` that gives a `Dataset`."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from nnlab.errors import UserError
from nnlab.fields import Part, static


@dataclass(frozen=True)
class Dataset:
    """Examples in memory: x (N, d) float64; y (N,) class numbers, or (N, m) real targets."""

    x: np.ndarray
    y: np.ndarray
    classes: tuple[str, ...] = ()  # names of the classes; none for regression
    features: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        return "classification" if self.classes else "regression"

    @property
    def sizes(self) -> tuple[int, int]:
        """How many inputs and outputs a network for it has."""
        return self.x.shape[1], len(self.classes) if self.classes else self.y.shape[1]

    def targets(self) -> np.ndarray:
        """(N, m) float64: one-hot classes, or y itself."""
        return np.eye(len(self.classes))[self.y] if self.classes else self.y


@dataclass(frozen=True)
class Data(Part):
    """Base of the data sets: how inputs are normalised, and the seed of whatever is drawn."""

    group: ClassVar[str] = "data"
    normalization: str = static("standard", choices=("standard", "none"))
    seed: int = static(0, low=0)

    def load(self) -> Dataset:
        raise NotImplementedError


@dataclass(frozen=True)
class Digits(Data):
    """1,797 handwritten digits of 8 x 8 pixels (0 to 16), 10 classes. Alpaydin and Kaynak 1998."""

    name: ClassVar[str] = "digits"

    def load(self):
        table = np.loadtxt(_shipped("digits.csv.gz"), delimiter=",")
        pixels = tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8))
        return Dataset(table[:, :-1], table[:, -1].astype(np.int64), tuple("0123456789"), pixels)


@dataclass(frozen=True)
class Diabetes(Data):
    """442 patients: age, sex, body mass, blood pressure, six sera; how far the disease went in a year.

    Efron, Hastie, Johnstone and Tibshirani 2004.
    """

    name: ClassVar[str] = "diabetes"
    target_normalization: str = static("standard", choices=("standard", "none"))

    def load(self):
        x = np.loadtxt(_shipped("diabetes_data_raw.csv.gz"))
        y = np.loadtxt(_shipped("diabetes_target.csv.gz"))
        features = ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")
        return Dataset(x, y[:, None], (), features)


SOURCES = {source.name: source for source in (Digits, Diabetes)}


def _shipped(file: str) -> Path:
    """A file that scikit-learn ships, found without importing scikit-learn (which takes two seconds)."""
    spec = importlib.util.find_spec("sklearn")
    path = spec and Path(spec.submodule_search_locations[0]) / "datasets" / "data" / file
    if not path or not path.exists():
        raise UserError(f"the data set file {file} was not found: install scikit-learn, which ships it")
    return path
