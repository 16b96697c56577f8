"""Synthetic data sets, drawn by formula from `data.seed` alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnlab.data.dataset import Data, Dataset
from nnlab.data.normalization import NORMALIZATION_NAMES
from nnlab.errors import UserError
from nnlab.hyperparameters import static
from nnlab.streams import stream

MOST_EXAMPLES = 10_000_000
MOST_ELEMENTS = 2**28  # in a table of float64: 2 GB


@dataclass(frozen=True)
class Line(Data):
    """Points of the line y = 0.1 x + 0.3, x uniform in [0, 1): the smallest regression there is.

    `noise` is the standard deviation of the noise on y.
    """

    name: ClassVar[str] = "line"
    drawn: ClassVar[bool] = True
    n: int = static(100, low=3, high=MOST_EXAMPLES)
    noise: float = static(0.0, low=0, below=np.inf)
    target_normalization: str = static("standard", choices=NORMALIZATION_NAMES)

    def function(self, x: np.ndarray) -> np.ndarray:
        """The line itself."""
        return 0.1 * x + 0.3

    def read(self):
        return _noisy_points(self)


@dataclass(frozen=True)
class Sine(Data):
    """Points of the sine y = sin(2 pi periods x), x uniform in [0, 1).

    `noise` is the standard deviation of the noise on y: no prediction has a smaller RMSE on new examples.

    >>> float(Sine(periods=1.0).function(0.25))
    1.0
    """

    name: ClassVar[str] = "sine"
    drawn: ClassVar[bool] = True
    n: int = static(200, low=3, high=MOST_EXAMPLES)
    noise: float = static(0.2, low=0, below=np.inf)
    periods: float = static(2.0, above=0, below=np.inf)
    target_normalization: str = static("standard", choices=NORMALIZATION_NAMES)

    def function(self, x: np.ndarray) -> np.ndarray:
        """The sine itself."""
        return np.sin(2 * np.pi * self.periods * x)

    def read(self):
        return _noisy_points(self)


@dataclass(frozen=True)
class Noise(Data):
    """`d` standard normal inputs and one of `classes` labels at random: it can only be memorised.

    With a `separation`, x ~ N(mean_c, I), where every two means lie so many standard deviations apart. For
    two classes, no classifier's error is then below Phi(-separation / 2).

    After Zhang, Bengio, Hardt, Recht and Vinyals 2017, "Understanding deep learning requires rethinking
    generalization".
    """

    name: ClassVar[str] = "noise"
    drawn: ClassVar[bool] = True
    n: int = static(400, low=3, high=MOST_EXAMPLES)
    d: int = static(784, low=1, high=1_000_000)
    classes: int = static(2, low=2, high=100_000)
    separation: float = static(0.0, low=0, below=np.inf)

    def read(self):
        if self.n * self.d > MOST_ELEMENTS:
            raise UserError(
                f"data.n = {self.n} and data.d = {self.d} are {self.n * self.d:,} numbers; allowed are "
                f"{MOST_ELEMENTS:,}"
            )
        rng = stream(self.seed, "data", self.name)
        x = rng.standard_normal((self.n, self.d))
        y = rng.integers(self.classes, size=self.n)
        if self.separation:
            x += self._means(rng)[y]
        return Dataset(x, y, tuple(map(str, range(self.classes))), labels="integer")

    def _means(self, rng) -> np.ndarray:
        """(classes, d) means in random orthogonal directions, every two `separation` apart."""
        if self.classes > self.d:
            raise UserError(
                f"data.separation = {self.separation:g}: {self.classes} classes need as many inputs to lie "
                f"equally far apart, but data.d = {self.d}; allowed: data.d={self.classes} or more"
            )
        directions, _ = np.linalg.qr(rng.standard_normal((self.d, self.classes)))
        return self.separation / np.sqrt(2) * directions.T


@dataclass(frozen=True)
class Moons(Data):
    """Two interleaving half circles, a class each, like scikit-learn's `make_moons`.

    `noise` is the standard deviation of the noise on both inputs; the radius is 1.

    >>> Moons(n=100, noise=0.2).load()
    Dataset(100 x 2, 2 classes)
    """

    name: ClassVar[str] = "moons"
    drawn: ClassVar[bool] = True
    n: int = static(400, low=3, high=MOST_EXAMPLES)
    noise: float = static(0.1, low=0, below=np.inf)

    def read(self):
        rng = stream(self.seed, "data", self.name)
        y = np.arange(self.n) % 2
        angle = np.pi * rng.random(self.n)
        upper = np.stack([np.cos(angle), np.sin(angle)], 1)
        x = np.where(y[:, None] == 0, upper, [1, 0.5] - upper)
        x += self.noise * rng.standard_normal(x.shape)
        return Dataset(x, y, ("upper", "lower"), ("x1", "x2"))


@dataclass(frozen=True)
class Spirals(Data):
    """Two spirals of Archimedes around each other, a class each. After Lang and Witbrock 1988.

    They turn `turns` times on their way from the centre to radius 1; `noise` is the standard deviation of the
    noise on both inputs.
    """

    name: ClassVar[str] = "spirals"
    drawn: ClassVar[bool] = True
    n: int = static(400, low=3, high=MOST_EXAMPLES)
    noise: float = static(0.02, low=0, below=np.inf)
    turns: float = static(1.5, above=0, below=np.inf)

    def read(self):
        rng = stream(self.seed, "data", self.name)
        y = np.arange(self.n) % 2
        # The square root gives pieces of equal length nearly the same number of points.
        radius = np.sqrt(rng.random(self.n))
        angle = 2 * np.pi * self.turns * radius + np.pi * y
        x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
        x += self.noise * rng.standard_normal(x.shape)
        return Dataset(x, y, ("first", "second"), ("x1", "x2"))


def _noisy_points(data: Line | Sine) -> Dataset:
    """Points at random x in [0, 1), with normal noise on the function's value."""
    rng = stream(data.seed, "data", data.name)
    x = rng.random((data.n, 1))
    y = data.function(x) + data.noise * rng.standard_normal((data.n, 1))
    return Dataset(x, y, (), ("x",), target_names=("y",))
