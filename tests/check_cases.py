"""Every fault that is planted to evaluate `nnlab check`: in starts, rates, regularizers, data, gradients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from check_jobs import JOBS, Between, Fault, combinations, job
from check_mutants import gradient_faults

import nnlab
from nnlab.autodiff.box import Box
from nnlab.data.sources import Data
from nnlab.hyperparameters import static
from nnlab.streams import stream

EVERY = ("start", "subset", "saturation", "rates", "data")


def faults(seed: int = 0) -> list[Fault]:
    fault_groups = (
        initialization_faults,
        learning_rate_faults,
        regularizer_faults,
        data_faults,
        determinism_faults,
    )
    return [*gradient_faults(seed), *(fault for make_faults in fault_groups for fault in make_faults(seed))]


# -- initialisation, depth, scale


def initialization_faults(seed: int) -> list[Fault]:
    planted = []
    for c in combinations():
        if c.mark == "x":
            data = ("wine", "digits 600", "breast_cancer")[len(planted) % 3]
            planted.append(Fault(f"symmetry: {c}", c.experiment(data, seed), ("symmetry",), ("start",)))
    deep = nnlab.MLP(hidden=(64,) * 12, activation="sigmoid")
    for data in ("digits", "wine", "breast_cancer", "diabetes"):
        e = job(data, model=deep, seed=seed)
        planted.append(Fault(f"12 sigmoid layers: {data}", e, ("vanishing",), ("saturation", "subset")))
        for activation in ("relu", "tanh", "sigmoid"):
            scaled = Changed(of=JOBS[data].get("data", nnlab.Digits()), scale=1000, normalization="none")
            e = job(data, data=scaled, model=nnlab.MLP(activation=activation), seed=seed)
            causes = ("scales", "large_outputs", "saturated")
            planted.append(Fault(f"inputs times 1000: {data} {activation}", e, causes, EVERY))
        e = job(data, init=nnlab.Normal(std=2.0), model=nnlab.MLP(hidden=(64, 64, 64)), seed=seed)
        planted.append(Fault(f"weights too large: {data}", e, ("large_outputs", "exploding"), EVERY[:3]))
        e = job(
            data, init=nnlab.Normal(std=3.0), model=nnlab.MLP(hidden=(64, 64), activation="tanh"), seed=seed
        )
        planted.append(Fault(f"tanh saturated: {data}", e, ("saturated",), EVERY[:3]))
        e = job(data, init=nnlab.Auto(bias=-30.0), seed=seed)
        planted.append(Fault(f"dead relus: {data}", e, ("dead",), EVERY[:3]))
    return planted


# -- learning rates


RATES = (  # optimiser, rates that are too small, rates that are too large: by far, and by less
    (nnlab.SGD, (1e-6, 1e-4), (1e2, 1e1)),
    (nnlab.Momentum, (1e-6, 1e-5), (1e2, 3.0)),
    (nnlab.Adam, (1e-8, 1e-6), (1e1, 1.0)),
    (nnlab.RMSProp, (1e-8, 1e-6), (1e1, 1.0)),
)
EXTREME = (
    (nnlab.SGD(lr=1e9), "lr_high"), (nnlab.SGD(lr=1e6), "lr_high"), (nnlab.Adam(lr=1e-9), "lr_low"),
)  # fmt: skip


def learning_rate_faults(seed: int) -> list[Fault]:
    planted = []
    for data in ("digits", "wine", "breast_cancer", "diabetes"):
        for optimizer, low, high in RATES:
            for lr, cause in [*((lr, "lr_low") for lr in low), *((lr, "lr_high") for lr in high)]:
                e = job(data, optimizer=optimizer(lr=lr), seed=seed)
                name = f"{cause}: {data} {optimizer.name} {lr:g}"
                planted.append(Fault(name, e, (cause,), ("subset", "saturation", "rates")))
        for optimizer, cause in EXTREME:  # by the subset alone, which must not blame the gradient
            name = f"{cause}: {data} {optimizer.name} {optimizer.lr:g}"
            planted.append(Fault(name, job(data, optimizer=optimizer, seed=seed), (cause,), ("subset",)))
    return planted


def regularizer_faults(seed: int) -> list[Fault]:
    planted = []
    for data in ("digits", "wine", "breast_cancer", "diabetes"):
        for strong in (dict(l2=10.0), dict(l1=1.0), dict(max_norm=0.01)):
            e = job(data, regularizer=nnlab.Regularizer(**strong), seed=seed)
            (setting,) = (f"{name}={value:g}" for name, value in strong.items())
            planted.append(Fault(f"regularizer: {data} {setting}", e, ("regularizer",), ("rates",)))
    return planted


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
    twice: bool = static(False)  # every example is there twice
    single: bool = static(False)  # all targets are the same
    copied: float = static(0.0)  # a test set of which this share is taken from training
    target_normalization: str = static("standard")

    def read(self):
        dataset, random = self.of.load(), stream(self.seed, "planted")
        x, y, n = dataset.x * self.scale, dataset.y, len(dataset.x)
        y = y[random.permutation(n)] if self.shuffled else y
        if self.rare:
            keep = np.sort(np.concatenate([np.flatnonzero(y != 0), np.flatnonzero(y == 0)[: self.rare]]))
            x, y, n = x[keep], y[keep], len(keep)
        if self.twice:
            x, y, n = np.repeat(x, 2, 0), np.repeat(y, 2, 0), 2 * n
        y = np.full_like(y, y[0]) if self.single else y
        features = (*dataset.features, *(f"planted{i}" for i in range(self.constant + self.repeated)))
        x = np.hstack([x, np.full((n, self.constant), 7.0), 3 - 2 * x[:, : self.repeated]])
        if not self.copied:
            return replace(dataset, x=x, y=y, features=features)
        test, copies = np.arange(n - n // 5, n), round(self.copied * (n // 5))
        x[test[:copies]], y[test[:copies]] = x[:copies], y[:copies]
        return replace(dataset, x=x, y=y, features=features, test=test)


def data_faults(seed: int) -> list[Fault]:
    found = []

    def add(name: str, data: str, cause: str, phrases: tuple[str, ...] = (), **planted):
        of = JOBS[data].get("data", nnlab.Digits())
        changed = of if not planted else Changed(of=of, seed=seed, **planted)
        e = job(data, data=changed, seed=seed)
        found.append(Fault(f"{name}: {data}", e, (cause,), ("data",), phrases))

    for data in ("digits", "wine", "breast_cancer", "iris", "moons", "diabetes"):
        add("shuffled labels", data, "labels_unrelated", shuffled=True)
        add("every example twice", data, "test_in_training", ("copies, or few different values",), twice=True)
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
    for part in ("", "target_"):
        raw = replace(JOBS["diabetes"]["data"], **{f"{part}normalization": "none"})
        for rung in ("data", "subset"):
            name = f"not normalised: diabetes {part}{rung}"
            found.append(Fault(name, job("diabetes", data=raw, seed=seed), ("scales",), (rung,)))
    add("a single target", "diabetes", "constant_target", single=True)
    return found


# -- bits


class Forgetful(Box):
    """y = x plus a little from torch's global generator."""

    def fprop(self, ctx, x):
        return torch.add(x, torch.randn_like(x), alpha=1e-3, out=ctx.y)

    def bprop(self, ctx, dy):
        return (dy,)


class Nosy(Box):
    """y = x less the mean over all rows."""

    def fprop(self, ctx, x):
        return torch.sub(x, x.mean(0, keepdim=True), out=ctx.y)

    def bprop(self, ctx, dy):
        return (dy,)


def determinism_faults(seed: int) -> list[Fault]:
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
