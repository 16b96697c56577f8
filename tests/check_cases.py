"""Healthy jobs and planted faults, on which `nnlab check` is measured: tests and scripts/check_accuracy.py.

A fault has a name, a job, the causes of which one must be found, and the words that must be said.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

import nnlab
from nnlab.autodiff.activations import (
    ACTIVATIONS,
    Identity,
    Sigmoid,
    Softmax,
    Sparsemax,
)
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.box import Box
from nnlab.autodiff.combine import Add, Multiply
from nnlab.autodiff.dropout import DropConnect, Dropout
from nnlab.autodiff.graph import Graph
from nnlab.data.sources import Data
from nnlab.fields import static
from nnlab.initializers import INITIALIZERS
from nnlab.losses import LOSSES
from nnlab.models import MODELS, Model
from nnlab.regularizers import Regularizer
from nnlab.streams import stream

TABLE = Path(__file__).with_name("check_table.txt")

SMALL = dict(batch_size=16, epochs=100)  # of small data sets, so that they are trained to the end
JOBS = {  # data set: a job that is healthy
    "digits": dict(),
    "digits 600": dict(data=nnlab.Digits(limit=600), epochs=100),
    "wine": dict(data=nnlab.Wine(), **SMALL),
    "breast_cancer": dict(data=nnlab.BreastCancer(), **SMALL),
    "iris": dict(data=nnlab.Iris(), **SMALL),
    "moons": dict(data=nnlab.Moons(n=1000), **SMALL),
    "diabetes": dict(data=nnlab.Diabetes(), **SMALL),
}


def job(name: str, /, **changes) -> nnlab.Experiment:
    return replace(nnlab.Experiment(**JOBS[name]), **changes)


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
    found, columns, model = [], [], ""
    for line in TABLE.read_text().splitlines():
        first, *rest = line.split() or [""]
        if first in MODELS:
            sizes = tuple(map(int, rest.pop(0).split("-"))) if first == "mlp" else ()
            model, columns = (first, sizes), rest
        elif first in INITIALIZERS and columns:
            for activation, mark in zip(columns, rest, strict=True):
                made = (
                    MODELS[model[0]]() if not model[1] else nnlab.MLP(hidden=model[1], activation=activation)
                )
                found.append(Combination(made, activation, first, mark))
    return found


# ---- planted faults


@dataclass(frozen=True)
class Fault:
    """`causes`: one of them must be among the verdicts' causes; `words` must stand in what was found."""

    name: str
    experiment: nnlab.Experiment
    causes: tuple[str, ...]
    rungs: tuple[str, ...]  # that are climbed
    words: tuple[str, ...] = ()
    patch: Callable = field(default=contextlib.nullcontext)

    def found(self, verdicts) -> bool:
        findings = [f for v in verdicts for f in v.findings if f.status != "pass"]
        named = [f for f in findings if f.cause in self.causes]
        return any(all(word in f.found for word in self.words) for f in named)


EVERY = ("start", "subset", "saturation", "rates", "data")


def faults(seed: int = 0) -> list[Fault]:
    return [*of_gradients(seed), *of_starts(seed), *of_rates(seed), *of_data(seed), *of_bits(seed)]


# -- a wrong sign or a missing factor in a box's bprop


@dataclass(frozen=True)
class Between(Model):
    """affine, affine -> box -> affine; for a box of one input there is one affine box before it."""

    name: ClassVar[str] = "between"
    box: Box = Identity()

    def graph(self, inputs, outputs, output="identity"):
        graph = Graph((inputs,))
        branches = 2 if isinstance(self.box, (Add, Multiply)) else 1
        below = [graph.add(f"below{n}", Affine(12), graph.input) for n in range(branches)]
        graph.add("output", Affine(outputs), graph.add("box", self.box, *below))
        return graph


def times(factor: float, input: int = 0) -> Callable:
    """bprop's dx of one input, times a factor."""

    def mutant(original):
        def bprop(self, dy):
            dx = list(original(self, dy))
            dx[input] = None if dx[input] is None else dx[input] * factor
            return tuple(dx)

        return bprop

    return mutant


def of_parameter(name: str, factor: float) -> Callable:
    """The gradient of one parameter, times a factor."""

    def mutant(original):
        def bprop(self, dy):
            dx = original(self, dy)
            box = self.box if isinstance(self, DropConnect) else self
            box.grad[name].mul_(factor)
            return dx

        return bprop

    return mutant


def no_derivative(original):
    """dx = dy: the box's own derivative is missing."""
    return lambda self, dy: (dy,)


def no_sum(original):
    """Softmax's and sparsemax's dx without what they subtract."""
    return lambda self, dy: (dy * (self.y if isinstance(self, Softmax) else self.s.copy_(self.y.sign())),)


def no_scale(original):
    """Dropout's dx without the division by 1 - p."""
    return lambda self, dy: (dy * self.mask.sign(),)


def no_mask(original):
    """DropConnect's dW without its mask."""
    return lambda self, dy: self.box.bprop(dy)


def swapped(original):
    """The product's dx_1 = dy x_1."""
    return lambda self, dy: tuple(dy * x for x in self.x)


def transposed(original):
    """dW with the examples of another batch: the order of a sum gone wrong."""

    def bprop(self, dy):
        dx = original(self, dy)
        self.to_dW(dy.flip(2), self.xT)
        return dx

    return bprop


ANY = {"sign": times(-1), "factor 2": times(2), "factor 0.99": times(0.99)}
OF_AFFINE = {
    "dW sign": of_parameter("weight", -1), "dW factor": of_parameter("weight", 0.5), "dW mixed": transposed,
    "db sign": of_parameter("bias", -1), "db missing": of_parameter("bias", 0), "dx sign": times(-1),
    "dx factor": times(2),
}  # fmt: skip
MUTANTS: dict[type, dict] = {
    **{cls: ANY | {"no derivative": no_derivative} for cls in ACTIVATIONS.values()},
    Identity: ANY,
    Softmax: ANY | {"no sum": no_sum},
    Sparsemax: ANY | {"no sum": no_sum},
    Affine: OF_AFFINE,
    Dropout: ANY | {"no scale": no_scale},
    DropConnect: {"dW sign": of_parameter("weight", -1), "no mask": no_mask, "dx sign": times(-1)},
    Add: {"first sign": times(-1), "second sign": times(-1, 1), "second missing": times(0, 1)},
    Multiply: {"first sign": times(-1), "second factor": times(2, 1), "swapped": swapped},
}


@contextlib.contextmanager
def patched(cls, name: str, mutant: Callable) -> Iterator[None]:
    original = getattr(cls, name)
    setattr(cls, name, mutant(original))
    try:
        yield
    finally:
        setattr(cls, name, original)


def of_gradients(seed: int) -> list[Fault]:
    found = []
    for cls, mutants in MUTANTS.items():
        for kind, mutant in mutants.items():
            found.append(mutation(cls, "bprop", f"{cls.__name__}: {kind}", mutant, seed))
    for name, cls in LOSSES.items():
        for kind, factor in (("sign", -1.0), ("factor", 0.5)):
            found.append(mutation(cls, "bprop", f"{name}: {kind}", _loss(factor), seed))
    for kind, regularizer, factor in (("l2 factor", dict(l2=0.1), 2), ("l1 sign", dict(l1=0.1), -1)):
        e = job("wine", regularizer=Regularizer(**regularizer), seed=seed)
        patch = _patch(Regularizer, "add_gradient", _penalty(factor))
        found.append(Fault(f"penalty: {kind}", e, ("gradient",), ("gradients",), ("penalty",), patch))
    e = job("wine", model=Fork(), seed=seed)
    patch = _patch(Graph, "bprop", lambda original: _last_reader_only)
    found.append(Fault("graph: fan-out not summed", e, ("gradient",), ("gradients",), ("below",), patch))
    return found


def _patch(cls, name, mutant):
    return lambda: patched(cls, name, mutant)


def mutation(cls, method: str, name: str, mutant, seed: int) -> Fault:
    """A job in which the class is used, with the mutant in its place."""
    data, word, changes = "wine", "box", dict(model=Between(box=cls()) if cls not in NEEDS else nnlab.MLP())
    if cls in NEEDS:
        data, word, changes = NEEDS[cls]
    return Fault(
        name,
        job(data, seed=seed, **changes),
        ("gradient",),
        ("gradients",),
        (word,),
        _patch(cls, method, mutant),
    )


NEEDS = {  # class: data, the word that names it, and the changes that bring it in
    Affine: ("wine", "output", dict(model=nnlab.MLP(hidden=(9, 7), activation="tanh"))),
    Dropout: ("wine", "dropout1", dict(regularizer=Regularizer(dropout=0.3))),
    DropConnect: (
        "wine", "hidden", dict(model=nnlab.MLP(hidden=(9, 7)), regularizer=Regularizer(dropconnect=0.3)),
    ),
    **{
        cls: ("diabetes" if not cls.needs_classes else "wine", name, dict(loss=name))
        for name, cls in LOSSES.items()
    },
}  # fmt: skip


def _loss(factor: float):
    def mutant(original):
        return lambda self, z, t, weight, out: original(self, z, t, weight, out=out).mul_(factor)

    return mutant


def _penalty(factor: float):
    def mutant(original):
        def add_gradient(self, weights, grad, f, scratch):
            own = torch.zeros_like(grad)
            original(self, weights, own, f, scratch)
            grad.add_(own, alpha=factor)

        return add_gradient

    return mutant


@dataclass(frozen=True)
class Fork(Model):
    """One affine box, read by two."""

    name: ClassVar[str] = "fork"

    def graph(self, inputs, outputs, output="identity"):
        graph = Graph((inputs,))
        below = graph.add("below", Affine(8), graph.input)
        ends = [graph.add(f"{box.__name__}", box(), below) for box in (Sigmoid, ACTIVATIONS["tanh"])]
        graph.add("output", Affine(outputs), graph.add("add", Add(), *ends))
        return graph


def _last_reader_only(self, dy):
    """Graph.bprop with a fault: where several boxes read one, the first that comes back is all it gets."""
    gradients = {len(self.nodes) - 1: dy}
    for n, bprop, inputs in self._backward:
        dx = bprop(gradients.pop(n))
        for j, i in inputs:
            gradients.setdefault(i, dx[j])


# -- initialisation, depth, scale


def of_starts(seed: int) -> list[Fault]:
    found = []
    for c in combinations():
        if c.mark == "x":
            data = ("wine", "digits 600", "breast_cancer")[len(found) % 3]
            found.append(Fault(f"symmetry: {c}", c.experiment(data, seed), ("symmetry",), ("start",)))
    deep = nnlab.MLP(hidden=(64,) * 12, activation="sigmoid")
    for data in ("digits", "wine", "breast_cancer", "diabetes"):
        e = job(data, model=deep, seed=seed)
        found.append(Fault(f"12 sigmoid layers: {data}", e, ("vanishing",), ("saturation", "subset")))
        for activation in ("relu", "tanh", "sigmoid"):
            scaled = Changed(of=JOBS[data].get("data", nnlab.Digits()), scale=1000, normalization="none")
            e = job(data, data=scaled, model=nnlab.MLP(activation=activation), seed=seed)
            causes = ("scales", "large_outputs", "saturated")
            found.append(Fault(f"inputs times 1000: {data} {activation}", e, causes, EVERY))
        e = job(data, init=nnlab.Normal(std=2.0), model=nnlab.MLP(hidden=(64, 64, 64)), seed=seed)
        found.append(Fault(f"weights too large: {data}", e, ("large_outputs", "exploding"), EVERY[:3]))
        e = job(
            data, init=nnlab.Normal(std=3.0), model=nnlab.MLP(hidden=(64, 64), activation="tanh"), seed=seed
        )
        found.append(Fault(f"tanh saturated: {data}", e, ("saturated",), EVERY[:3]))
        e = job(data, init=nnlab.Auto(bias=-30.0), seed=seed)
        found.append(Fault(f"dead relus: {data}", e, ("dead",), EVERY[:3]))
    return found


# -- learning rates


RATES = (  # optimiser, rates that are too small, rates that are too large: by far, and by less
    (nnlab.SGD, (1e-6, 1e-4), (1e2, 1e1)),
    (nnlab.Momentum, (1e-6, 1e-5), (1e2, 3.0)),
    (nnlab.Adam, (1e-8, 1e-6), (1e1, 1.0)),
    (nnlab.RMSProp, (1e-8, 1e-6), (1e1, 1.0)),
)


def of_rates(seed: int) -> list[Fault]:
    found = []
    for data in ("digits", "wine", "breast_cancer", "diabetes"):
        for optimizer, low, high in RATES:
            for lr, cause in [*((lr, "lr_low") for lr in low), *((lr, "lr_high") for lr in high)]:
                e = job(data, optimizer=optimizer(lr=lr), seed=seed)
                name = f"{cause}: {data} {optimizer.name} {lr:g}"
                found.append(Fault(name, e, (cause,), ("subset", "saturation", "rates")))
    return found


# -- data


@dataclass(frozen=True)
class Changed(Data):
    """Another data set with something wrong planted in it."""

    name: ClassVar[str] = "changed"
    of: Data = nnlab.Digits()
    scale: float = static(1.0)
    shuffled: bool = static(False)
    rare: int = static(0)  # the first class is left with so many examples
    constant: int = static(0)  # so many columns of one value are added
    repeated: int = static(0)  # and so many that are others, scaled
    copied: float = static(0.0)  # a test set of which this share is taken from training
    target_normalization: str = static("standard")

    def read(self):
        dataset, random = self.of.load(), stream(self.seed, "planted")
        x, y, n = dataset.x * self.scale, dataset.y, len(dataset.x)
        y = y[random.permutation(n)] if self.shuffled else y
        if self.rare:
            keep = np.sort(np.concatenate([np.flatnonzero(y != 0), np.flatnonzero(y == 0)[: self.rare]]))
            x, y, n = x[keep], y[keep], len(keep)
        features = (*dataset.features, *(f"planted{i}" for i in range(self.constant + self.repeated)))
        x = np.hstack([x, np.full((n, self.constant), 7.0), 3 - 2 * x[:, : self.repeated]])
        if not self.copied:
            return replace(dataset, x=x, y=y, features=features)
        test, copies = np.arange(n - n // 5, n), round(self.copied * (n // 5))
        x[test[:copies]], y[test[:copies]] = x[:copies], y[:copies]
        return replace(dataset, x=x, y=y, features=features, test=test)


def of_data(seed: int) -> list[Fault]:
    found = []

    def add(name: str, data: str, cause: str, words: tuple[str, ...] = (), **planted):
        of = JOBS[data].get("data", nnlab.Digits())
        changed = of if not planted else Changed(of=of, seed=seed, **planted)
        e = job(data, data=changed, seed=seed)
        found.append(Fault(f"{name}: {data}", e, (cause,), ("data",), words))

    for data in ("digits", "wine", "breast_cancer", "iris", "moons", "diabetes"):
        add("shuffled labels", data, "labels_unrelated", shuffled=True)
        add("a fifth of the test set in training", data, "test_in_training", copied=0.2)
        if data != "digits":
            add("constant column", data, "constant_columns", ("planted0",), constant=1)
            add("repeated column", data, "duplicate_columns", ("planted0",), repeated=1)
        if data != "diabetes":
            add("imbalance", data, "imbalance", rare=4 if data in ("wine", "iris") else 8)
            noisy = replace(JOBS[data].get("data", nnlab.Digits()), label_noise=0.25, seed=seed)
            e = job(data, data=noisy, seed=seed)
            found.append(Fault(f"label noise: {data}", e, ("label_noise",), ("data",)))
    for data in ("wine", "breast_cancer"):
        raw = replace(JOBS[data]["data"], normalization="none")
        found.append(Fault(f"not normalised: {data}", job(data, data=raw, seed=seed), ("scales",), ("data",)))
    return found


# -- bits


class Forgetful(Box):
    """y = x plus a little from torch's global generator."""

    def fprop(self, x):
        return torch.add(x, torch.randn_like(x), alpha=1e-3, out=self.y)

    def bprop(self, dy):
        return (dy,)


class Nosy(Box):
    """y = x less the mean over all rows."""

    def fprop(self, x):
        return torch.sub(x, x.mean(0, keepdim=True), out=self.y)

    def bprop(self, dy):
        return (dy,)


def of_bits(seed: int) -> list[Fault]:
    return [
        Fault(
            f"bits: {cause} {data}",
            job(data, model=Between(box=box()), seed=seed),
            (cause,),
            ("determinism",),
        )
        for data in ("wine", "diabetes")
        for box, cause in ((Forgetful, "not_deterministic"), (Nosy, "rows_mixed"))
    ]
