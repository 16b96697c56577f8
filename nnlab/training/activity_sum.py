"""The penalty of activations over the examples of an epoch, for the record."""

from __future__ import annotations

import numpy as np
import torch

from nnlab.autodiff.network import Network
from nnlab.data.batches import Chunk


class ActivitySum:
    """The sum of the examples' penalties, as they were in the step that had the example: `sum` (K,) float64.

    It is 0 in a row without one, whatever its activations are.
    """

    def __init__(self, network: Network, steps: int):
        self.y = network.bound_boxes[network.penalty].ctx.y  # (K, 1, B), of the last step
        rows, _, batch = self.y.shape
        self.of_steps = self.y.new_zeros(steps, rows, batch)
        self.sum = torch.zeros(rows, dtype=torch.float64, device=self.y.device)
        strengths = network.site.columns["activity_l1"] + network.site.columns["activity_l2"]
        self.penalized = (strengths[:, 0] > 0).to(self.y.device)

    def begin(self, sums: np.ndarray | None = None) -> None:
        """Set the sum to zero, or to that of the first steps of an epoch."""
        self.sum.zero_() if sums is None else self.sum.copy_(torch.from_numpy(sums))

    def keep(self, s: int) -> None:
        """Keep what step s of a chunk had."""
        self.of_steps[s].copy_(self.y[:, 0])

    def add(self, chunk: Chunk) -> None:
        """Add the steps of a chunk, weighted as their losses are."""
        weight = chunk.valid if chunk.loss_weight is None else chunk.valid * chunk.loss_weight
        values = (self.of_steps[: len(weight)] * weight).double()
        # Contiguous, so that the order of a row's sum does not depend on the number of rows.
        values = values.movedim(1, 0).flatten(1).contiguous().sum(1)
        self.sum.add_(torch.where(self.penalized, values, 0.0))
