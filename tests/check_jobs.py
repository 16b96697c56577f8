"""Healthy and overlapping jobs for the evaluation of `nnlab check`, and the class `Fault`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import NormalDist
from typing import ClassVar

import numpy as np

import nnlab
from nnlab.autodiff.activations import Identity
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.box import Box
from nnlab.autodiff.combine import Add, Concatenate, Multiply
from nnlab.autodiff.elementary import Subtract
from nnlab.autodiff.embedding import Embedding
from nnlab.autodiff.graph import Graph
from nnlab.data.dataset import Data, Dataset
from nnlab.hyperparameters import static
from nnlab.initializers import INITIALIZERS
from nnlab.models import MODELS, Model
from nnlab.plugins import settings
from nnlab.streams import stream

HASTY = ("imbalanced", "weak", "discrete", "small", "hard", "weak numbers")
TABLE = Path(__file__).with_name("check_table.txt")


@dataclass(frozen=True)
class Drawn(Data):
    """Healthy tables that a hasty check takes for faulty, drawn by formula.

    imbalanced  one example in ten of the rare class, and hardly a better answer than the frequent one
    weak        two classes, 70 to 30, on which the inputs have little bearing
    discrete    four columns of four values: most examples are there more than once
    small       40 examples
    hard        ten classes, the largest of ten sums of 300 inputs: right, but a third is mistaken for another
    weak numbers  a target of which the inputs explain a tenth
    """

    name: ClassVar[str] = "drawn"
    kind: str = static("weak")
    target_normalization: str = static("standard")

    def read(self):
        random = stream(self.seed, "drawn", self.kind)
        n = dict(imbalanced=3000, weak=1500, discrete=500, small=40).get(self.kind, 800)
        x = random.standard_normal((n, 8))
        if self.kind == "weak numbers":
            return Dataset(x, (x[:, :1] + 3 * random.standard_normal((n, 1))) / 3)
        if self.kind == "hard":
            x = random.standard_normal((4000, 300))
            return Dataset(x, (x @ random.standard_normal((300, 10))).argmax(1), tuple("0123456789"))
        if self.kind == "discrete":
            x = random.integers(0, 4, (n, 4)).astype(float)
            return Dataset(x, (x.sum(1) + random.standard_normal(n) > 6).astype(int), ("no", "yes"))
        score = dict(imbalanced=-2.6 + 0.9 * x[:, 0] + 0.6 * x[:, 1], weak=-0.9 + 0.6 * x[:, 0])
        chance = 1 / (1 + np.exp(-score.get(self.kind, 9 * x[:, 0])))
        return Dataset(x, (random.random(n) < chance).astype(int), ("no", "yes"))


SMALL = dict(batch_size=16, epochs=100)  # of small data sets, so that they are trained to the end
JOBS = {  # data set: a job that is healthy
    "digits": dict(),
    "digits 600": dict(data=nnlab.Digits(limit=600), epochs=100),
    "wine": dict(data=nnlab.Wine(), **SMALL),
    "breast_cancer": dict(data=nnlab.BreastCancer(), **SMALL),
    "iris": dict(data=nnlab.Iris(), **SMALL),
    "moons": dict(data=nnlab.Moons(n=1000), **SMALL),
    "diabetes": dict(data=nnlab.Diabetes(), **SMALL),
    **{kind: dict(data=Drawn(kind=kind), **SMALL) for kind in HASTY},
}


def job(name: str, /, **changes) -> nnlab.Experiment:
    return replace(nnlab.Experiment(**JOBS[name]), **changes)


def drawn(kind: str, activation: str, seed: int) -> nnlab.Experiment:
    """A healthy job on one of the tables of HASTY."""
    model = nnlab.MLP(activation=activation)
    return job(kind, data=Drawn(kind=kind, seed=seed), model=model, seed=seed)


# ---- healthy and faulty combinations


@dataclass(frozen=True)
class Combination:
    model: Model
    activation: str
    init: str
    mark: str  # + healthy, x faulty, . excluded

    def __str__(self):
        sizes = "-".join(map(str, getattr(self.model, "hidden", ())))
        return f"{self.model.name} {sizes} {self.activation} {self.init}".replace("  ", " ")

    def experiment(self, data: str, seed: int = 0) -> nnlab.Experiment:
        return job(data, model=self.model, init=INITIALIZERS[self.init](), seed=seed)


def combinations() -> list[Combination]:
    """The table, cell by cell."""
    cells, columns, model = [], [], ""
    for line in TABLE.read_text().splitlines():
        first, *rest = line.split() or [""]
        if first in MODELS:
            sizes = tuple(map(int, rest.pop(0).split("-"))) if "hidden" in settings(MODELS[first]) else ()
            model, columns = (first, sizes), rest
        elif first in INITIALIZERS and columns:
            for activation, mark in zip(columns, rest, strict=True):
                name, sizes = model
                of_cell = MODELS[name](hidden=sizes, activation=activation) if sizes else MODELS[name]()
                cells.append(Combination(of_cell, activation, first, mark))
    return cells


# ---- planted faults


@dataclass(frozen=True)
class Fault:
    """A faulty job: a verdict must name one of `causes`, in a finding whose text contains all `phrases`."""

    name: str
    experiment: nnlab.Experiment
    causes: tuple[str, ...]
    rungs: tuple[str, ...]  # that are run
    phrases: tuple[str, ...] = ()
    patch: Callable = field(default=contextlib.nullcontext)

    def is_detected(self, verdicts) -> bool:
        findings = [f for v in verdicts for f in v.findings if f.status != "pass"]
        named = [f for f in findings if f.cause in self.causes]
        return any(all(phrase in f.found for phrase in self.phrases) for f in named)


@dataclass(frozen=True)
class Between(Model):
    """affine, affine -> box -> affine; for a box of one input there is one affine box before it, and for an
    embedding none."""

    name: ClassVar[str] = "between"
    box: Box = Identity()

    def graph(self, shape, outputs, output="identity"):
        graph = Graph(shape)
        branches = 2 if isinstance(self.box, (Add, Concatenate, Multiply, Subtract)) else 1
        below = [graph.add(f"below{n}", Affine(12), graph.input) for n in range(branches)]
        if isinstance(self.box, Embedding):
            below = [graph.input]
        graph.add("output", Affine(outputs), graph.add("box", self.box, *below))
        return graph


# ---- honest tables whose classes overlap


@dataclass(frozen=True)
class Overlapping(Data):
    """Two classes or three whose best possible answer is wrong in a share `bayes` of the cases; no label is.

    In all but the last two P(yes | x) = 1 / (1 + exp(-a f(x))), with a such that the share comes out.

    linear      f is a sum of the inputs
    imbalanced  the same less a constant: one in five is a yes
    bounded     the same of inputs in [-1, 1]
    ring        f is the distance from the middle, squared
    product     f is the product of two inputs
    cubic       f has heavy tails
    gaussians   two classes around two points
    three       three classes around three points
    """

    name: ClassVar[str] = "overlapping"
    kind: str = static("linear")
    n: int = static(1000)
    d: int = static(4)
    bayes: float = static(0.3)

    def read(self):
        random = stream(self.seed, "overlapping", self.kind)
        x = (
            random.uniform(-1, 1, (self.n, self.d))
            if self.kind == "bounded"
            else random.standard_normal((self.n, self.d))
        )
        if self.kind in ("gaussians", "three"):
            return self._around_points(x, random)
        total = x @ random.standard_normal(self.d)
        f = dict(ring=(x**2).sum(1), product=x[:, 0] * x[:, -1], cubic=total + total**3).get(self.kind, total)
        f = (f - (np.quantile(f, 0.8) if self.kind == "imbalanced" else np.median(f))) / f.std()
        steep = np.geomspace(0.01, 100, 600)
        p = 1 / (1 + np.exp(-np.clip(steep[:, None] * f, -50, 50)))
        best = np.abs(np.minimum(p, 1 - p).mean(1) - self.bayes).argmin()
        return Dataset(x, (random.random(self.n) < p[best]).astype(int), ("no", "yes"))

    def _around_points(self, x, random):
        y = random.integers(3 if self.kind == "three" else 2, size=self.n)
        points = np.zeros((3, self.d))
        points[1, 0] = points[2, -1] = -2 * NormalDist().inv_cdf(self.bayes)  # two of them are so wrong
        return Dataset(x + points[y], y, ("a", "b", "c")[: y.max() + 1])


OVERLAPPING = (  # kind, examples, inputs
    ("linear", 400, 2), ("linear", 1000, 8), ("linear", 3000, 30), ("imbalanced", 1500, 5),
    ("bounded", 1500, 3), ("ring", 1000, 2), ("product", 1000, 3), ("cubic", 800, 5),
    ("gaussians", 800, 3), ("three", 1500, 4),
)  # fmt: skip
BAYES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45)


def overlapping(kind: str, n: int, d: int, bayes: float, seed: int) -> nnlab.Experiment:
    data = Overlapping(kind=kind, n=n, d=d, bayes=bayes, seed=seed)
    return nnlab.Experiment(data=data, seed=seed, **SMALL)
