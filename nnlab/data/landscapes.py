"""Data on which `model=linear` has a landscape that is known exactly: a loss over slope and intercept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnlab.data.dataset import Data, Dataset
from nnlab.data.normalization import NORMALIZATION_NAMES
from nnlab.data.synthetic import MOST_EXAMPLES
from nnlab.hyperparameters import static
from nnlab.streams import stream


@dataclass(frozen=True)
class Ravine(Data):
    """Points of the line y = x + 1, whose squared error is a ravine over slope w and intercept b.

        loss(w, b) = (w - 1, b - 1) A (w - 1, b - 1)',  A = mean of (x, 1)'(x, 1)

    A is half the Hessian. Its largest eigenvalue is `condition` times the other one; the floor of the ravine,
    along which the loss changes least, runs at `angle` degrees to the axis of b. At 0 the inputs have mean 0
    and standard deviation sqrt(condition): an input in a unit that is too small. The inputs are not
    normalised, since that would make the ravine round. `noise` is the standard deviation of the noise on y,
    which makes gradients of mini-batches noisy, and moves the minimum a little.

    >>> x = Ravine(condition=25.0).load().x
    >>> f"{abs(x.mean()):.9f} {x.std():.9f}"
    '0.000000000 5.000000000'
    """

    name: ClassVar[str] = "ravine"
    drawn: ClassVar[bool] = True
    n: int = static(100, low=3, high=MOST_EXAMPLES)
    condition: float = static(40.0, low=1, high=1e6)
    angle: float = static(0.0, above=-90, below=90)
    noise: float = static(0.0, low=0, below=np.inf)
    normalization: str = static("none", choices=NORMALIZATION_NAMES)
    target_normalization: str = static("none", choices=NORMALIZATION_NAMES)

    def read(self):
        sin, cos = math.sin(math.radians(self.angle)), math.cos(math.radians(self.angle))
        # A = scale (condition u u' + v v') with u = (cos, sin), v = (-sin, cos), and its last element is 1.
        scale = 1 / (self.condition * sin**2 + cos**2)
        mean, deviation = (self.condition - 1) * sin * cos * scale, math.sqrt(self.condition) * scale
        phases = 2 * np.pi * (np.arange(self.n) + 0.5) / self.n
        x = mean + deviation * math.sqrt(2) * np.cos(phases)[:, None]  # of exactly these moments
        noise = stream(self.seed, "data", self.name).standard_normal(x.shape)
        return Dataset(x, x + 1 + self.noise * noise, (), ("x",), target_names=("y",))


@dataclass(frozen=True)
class RarePoints(Data):
    """Few points with large inputs against many with small ones: rare gradients that are large, and right.

    Of `period` points one lies on y = -x, at x = -size or size, and the others on y = x, at x = -1 or 1. With
    loss=absolute_error a slope w in [-1, 1] and the intercept 0 have, up to a constant, the mean loss

        w (size - (period - 1)) / period

    so that w = -1 is the best if size > period - 1. (n is to be a multiple of 2 period, or one sign of the
    inputs is there more often, and the best intercept is not 0.) In w the gradient of a point is size,
    rarely, or -1. It is the example on which Adam goes to the worst slope, +1, as data: Reddi, Kale and
    Kumar 2018, "On the convergence of Adam and beyond", section 3, whose loss is linear, and w kept in
    [-1, 1].
    """

    name: ClassVar[str] = "rare_points"
    n: int = static(1000, low=3, high=MOST_EXAMPLES)
    period: int = static(50, low=2, high=MOST_EXAMPLES)
    size: float = static(100.0, above=0, below=1e6)
    normalization: str = static("none", choices=NORMALIZATION_NAMES)
    target_normalization: str = static("none", choices=NORMALIZATION_NAMES)

    def read(self):
        numbers = np.arange(self.n)
        is_rare, sign = numbers % self.period == 0, np.where(numbers // self.period % 2, -1.0, 1.0)
        x = sign * np.where(is_rare, self.size, 1.0)
        y = np.where(is_rare, -x, x)
        return Dataset(x[:, None], y[:, None], (), ("x",), target_names=("y",))
