"""Initial weights. Each is drawn on the CPU from its own stream (seed, "init", name of the parameter).

So a row's weights are the same alone, in a stack and on every device.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np
import torch

from nnlab.allowed import LARGEST_COUNT
from nnlab.autodiff.activations import activation_class
from nnlab.hyperparameters import Component, column


@dataclass(frozen=True)
class Init(Component):
    """Base: biases get `bias`; weights are `mean` + what `draw` draws.

    The lecture asks for a small positive mean before relu, so that few units start dead.
    """

    group: ClassVar[str] = "init"
    _: KW_ONLY
    bias: float = column(0.0)
    mean: float = column(0.0)

    def weights(self, random, shape, fan_in: int, fan_out: int, activation: str) -> np.ndarray:
        """W of `shape` (fan_out, ...), from the generator `random`, in a layer followed by `activation`."""
        return self.mean + self.draw(random, shape, fan_in, fan_out, activation)

    def draw(self, random, shape, fan_in: int, fan_out: int, activation: str) -> np.ndarray:
        raise NotImplementedError


# ---- with a scale that the user chooses


@dataclass(frozen=True)
class Zeros(Init):
    """W = 0: right for one layer; in deeper networks all units of a layer would stay the same."""

    name: ClassVar[str] = "zeros"

    def draw(self, random, shape, fan_in, fan_out, activation):
        return np.zeros(shape)


@dataclass(frozen=True)
class ConstantInit(Init):
    """W = value."""

    name: ClassVar[str] = "constant"
    value: float = column(0.0)

    def draw(self, random, shape, fan_in, fan_out, activation):
        return np.full(shape, self.value)


@dataclass(frozen=True)
class Normal(Init):
    """W ~ N(0, std^2)."""

    name: ClassVar[str] = "normal"
    std: float = column(0.01, above=0)

    def draw(self, random, shape, fan_in, fan_out, activation):
        return self.std * random.standard_normal(shape)


@dataclass(frozen=True)
class Uniform(Init):
    """W ~ U(-bound, bound)."""

    name: ClassVar[str] = "uniform"
    bound: float = column(0.05, above=0)

    def draw(self, random, shape, fan_in, fan_out, activation):
        return random.uniform(-self.bound, self.bound, shape)


@dataclass(frozen=True)
class Sparse(Init):
    """`connections` weights of each unit W ~ N(0, std^2), at inputs drawn without replacement; the others 0.

    So a unit's input is as large however many units feed it, and units differ. Martens 2010; Sutskever et al.
    2013 take it for sigmoids, and for tanh std = 0.25 with bias = 0.5. A unit with fewer inputs has them all;
    those of a kernel are its elements.
    """

    name: ClassVar[str] = "sparse"
    connections: int = column(15, low=1, high=LARGEST_COUNT)
    std: float = column(1.0, above=0)

    def draw(self, random, shape, fan_in, fan_out, activation):
        units, inputs = shape[0], int(np.prod(shape[1:]))
        count = min(self.connections, inputs)
        chosen = np.sort(random.random((units, inputs)).argsort(axis=1)[:, :count])
        weights = np.zeros((units, inputs))
        np.put_along_axis(weights, chosen, self.std * random.standard_normal((units, count)), axis=1)
        return weights.reshape(shape)


# ---- scaled by fan-in and fan-out, so that the variance of the activations is kept from layer to layer


@dataclass(frozen=True)
class GlorotUniform(Init):
    """W ~ U(-a, a) with a = sqrt(6 / (fan_in + fan_out)). Glorot and Bengio 2010, eq. 16."""

    name: ClassVar[str] = "glorot_uniform"

    def draw(self, random, shape, fan_in, fan_out, activation):
        a = np.sqrt(6 / (fan_in + fan_out))
        return random.uniform(-a, a, shape)


@dataclass(frozen=True)
class GlorotNormal(Init):
    """W ~ N(0, 2 / (fan_in + fan_out)). Glorot and Bengio 2010, eq. 12."""

    name: ClassVar[str] = "glorot_normal"

    def draw(self, random, shape, fan_in, fan_out, activation):
        return np.sqrt(2 / (fan_in + fan_out)) * random.standard_normal(shape)


@dataclass(frozen=True)
class HeUniform(Init):
    """W ~ U(-a, a) with a = sqrt(6 / fan_in). He, Zhang, Ren and Sun 2015."""

    name: ClassVar[str] = "he_uniform"

    def draw(self, random, shape, fan_in, fan_out, activation):
        a = np.sqrt(6 / fan_in)
        return random.uniform(-a, a, shape)


@dataclass(frozen=True)
class HeNormal(Init):
    """W ~ N(0, 2 / fan_in). He, Zhang, Ren and Sun 2015."""

    name: ClassVar[str] = "he_normal"

    def draw(self, random, shape, fan_in, fan_out, activation):
        return np.sqrt(2 / fan_in) * random.standard_normal(shape)


@dataclass(frozen=True)
class LeCunNormal(Init):
    """W ~ N(0, 1 / fan_in). LeCun, Bottou, Orr and Müller 1998; for selu Klambauer et al. 2017."""

    name: ClassVar[str] = "lecun_normal"

    def draw(self, random, shape, fan_in, fan_out, activation):
        return np.sqrt(1 / fan_in) * random.standard_normal(shape)


@dataclass(frozen=True)
class FanInUniform(Init):
    """W ~ U(-a, a) with a = 1 / sqrt(fan_in), so of variance 1 / (3 fan_in).

    What torch.nn.Linear and Conv2d draw by default; they draw biases alike, which here are `bias`.
    """

    name: ClassVar[str] = "fan_in_uniform"

    def draw(self, random, shape, fan_in, fan_out, activation):
        a = 1 / np.sqrt(fan_in)
        return random.uniform(-a, a, shape)


@dataclass(frozen=True)
class Orthogonal(Init):
    """W W' = gain^2 I, or W' W where W has more rows than columns. Saxe, McClelland and Ganguli 2014.

    Q of the QR decomposition of normal numbers, with signs such that R has a positive diagonal: then
    Q is uniform among the orthogonal matrices (Mezzadri 2007). A `shape` of more dimensions is taken
    as (fan_out, the rest). The decomposition is torch's, which the engine runs on one thread: the last
    bits of numpy's depend on how many threads its BLAS has.
    """

    name: ClassVar[str] = "orthogonal"
    gain: float = column(1.0, above=0)

    def draw(self, random, shape, fan_in, fan_out, activation):
        short, long = sorted((shape[0], int(np.prod(shape[1:]))))
        q, r = torch.linalg.qr(torch.from_numpy(random.standard_normal((long, short))))
        # A zero on the diagonal would make the sign 0, and a column of Q with it.
        q = q.numpy() * np.where(r.diagonal().numpy() < 0, -1, 1)
        return (self.gain * (q if shape[0] == long else q.T)).reshape(shape)


@dataclass(frozen=True)
class Auto(Init):
    """What suits the activation that follows, as its class says (`initialization`): He where relu or one of
    its family follows, Glorot before everything else (the output included)."""

    name: ClassVar[str] = "auto"

    def draw(self, random, shape, fan_in, fan_out, activation):
        method = INITIALIZERS[activation_class(activation).initialization]()
        return method.draw(random, shape, fan_in, fan_out, activation)


_FAN_SCALED = (GlorotUniform, GlorotNormal, HeUniform, HeNormal, LeCunNormal, FanInUniform, Orthogonal)
_CHOSEN_SCALE = (Zeros, ConstantInit, Normal, Uniform, Sparse)
INITIALIZERS = {init.name: init for init in (Auto, *_CHOSEN_SCALE, *_FAN_SCALED)}
