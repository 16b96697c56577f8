"""Scores predictions of labelled examples, with the same report that training gives on its test set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from nnlab.data.normalization import centered, normalize_targets
from nnlab.data.other_libraries import refuse_different_indexes
from nnlab.data.spec import DataSpec
from nnlab.errors import UserError
from nnlab.losses import Loss
from nnlab.metrics import ProbabilityScores
from nnlab.prediction.new_examples import validate_inputs, validate_targets
from nnlab.runtime.threads import computing
from nnlab.training.calibration import with_uncalibrated
from nnlab.training.metric_sums import MetricSums
from nnlab.training.thresholds import above_threshold


@dataclass(frozen=True)
class BlockAnswers:
    """The answers to a block of examples: what is `predicted` and `true`, classes (1, n) or numbers (m, n),
    and the `probabilities` of classes (m, n)."""

    predicted: np.ndarray
    true: np.ndarray
    probabilities: np.ndarray | None


class Scoring:
    """Labelled examples, block by block, and their report. See `TrainedModel.evaluate`.

    It repeats the arithmetic of training step by step, so that a row has the same bits on the same examples:
    in batches of its own size, in its own type, with targets normalised.

    outputs      for x (n, d) the outputs of a row (m, n), or of several, which a regression has in its units
    normalizers  that row's; or those of several rows of a regression, in whose units the loss is measured:
                 it is then the mean over them
    threshold    of two classes; None: the likeliest class is predicted
    uncalibrated  the same of the outputs before they were calibrated, of which some metrics are reported too
    channels     of the training data: see `validate_inputs`
    """

    def __init__(
        self,
        outputs: Callable[[np.ndarray], np.ndarray],
        loss: Loss,
        spec: DataSpec,
        normalizers: list[dict],
        template: torch.Tensor,
        batch: int,
        threshold: float | None = None,
        uncalibrated: Scoring | None = None,
        channels: str = "auto",
    ):
        self.threshold, self.uncalibrated = threshold, uncalibrated
        self.outputs, self.channels = outputs, channels
        self.metric_sums = MetricSums(loss, spec, normalizers, template)
        self.spec, self.normalizers, self.template, self.batch = spec, normalizers, template, batch
        self.per_example: list[torch.Tensor] = []  # loss and error, (2, K, B)
        self.predictions: list[np.ndarray] = []  # (1, n) classes or (m, n) numbers
        self.targets: list[np.ndarray] = []
        self.scores: list[ProbabilityScores] = []  # of the probabilities of classes
        self.sizes: list[int] = []  # examples in each batch

    def add(self, x, y) -> BlockAnswers:
        """Take a block of examples; what is predicted for them. Raises `UserError` for what does not fit the
        model."""
        refuse_different_indexes(x, y, "x", "y")
        inputs, targets = validate_inputs(x, self.spec, self.channels), validate_targets(y, self.spec)
        if len(inputs) != len(targets):
            raise UserError(f"x has {len(inputs):,} examples, and y has {len(targets):,}")
        if self.uncalibrated is not None:
            self.uncalibrated.add(inputs, y)
        z = self.outputs(inputs)[None]
        if len(self.normalizers) > 1:
            z = np.stack([
                (z[0] - n["target_mean"][:, None]) / n["target_scale"][:, None] for n in self.normalizers
            ])  # fmt: skip
        p, batches = [], len(self.sizes)
        with computing():
            for start in range(0, len(targets), self.batch):
                stop = min(start + self.batch, len(targets))
                p.append(self._add_batch(z[..., start:stop], targets[start:stop]))
        predicted, true = (np.concatenate(parts[batches:], 1) for parts in (self.predictions, self.targets))
        return BlockAnswers(predicted, true, np.concatenate(p, 1) if self.spec.classes else None)

    def _add_batch(self, z: np.ndarray, targets: np.ndarray) -> np.ndarray | None:
        """Take a batch; the probabilities of classes (m, n)."""
        count = len(targets)
        z = self._pad(torch.from_numpy(z).to(self.template))
        t = self._pad(
            torch.stack([network_targets(targets, self.spec, n, self.template) for n in self.normalizers])
        )
        self.per_example.append(self.metric_sums.per_example(z, t))
        to_prediction, scores = self.metric_sums.task.to_prediction, self.metric_sums.loss.scores(z[:1])
        self.sizes.append(count)
        if self.spec.classes:
            p = self.metric_sums.loss.probabilities(z[:1].double()).cpu().numpy()
            true = to_prediction(t[:1].double().cpu().numpy())
            self.scores.append(ProbabilityScores.of(p, true).row(0, count))
            if self.threshold is not None:
                scores = torch.from_numpy(above_threshold(p, self.threshold, self.spec))
        mean, scale = (self.normalizers[0][name][:, None] for name in ("target_mean", "target_scale"))
        for collected, values in ((self.predictions, scores), (self.targets, t[:1])):
            values = to_prediction(values.double().cpu().numpy())[0, :, :count]
            collected.append(values.copy() if self.spec.classes else values * scale + mean)
        return p[0, :, :count].copy() if self.spec.classes else None

    def _pad(self, values: torch.Tensor) -> torch.Tensor:
        """(K, m, n) as (K, m, B), with zeros."""
        return torch.nn.functional.pad(values, (0, self.batch - values.shape[-1]))

    def report(self) -> dict:
        """The loss, and every metric of the task; see `nnlab.metrics`."""
        if not self.sizes:
            raise UserError("there is nothing to report: no examples were added")
        with computing():
            losses = sum(
                self.metric_sums.sums(each, self._weight(size))
                for each, size in zip(self.per_example, self.sizes, strict=True)
            )[0]
        z, t = np.concatenate(self.predictions, 1), np.concatenate(self.targets, 1)
        scores = ProbabilityScores.join(self.scores) if self.scores else None
        report = self.metric_sums.task.test(z, t, self.spec.classes, scores, self.spec.positive)
        report = {"loss": float(losses.mean()), **report}
        if self.uncalibrated is None:
            return report
        return with_uncalibrated(report, self.uncalibrated.report())

    def _weight(self, size: int) -> torch.Tensor:
        """(1, B): 1/n for each example of a batch, 0 for its padding."""
        is_example = torch.arange(self.batch, device=self.template.device) < size
        return (is_example.to(self.template) / sum(self.sizes))[None]


def network_targets(
    targets: np.ndarray, spec: DataSpec, normalizer: dict, like: torch.Tensor
) -> torch.Tensor:
    """(m, n): classes (n,) one-hot, or numbers (n, m) as a row normalises them."""
    if spec.classes:
        numbers = torch.from_numpy(targets[None]).to(like.device)
        return like.new_zeros(spec.outputs, len(targets)).scatter_(0, numbers, 1)
    block = targets.astype(np.float64)
    return normalize_targets(centered(block, normalizer["target_center"], like), normalizer)
