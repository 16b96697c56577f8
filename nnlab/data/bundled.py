"""The small data sets that scikit-learn ships, read from its files since importing it takes seconds."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from nnlab.data.dataset import Data, Dataset
from nnlab.data.image_shapes import NORMALIZED_PER
from nnlab.data.normalization import NORMALIZATION_NAMES
from nnlab.errors import UserError
from nnlab.hyperparameters import static


@dataclass(frozen=True)
class Digits(Data):
    """1,797 handwritten digits of 8 x 8 pixels (0 to 16), 10 classes. Alpaydin and Kaynak 1998."""

    name: ClassVar[str] = "digits"
    normalization_per: str = static("auto", choices=NORMALIZED_PER)

    def read(self):
        table = np.loadtxt(sklearn_file("digits.csv.gz"), delimiter=",")
        pixels = tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8))
        return Dataset(
            table[:, :-1], table[:, -1].astype(np.int64), tuple("0123456789"), pixels, shape=(1, 8, 8),
            labels="integer", target_names=("digit",),
        )  # fmt: skip


@dataclass(frozen=True)
class Diabetes(Data):
    """442 patients: age, sex, body mass, blood pressure, six blood serum values; progression in a year.

    Efron, Hastie, Johnstone and Tibshirani 2004.
    """

    name: ClassVar[str] = "diabetes"
    target_normalization: str = static("standard", choices=NORMALIZATION_NAMES)

    def read(self):
        x = np.loadtxt(sklearn_file("diabetes_data_raw.csv.gz"))
        y = np.loadtxt(sklearn_file("diabetes_target.csv.gz"))
        features = ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")
        return Dataset(x, y[:, None], (), features, target_names=("progression",))


@dataclass(frozen=True)
class Wine(Data):
    """178 wines of three growers of one region, 13 chemical measurements. Aeberhard and Forina 1992 (UCI)."""

    name: ClassVar[str] = "wine"

    def read(self):
        features = (
            "alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols",
            "flavanoids", "nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue",
            "od280/od315_of_diluted_wines", "proline",
        )  # fmt: skip
        return read_classification_csv("wine_data.csv", features, "grower")


@dataclass(frozen=True)
class Iris(Data):
    """150 irises of three species, sepals and petals measured in cm. Fisher 1936 (scikit-learn's copy)."""

    name: ClassVar[str] = "iris"

    def read(self):
        features = [f"{part} {side} (cm)" for part in ("sepal", "petal") for side in ("length", "width")]
        return read_classification_csv("iris.csv", tuple(features), "species")


@dataclass(frozen=True)
class BreastCancer(Data):
    """569 tumours, malignant or benign: 10 properties of cell nuclei; mean, standard error, worst of each.

    Street, Wolberg and Mangasarian 1993 (UCI).
    """

    name: ClassVar[str] = "breast_cancer"

    def read(self):
        properties = (
            "radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity",
            "concave points", "symmetry", "fractal dimension",
        )  # fmt: skip
        statistics = ("mean {}", "{} error", "worst {}")
        features = tuple(statistic.format(p) for statistic in statistics for p in properties)
        return read_classification_csv("breast_cancer.csv", features, "diagnosis")


def read_classification_csv(file: str, features: tuple[str, ...], target: str) -> Dataset:
    """A table whose first line is `N,d,class,class,...` and whose last column has the class indices."""
    path = sklearn_file(file)
    with open(path) as lines:
        classes = tuple(lines.readline().strip().split(",")[2:])
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    y = table[:, -1].astype(np.int64)
    return Dataset(table[:, :-1], y, classes, features, target_names=(target,))


def sklearn_file(file: str) -> Path:
    """The path of a file that scikit-learn ships."""
    spec = importlib.util.find_spec("sklearn")
    path = spec and Path(spec.submodule_search_locations[0]) / "datasets" / "data" / file
    if not path or not path.exists():
        raise UserError(f"the data set file {file} was not found: install scikit-learn, which ships it")
    return path
