"""Initial weights. Each is drawn on the CPU from its own stream (seed, "init", name of the parameter).

So a row's weights are the same alone, in a stack and on every device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnlab.fields import Part, column


@dataclass(frozen=True)
class Init(Part):
    """Base: biases get `bias`; weights are drawn by `draw(random, shape, fan_in, fan_out, activation)`."""

    group: ClassVar[str] = "init"
    bias: float = column(0.0)

    def draw(self, random, shape, fan_in: int, fan_out: int, activation: str) -> np.ndarray:
        raise NotImplementedError


@dataclass(frozen=True)
class GlorotUniform(Init):
    """W ~ U(-a, a) with a = sqrt(6 / (fan_in + fan_out)). Glorot and Bengio 2010, eq. 16."""

    name: ClassVar[str] = "glorot_uniform"

    def draw(self, random, shape, fan_in, fan_out, activation):
        a = np.sqrt(6 / (fan_in + fan_out))
        return random.uniform(-a, a, shape)


@dataclass(frozen=True)
class HeNormal(Init):
    """W ~ N(0, 2 / fan_in). He, Zhang, Ren and Sun 2015."""

    name: ClassVar[str] = "he_normal"

    def draw(self, random, shape, fan_in, fan_out, activation):
        return np.sqrt(2 / fan_in) * random.standard_normal(shape)


@dataclass(frozen=True)
class Auto(Init):
    """He where a relu follows, Glorot before everything else (the output included)."""

    name: ClassVar[str] = "auto"

    def draw(self, random, shape, fan_in, fan_out, activation):
        method = HeNormal() if activation == "relu" else GlorotUniform()
        return method.draw(random, shape, fan_in, fan_out, activation)


INITIALIZERS = {init.name: init for init in (Auto, GlorotUniform, HeNormal)}
