"""What an optimiser is: one step on all parameters of all rows, from matrices and columns.

An optimiser sees matrices (K, P): `theta`, its gradient `g`, and `slots`, what it remembers, by name and
zero at the start. Its numbers are columns: `factors(lr, t)` computes what a step needs from them in
float64, for a run of steps at once (lr (K, S); t (K, S) counts a row's updates from 1), and `update` gets
them by attribute, one step's (K, 1) each, in the dtype of theta. `scratch` is a further matrix that a
step may overwrite (one that needs two has a slot `room`); `g` is left as it is. An update that is
`elementwise`, and says so, is made in parts that fit into a cache, on several threads if there are any.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch

from nnlab.hyperparameters import Component, column

__all__ = ["Optimizer"]


@dataclass(frozen=True)
class Optimizer(Component):
    """Base of the optimisers; `lr` is the rate before its schedule. A step is: clip, decay, update.

    The gradient g of a row, all parameters together, is clipped first by value and then by norm:

        g <- min(max(g, -clip_value), clip_value)      each component
        g <- g min(1, clip_norm / |g|)                 Pascanu, Mikolov and Bengio 2013
    """

    group: ClassVar[str] = "optimizer"
    slots: ClassVar[tuple[str, ...]] = ()
    elementwise: ClassVar[bool] = False  # `update` treats each parameter by its own numbers and f alone
    lr: float = column(1e-3, above=0)
    _: KW_ONLY
    clip_norm: float = column(math.inf, above=0, infinite=True)
    clip_value: float = column(math.inf, above=0, infinite=True)

    def __init_subclass__(cls):
        """Whoever writes an `update` says of it whether it is elementwise: that is not inherited."""
        super().__init_subclass__()
        if "update" in vars(cls) and "elementwise" not in vars(cls):
            cls.elementwise = False

    @property
    def decays(self) -> bool:
        """Whether it shrinks the weights itself, beside any penalty: by a `weight_decay` that is not 0."""
        return getattr(self, "weight_decay", 0) != 0

    def factors(self, lr, t) -> dict[str, torch.Tensor]:
        """The columns of `decay` and `update`, (K, 1) or (K, S) float64."""
        raise NotImplementedError

    def limits(self) -> dict[str, torch.Tensor | None]:
        """The columns of `clip`, (K, 1) float64; None for what no row does."""
        norm, value = (c if bool(c.isfinite().any()) else None for c in (self.clip_norm, self.clip_value))
        return {
            "clip_norm": norm,
            "one": None if norm is None else torch.ones_like(norm),
            "clip_value": value,
            "minus_clip_value": None if value is None else -value,
        }

    def clip(self, g, f) -> None:
        """Change the gradient in place before the update; rows without a limit keep its bits."""
        if f.clip_value is not None:
            g.clamp_(f.minus_clip_value, f.clip_value)
        if f.clip_norm is not None:
            norm = torch.linalg.vector_norm(g, dim=1, keepdim=True)
            g.mul_(torch.fmin(f.clip_norm / norm, f.one))  # fmin: where 0 / 0 or inf / inf, 1

    def decay(self, weights, f) -> None:
        """Shrink the weights (K, W), not the biases, in place before the update."""

    def update(self, theta, g, slots, f, scratch) -> None:
        raise NotImplementedError


def over_root(x, v, epsilon, inside: bool, out):
    """x / sqrt(v + epsilon), or x / (sqrt(v) + epsilon) if not `inside`."""
    if inside:
        return torch.add(v, epsilon, out=out).rsqrt_().mul_(x)
    return torch.div(x, torch.sqrt(v, out=out).add_(epsilon), out=out)
