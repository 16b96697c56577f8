"""Penalties on the weights, and the rates of dropout. They combine: `regularizer=[l2,dropout]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from nnlab.fields import Part, column


@dataclass(frozen=True)
class Regularizer(Part):
    """Omega(theta) = l2 / 2 sum W^2, over the weights, never the biases; `dropout` of hidden units.

    The penalty 0.01 sum W^2 is l2 = 0.02. The boxes apply dropout themselves (`autodiff.dropout`).
    """

    group: ClassVar[str] = "regularizer"
    l2: float = column(0.0, low=0)
    dropout: float = column(0.0, low=0, below=1)

    def penalty(self, weights: torch.Tensor) -> torch.Tensor:
        """Omega of every row: weights (K, W) -> (K,) float64."""
        return self.l2[:, 0] / 2 * weights.square().sum(1).double()

    def factors(self) -> dict[str, torch.Tensor]:
        """The columns that `add_gradient` uses, float64; None for those that do nothing."""
        return {"l2": self.l2 if bool((self.l2 > 0).any()) else None}

    def add_gradient(self, weights, grad, f) -> None:
        """grad += l2 W, both (K, W) and f.l2 (K, 1)."""
        if f.l2 is not None:
            grad.addcmul_(weights, f.l2)

    def project(self, weights, f) -> None:
        """Change the weights in place after the update."""
