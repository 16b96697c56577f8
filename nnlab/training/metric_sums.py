"""Loss and error of the rows of a population, summed over examples."""

from __future__ import annotations

import numpy as np
import torch

from nnlab.data.spec import DataSpec
from nnlab.losses import Loss
from nnlab.metrics.tasks import TASKS


class MetricSums:
    """Sums of a population's loss and error over examples, in float64; the records have their means."""

    def __init__(self, loss: Loss, spec: DataSpec, normalizers: list[dict], template: torch.Tensor):
        self.loss, self.task = loss, TASKS[spec.task]()
        scales = np.stack([normalizer["target_scale"] for normalizer in normalizers])  # (K, m)
        # Summed in units of the largest scale, so that the squares of targets like 1e25 do not overflow.
        self.scale = scales.max(1)  # (K,)
        relative_scale = scales / self.scale[:, None]
        self.relative_scale = torch.from_numpy(relative_scale).to(template)[:, :, None]  # (K, m, 1)

    def __call__(self, z, t, weight, loss_weight=None) -> torch.Tensor:
        """(2, K): weighted sums of loss and error over all examples, and all steps S if there are any.

        z and t are (S, K, m, B) or (K, m, B); weight (S, 1 or K, B) or (1 or K, B), as is loss_weight, a
        further factor of the losses.
        """
        if loss_weight is not None:
            weight = torch.stack(torch.broadcast_tensors(weight * loss_weight, weight))
        return self.sums(self.per_example(z, t), weight)

    def per_example(self, z, t) -> torch.Tensor:
        """Loss and error of each example: (2, S, K, B) or (2, K, B)."""
        error = self.task.per_example(self.loss.scores(z), t, self.relative_scale)
        return torch.stack([self.loss.fprop(z, t), error])

    def sums(self, per_example, weight) -> torch.Tensor:
        """(2, K): their weighted sums."""
        # Every row's values are made contiguous before they are summed: the order of a sum is then the same
        # for any number of rows.
        return (per_example * weight).double().movedim(-2, 1).flatten(2).contiguous().sum(2)

    def error(self, mean: np.ndarray) -> np.ndarray:
        """(K,): the rows' errors, from the means of the summed errors; an RMSE in the target's unit."""
        return self.task.finish(mean) * self.scale
