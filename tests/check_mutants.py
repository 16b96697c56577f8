"""Mutants of bprop for `nnlab check`: a wrong sign or factor in one box, loss, penalty or graph."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from check_jobs import Between, Fault, job
from modules import Gate

import nnlab
from nnlab.autodiff.activations import ACTIVATIONS, Identity, Sigmoid, Softmax, Sparsemax
from nnlab.autodiff.activity_penalty import ActivityPenalty
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.augmentation import Cutout, Noise, RandomFlip, RandomShift
from nnlab.autodiff.box import Box
from nnlab.autodiff.combine import Add, Concatenate, Multiply, Slice
from nnlab.autodiff.convolution import Convolution
from nnlab.autodiff.dropout import DropConnect, Dropout
from nnlab.autodiff.elementary import Subtract
from nnlab.autodiff.embedding import Embedding
from nnlab.autodiff.graph import Graph
from nnlab.autodiff.layer_norm import LayerNorm
from nnlab.autodiff.matrix_product import MatrixProduct
from nnlab.autodiff.module import Module
from nnlab.autodiff.network import Network
from nnlab.autodiff.normalization import BatchNorm
from nnlab.autodiff.periodic import PeriodicEmbedding
from nnlab.autodiff.piecewise import Abs
from nnlab.autodiff.pooling import AveragePool, GlobalAveragePool, L2Pool, MaxPool
from nnlab.autodiff.reshaping import Flatten, Reshape
from nnlab.autodiff.scale import Scale
from nnlab.autodiff.stochastic_pooling import StochasticPool
from nnlab.losses import LOSSES
from nnlab.models import Model
from nnlab.regularizers import Regularizer


def times(factor: float, input: int = 0) -> Callable:
    """bprop's gradient of one input, or of a leaf after them, times a factor."""

    def mutant(original):
        def bprop(self, ctx, dy):
            dx = list(original(self, ctx, dy))
            dx[input] = None if dx[input] is None else dx[input] * factor
            return tuple(dx)

        return bprop

    return mutant


def no_derivative(original):
    """dx = dy: the box's own derivative is missing."""
    return lambda self, ctx, dy: (dy,)


def no_sum(original):
    """Softmax's and sparsemax's dx without what they subtract."""
    return lambda self, ctx, dy: (dy * (ctx.y if isinstance(self, Softmax) else ctx.s.copy_(ctx.y.sign())),)


def no_scale(original):
    """Dropout's dx without the division by 1 - p."""
    return lambda self, ctx, dy: (dy * ctx.mask.sign(),)


def swapped(original):
    """The product's dx_1 = dy x_1."""
    return lambda self, ctx, dy: tuple(dy * x for x in ctx.x)


def everywhere(original):
    """A slice's dx with dy in all units, and not 0 outside."""
    return lambda self, ctx, dy: (ctx.dx[0].copy_(dy.mean(1, keepdim=True).expand_as(ctx.dx[0])),)


def transposed(original):
    """dW with the examples of another batch: the order of a sum gone wrong."""

    def bprop(self, ctx, dy):
        dx = original(self, ctx, dy)
        ctx.to_dW(dy.flip(2), ctx.XT)
        return dx

    return bprop


def constant_statistics(original):
    """A normalisation's dx without the gradients of mean and variance."""

    def bprop(self, ctx, dy):
        original(self, ctx, dy)
        factor = ctx.factor if isinstance(self, BatchNorm) else ctx.gamma * ctx.inverse_std
        ctx.dx[0].copy_(dy * factor)
        return ctx.dx

    return bprop


def flipped(input: int) -> Callable:
    """A convolution in place of a correlation, or the other way round: a gradient that is turned about."""

    def mutant(original):
        def bprop(self, ctx, dy):
            dx = list(original(self, ctx, dy))
            dx[input] = None if dx[input] is None else dx[input].flip(2 if input == 0 else 3)
            return tuple(dx)

        return bprop

    return mutant


def spread(original):
    """A pooling's dx spread over the whole window, as if it were an average."""

    def bprop(self, ctx, dy):
        original(self, ctx, dy)
        return (ctx.dx[0].copy_(dy.repeat_interleave(2, 2) / 2),)

    return bprop


def moved(original):
    """A pooling's dx one place away from where it belongs."""
    return lambda self, ctx, dy: (original(self, ctx, dy)[0].roll(1, 2),)


def mixed(original):
    """dx in the order of another batch."""
    return lambda self, ctx, dy: (original(self, ctx, dy)[0].flip(-1),)


ANY = {"sign": times(-1), "factor 2": times(2), "factor 0.99": times(0.99)}
OF_NORMALIZATION = ANY | {
    "constant statistics": constant_statistics, "dgamma sign": times(-1, 1), "dgamma factor": times(2, 1),
    "dbeta missing": times(0, 2),
}  # fmt: skip
OF_AFFINE = {
    "dW sign": times(-1, 1), "dW factor": times(0.5, 1), "dW mixed": transposed, "db sign": times(-1, 2),
    "db missing": times(0, 2), "dx sign": times(-1), "dx factor": times(2),
}  # fmt: skip
MUTANTS: dict[type, dict] = {
    **{cls: ANY | {"no derivative": no_derivative} for cls in ACTIVATIONS.values() if cls is not Identity},
    Softmax: ANY | {"no sum": no_sum},
    Sparsemax: ANY | {"no sum": no_sum},
    Affine: OF_AFFINE,
    BatchNorm: OF_NORMALIZATION,
    LayerNorm: OF_NORMALIZATION,
    Convolution: {
        "dW sign": times(-1, 1),
        "dW factor": times(0.99, 1),
        "dW flipped": flipped(1),
        "db missing": times(0, 2),
        "dx sign": times(-1),
        "dx factor": times(0.99),
        "dx flipped": flipped(0),
    },
    **{cls: ANY | {"spread": spread, "moved": moved} for cls in (MaxPool, L2Pool, StochasticPool)},
    AveragePool: ANY | {"moved": moved},
    GlobalAveragePool: ANY | {"mixed": mixed},
    RandomShift: {"sign": times(-1), "not moved": no_derivative},
    RandomFlip: {"sign": times(-1), "not flipped": no_derivative},
    Cutout: {"factor 0.99": times(0.99), "not cut out": no_derivative},
    Noise: {"factor 2": times(2)},
    Flatten: ANY | {"mixed": mixed},
    Reshape: ANY | {"mixed": mixed},
    Dropout: ANY | {"no scale": no_scale},
    ActivityPenalty: {
        "first sign": times(-1),
        "second missing": times(0, 1),
        "factor": times(0.99),
    },
    DropConnect: {"dW sign": times(-1), "no mask": no_derivative, "no scale": no_scale},
    Add: {"first sign": times(-1), "second sign": times(-1, 1), "second missing": times(0, 1)},
    Concatenate: {"first sign": times(-1), "second missing": times(0, 1)},
    Subtract: {"first sign": times(-1), "second sign": times(-1, 1), "second missing": times(0, 1)},
    Abs: {"sign": times(-1), "factor 2": times(2), "no sign": no_derivative},
    Slice: {"sign": times(-1), "everywhere": everywhere},
    Scale: {"dx sign": times(-1), "ds sign": times(-1, 1), "ds factor": times(2, 1)},
    PeriodicEmbedding: {
        "dx missing": times(0),
        "df without 2 pi": times(0.159, 1),
        "dp sign": times(-1, 2),
        "dW factor": times(2, 3),
        "db missing": times(0, 4),
    },
    Embedding: {"dW sign": times(-1, 1), "dW factor": times(2, 1), "dW missing": times(0, 1)},
    Module: {"dx sign": times(-1), "dW factor": times(2, 2)},
    MatrixProduct: {
        "dP sign": times(-1),
        "dP factor": times(2),
        "dQ sign": times(-1, 1),
        "dQ missing": times(0, 1),
    },  # fmt: skip
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


def gradient_faults(seed: int) -> list[Fault]:
    faults = []
    for cls, mutants in MUTANTS.items():
        for kind, mutant in mutants.items():
            faults.append(mutation(cls, "bprop", f"{cls.__name__}: {kind}", mutant, seed))
    for name, cls in LOSSES.items():
        for kind, factor in (("sign", -1.0), ("factor", 0.5)):
            faults.append(mutation(cls, "bprop", f"{name}: {kind}", _loss(factor), seed))
    for kind, regularizer, factor in (("l2 factor", dict(l2=0.1), 2), ("l1 sign", dict(l1=0.1), -1)):
        e = job("wine", regularizer=Regularizer(**regularizer), seed=seed)
        patch = _patch(Regularizer, "add_gradient", _penalty(factor))
        faults.append(Fault(f"penalty: {kind}", e, ("gradient",), ("gradients",), ("penalty",), patch))
    e = job("wine", model=Fork(), seed=seed)
    patch = _patch(Network, "bprop", lambda original: _last_reader_only)
    faults.append(Fault("graph: fan-out not summed", e, ("gradient",), ("gradients",), ("below",), patch))
    return faults


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


@dataclass(frozen=True)
class Convolved(Model):
    """Two convolutions over an example as a sequence."""

    name: ClassVar[str] = "convolved"

    def graph(self, shape, outputs, output="identity"):
        graph = Graph((1, *shape))
        first = graph.add("first", Convolution(3, kernel=3, stride=2), graph.input)
        second = graph.add(
            "second", Convolution(2, padding=1), graph.add("tanh", ACTIVATIONS["tanh"](), first)
        )
        graph.add("output", Affine(outputs), second)
        return graph


@dataclass(frozen=True)
class Attended(Model):
    """The products of the channels of two sequences."""

    name: ClassVar[str] = "attended"

    def graph(self, shape, outputs, output="identity"):
        graph = Graph((1, *shape))
        queries, keys = (graph.add(f"below{n}", Convolution(3 + n, kernel=1), graph.input) for n in range(2))
        graph.add(
            "output", Affine(outputs), graph.add("box", MatrixProduct(transpose_second=True), queries, keys)
        )
        return graph


@dataclass(frozen=True)
class Pooled(Model):
    """A box that reads the feature maps of a convolution over an example as a sequence."""

    name: ClassVar[str] = "pooled"
    box: Box = MaxPool()

    def graph(self, shape, outputs, output="identity"):
        graph = Graph((1, *shape))
        maps = graph.add("convolution", Convolution(3, kernel=4), graph.input)
        graph.add("output", Affine(outputs), graph.add("box", self.box, graph.add("relu", RELU(), maps)))
        return graph


RELU = ACTIVATIONS["relu"]
OF_IMAGES = (MaxPool(), AveragePool(), L2Pool(), StochasticPool(), GlobalAveragePool(), Flatten(), Reshape())
AUGMENTED = {
    RandomShift: Regularizer(shift=2), RandomFlip: Regularizer(flip=0.5), Cutout: Regularizer(cutout=3),
    Noise: Regularizer(input_noise=0.3),
}  # fmt: skip
NEEDS = {  # class: data, the word that names it, and the changes that bring it in
    Slice: ("wine", "box", dict(model=Between(box=Slice(2, 7)))),
    Embedding: ("wine", "box", dict(model=Between(box=Embedding((3,) * 13)))),
    Affine: ("wine", "output", dict(model=nnlab.MLP(hidden=(9, 7), activation="tanh"))),
    Module: ("wine", "box", dict(model=Between(box=Module(Gate, {"inputs": 12})))),
    MatrixProduct: ("wine", "box", dict(model=Attended())),
    Convolution: ("wine", "second", dict(model=Convolved())),
    **{type(box): ("wine", "box", dict(model=Pooled(box=box))) for box in OF_IMAGES},
    **{
        cls: ("wine", "box", dict(model=Pooled(box=cls()), regularizer=regularizer))
        for cls, regularizer in AUGMENTED.items()
    },
    Dropout: ("wine", "dropout1", dict(regularizer=Regularizer(dropout=0.3))),
    DropConnect: (
        "wine", "dropconnect", dict(model=nnlab.MLP(hidden=(9, 7)), regularizer=Regularizer(dropconnect=0.3)),
    ),
    ActivityPenalty: (
        "wine", "activity_penalty",
        dict(model=nnlab.MLP(hidden=(9, 7)), regularizer=Regularizer(activity_l1=0.1, activity_l2=0.2)),
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
            own_gradient = torch.zeros_like(grad)
            original(self, weights, own_gradient, f, scratch)
            grad.add_(own_gradient, alpha=factor)

        return add_gradient

    return mutant


@dataclass(frozen=True)
class Fork(Model):
    """One affine box, read by two."""

    name: ClassVar[str] = "fork"

    def graph(self, shape, outputs, output="identity"):
        graph = Graph(shape)
        below = graph.add("below", Affine(8), graph.input)
        ends = [graph.add(f"{box.__name__}", box(), below) for box in (Sigmoid, ACTIVATIONS["tanh"])]
        graph.add("output", Affine(outputs), graph.add("add", Add(), *ends))
        return graph


def _last_reader_only(self, dy, weight=None):
    """Network.bprop with a fault: where several boxes read one, the first that comes back is all it gets."""
    gradients = {self.alias_of[-1]: dy}
    for n, bprop, reads in self._backward:
        dx = bprop(gradients[n])
        for j, i, _, _ in reads:
            gradients.setdefault(i, dx[j])
    return gradients
