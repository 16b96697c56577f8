"""The base class of optimisers: one update of all parameters of all rows, from matrices and columns.

An optimiser sees matrices (K, P): `theta`, its gradient `g`, and `slots`, its state by name, zero at the
start. Its hyperparameters are columns: `factors(lr, t)` computes the columns of an update from them in
float64, for many steps at once (lr (K, S); t (K, S) counts a row's updates from 1). `update` gets them as
attributes of `columns`, those of one step, (K, 1) each, in the dtype of theta. `scratch` is a further matrix
that an update may overwrite (one that needs two has a slot `workspace`); `g` must not change. An update that
declares itself `elementwise` is made in blocks that fit into a cache, on several threads if there are any.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch

from nnlab.errors import UserError
from nnlab.hyperparameters import Component, column

__all__ = ["Optimizer"]


@dataclass(frozen=True)
class Optimizer(Component):
    """Base of the optimisers; `lr` is the learning rate before its schedule. A step is: clip, decay, update.

    The gradient g of a row, all parameters together, is clipped first by value and then by norm:

        g <- min(max(g, -clip_value), clip_value)      each component
        g <- g min(1, clip_norm / |g|)                 Pascanu, Mikolov and Bengio 2013

    The rate of the biases is lr bias_lr_factor: twice lr in Krizhevsky et al. 2012 and Wan et al. 2013. Of
    biases, and of all else that is never regularised, such as the scales of a normalisation.
    """

    group: ClassVar[str] = "optimizer"
    slots: ClassVar[tuple[str, ...]] = ()
    elementwise: ClassVar[bool] = False  # `update` of a parameter uses its own elements and columns alone
    lr: float = column(1e-3, above=0)
    _: KW_ONLY
    clip_norm: float = column(math.inf, above=0, infinite=True)
    clip_value: float = column(math.inf, above=0, infinite=True)
    bias_lr_factor: float = column(1.0, low=0)

    def __init_subclass__(cls):
        """Whether it is elementwise is not inherited by a class with an `update` of its own."""
        super().__init_subclass__()
        if "update" in vars(cls) and "elementwise" not in vars(cls):
            cls.elementwise = False

    def __post_init__(self):
        super().__post_init__()
        if not self.elementwise and isinstance(self.bias_lr_factor, float) and self.bias_lr_factor != 1:
            raise UserError(
                f"optimizer.bias_lr_factor = {self.bias_lr_factor:g}: optimizer '{self.name}' makes its "
                f"steps of all parameters together, not elementwise, so biases have no rate apart"
            )

    @property
    def scales_biases(self) -> bool:
        """Of a stack: whether the biases of any row have another rate than its weights."""
        return bool((self.bias_lr_factor != 1).any())

    @property
    def decays(self) -> bool:
        """Whether it decays the weights itself, by a `weight_decay` that is not 0."""
        return getattr(self, "weight_decay", 0) != 0

    def factors(self, lr, t) -> dict[str, torch.Tensor]:
        """The columns of `decay` and `update`, (K, 1) or (K, S) float64."""
        raise NotImplementedError

    def factors_in_run(self, lr, t, left) -> dict[str, torch.Tensor]:
        """The same where the end of training matters: `left` (K, S) counts the updates of the whole run that
        are still planned, the last of which has left = 1. Going back does not change it, as it changes t."""
        return self.factors(lr, t)

    @property
    def recorded_columns(self) -> dict[str, str]:
        """Columns that are worth a curve, as they change during training: the curve's name -> the column."""
        return {}

    def advise(self) -> None:
        """Warn, as `Advice`, of settings that change nothing beside the others."""

    def limits(self) -> dict[str, torch.Tensor | None]:
        """The columns of `clip`, (K, 1) float64; None for a limit that no row has."""
        norm, value = (c if bool(c.isfinite().any()) else None for c in (self.clip_norm, self.clip_value))
        return {
            "clip_norm": norm,
            "one": None if norm is None else torch.ones_like(norm),
            "clip_value": value,
            "minus_clip_value": None if value is None else -value,
        }

    def clip(self, g, columns) -> None:
        """Clip the gradient in place before the update; it does not change in rows without a limit."""
        if columns.clip_value is not None:
            g.clamp_(columns.minus_clip_value, columns.clip_value)
        if columns.clip_norm is not None:
            norm = torch.linalg.vector_norm(g, dim=1, keepdim=True)
            g.mul_(torch.fmin(columns.clip_norm / norm, columns.one))  # fmin: where 0 / 0 or inf / inf, 1

    def decay(self, weights, columns) -> None:
        """Shrink the weights (K, W), not the biases, in place before the update."""

    def update(self, theta, g, slots, columns, scratch) -> None:
        raise NotImplementedError


def divide_by_root(x, v, epsilon, inside: bool, out):
    """x / sqrt(v + epsilon), or x / (sqrt(v) + epsilon) if not `inside`."""
    if inside:
        return torch.add(v, epsilon, out=out).rsqrt_().mul_(x)
    return torch.div(x, torch.sqrt(v, out=out).add_(epsilon), out=out)
