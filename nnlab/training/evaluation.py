"""Evaluation without training: the metrics of the validation set, and the report of the test set."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch

from nnlab.autodiff.box import Site
from nnlab.autodiff.graph import Graph
from nnlab.data.batches import Chunk
from nnlab.data.evaluation_batches import evaluation_batches, validation_weights
from nnlab.data.examples import Examples
from nnlab.experiment import Row
from nnlab.metrics import METRICS, ProbabilityScores, recorded_name
from nnlab.runtime.cuda_graphs import CudaGraphs
from nnlab.runtime.ranks import Ranks
from nnlab.runtime.shares import Share
from nnlab.training.calibration import (
    Calibration,
    calibrate,
    is_calibrated,
    set_threshold,
    temperatures,
    with_uncalibrated,
)
from nnlab.training.histograms import histograms
from nnlab.training.metric_sums import MetricSums
from nnlab.training.population import Population, Weights
from nnlab.training.results import Histograms
from nnlab.training.thresholds import above_threshold


@dataclass(frozen=True)
class TestOutcome:
    """The report and the predictions of a row on its test set, as a `Result` has them."""

    test: dict[str, object] = field(default_factory=dict)
    predictions: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Answers:
    """What K rows answer to N examples: the mean loss and error (2, K), predictions and targets (K, m, N), as
    their task has them (classes, or normalised numbers), and the scores of probabilities of classes."""

    sums: np.ndarray
    z: np.ndarray
    t: np.ndarray
    scores: ProbabilityScores | None

    def of_row(self, k: int, examples: np.ndarray) -> Answers:
        """Those of one row, without the padding after its `examples`; arrays without the axis of rows."""
        n = len(examples)
        scores = self.scores and self.scores.row(k, n)
        return Answers(self.sums[:, k], self.z[k, :, :n], self.t[k, :, :n], scores)


class Evaluator:
    """A population's network in evaluation mode (no dropout), on `weights` that training may change.

    Ranks share the examples of a validation set, unless metrics are to be computed of all answers together;
    everything else each does by itself.
    """

    def __init__(
        self, graph: Graph, population: Population, weights: Weights, examples: Examples, threads,
        ranks: Ranks | None = None,
    ):  # fmt: skip
        e, theta, batch = population.experiment, weights.theta, population.rows[0].evaluation_batch
        site = Site(
            len(theta), batch, False, theta, e.regularizer.rates(), threads, e.precision,
            overwrites=not e.histograms,
        )  # fmt: skip
        self.network = graph.bind(theta, theta, site, weights.buffers)  # nothing writes a gradient here
        self.share, self.shared_network = Share(batch, ranks), self.network
        if ranks:
            shared_site = replace(site, batch=self.share.width, share=self.share)
            self.shared_network = graph.bind(theta, theta, shared_site, weights.buffers)
        self.rows, self.examples = population.rows, examples
        self.monitor, self.measured = self.rows[0].fold.monitor, self.rows[0].measured
        normalizers = [examples.scaling(row.fold) for row in population.rows]
        self.metric_sums = MetricSums(
            e.loss_for(examples.spec), examples.spec, normalizers, examples.template
        )
        self.theta, self.parameters = theta, graph.layout().parameters
        self.sums = torch.zeros(2, len(theta), dtype=torch.float64, device=theta.device)  # loss and error
        self.cuda_graphs, self.sets_gathered = CudaGraphs(theta, self.network.captured), False

    def begin(self, sums: np.ndarray | None = None) -> None:
        """Set the sums to zero, or to those of the first steps of an epoch."""
        if sums is None:
            self.sums.zero_()
        else:
            self.sums.copy_(torch.from_numpy(sums))

    def add(self, z: torch.Tensor, chunk: Chunk) -> None:
        """Add the loss and error of the network's outputs before each step of a chunk, z (S, K, m, B)."""
        weights = chunk.valid, chunk.loss_weight
        key = z.data_ptr(), chunk.t.data_ptr(), *(w.data_ptr() for w in weights if w is not None), len(z)
        self.cuda_graphs.run(key, lambda: self.sums.add_(self.metric_sums(z, chunk.t, *weights)))

    def validate(self) -> dict[str, np.ndarray]:
        """Mean loss and error of every row on its validation set, and the metrics that its experiment asks
        for; nothing where nothing is held back."""
        if self.monitor != "validation":
            return {}
        if self.measured:
            return self._validate_measured()
        if self.examples.is_in_file:  # the host reads every batch
            self._sum_validation()
        else:
            if self.cuda_graphs.capturing and not self.sets_gathered:  # once, before anything is captured
                for _ in evaluation_batches(self.examples, self.rows, "validation"):
                    self.sets_gathered = bool(self.validation_weights)
            self.cuda_graphs.run("validation", self._sum_validation)
        (sums,) = self.share.totals(self.sums)
        self.share.wait_for(sums)
        loss, error = sums.cpu().numpy()
        return {"val_loss": loss, "val_error": self.metric_sums.error(error)}

    def _validate_measured(self) -> dict[str, np.ndarray]:
        """The same, with the metrics that are asked for, from the answers to all examples."""
        needs_scores = any(METRICS[name].scores for name in self.measured)
        answers = self._answers("validation", [{} for _ in self.rows], needs_scores)
        loss, error = answers.sums
        metrics = {"val_loss": loss, "val_error": self.metric_sums.error(error)}
        metrics |= {recorded_name(name): np.empty(len(self.rows)) for name in self.measured}
        for k, row in enumerate(self.rows):
            arguments = self._task_arguments(row, answers.of_row(k, row.fold.validation))
            of_row = self.metric_sums.task.answers(*arguments)
            for name in self.measured:
                metrics[recorded_name(name)][k] = METRICS[name].formula(of_row)
        return metrics

    def _sum_validation(self) -> None:
        self.begin()
        batches = evaluation_batches(self.examples, self.rows, "validation")
        for batch, loss_weight in zip(batches, self.validation_weights, strict=True):
            x, t, weight = (self.share.of(v) for v in (batch.x, batch.t, batch.weight[:, 0]))
            loss_weight = loss_weight if loss_weight is None else self.share.of(loss_weight)
            self.sums.add_(self.metric_sums(self.shared_network.fprop(x), t, weight, loss_weight))

    @cached_property
    def validation_weights(self) -> list[torch.Tensor | None]:
        """Of every validation batch, the weights of the examples' losses, None where they are 1."""
        return validation_weights(self.examples, self.rows)

    def histograms(self) -> dict[str, Histograms]:
        """For every row: histograms of each parameter, and of each box's outputs on the validation set, or
        on the training examples where nothing is held back."""
        return histograms(len(self.rows), self._values_in_pieces)

    def _values_in_pieces(self):
        """The values to count as (name, row, values): parameters first, then outputs batch by batch."""
        for name, leaf_slice in self.parameters.items():
            for k, values in enumerate(leaf_slice.view(self.theta).cpu().numpy()):
                yield f"parameters/{name}", k, values
        for batch in evaluation_batches(self.examples, self.rows, self.monitor):
            self.network.fprop(batch.x)
            valid = (batch.weight[:, 0] > 0).cpu().numpy()  # (1 or K, B): without the padding of a batch
            for name, y in self.network.outputs().items():
                for k, values in enumerate(y.cpu().numpy()):
                    yield f"activations/{name}", k, values[..., valid[k % len(valid)]]

    def calibrations(self) -> list[Calibration]:
        """What is fitted on every row's validation examples."""
        if not any(map(is_calibrated, self.rows)):
            return [{} for _ in self.rows]
        if self.monitor != "validation":
            return [set_threshold(row.experiment) for row in self.rows]
        batches = []
        for batch in evaluation_batches(self.examples, self.rows, "validation"):
            values = self.network.fprop(batch.x), batch.t, batch.weight
            # Copies, since the next batch takes the network's memory.
            batches.append([v.double().cpu().expand(len(self.rows), -1, -1).clone() for v in values])
        z, t, weight = (torch.cat(values, 2) for values in zip(*batches, strict=True))
        scales = [self.examples.scaling(row.fold)["target_scale"] for row in self.rows]
        return [
            calibrate(row, self.metric_sums.loss, self.examples.spec, z[k], t[k], weight[k], scale)
            for k, (row, scale) in enumerate(zip(self.rows, scales, strict=True))
        ]

    def test(self, calibrations: list[Calibration]) -> list[TestOutcome]:
        """Every row on its test set, calibrated: the loss, and what the task reports; the predictions of rows
        that keep them. Empty if there is no test set."""
        if not len(self.rows[0].fold.test):
            return [TestOutcome() for _ in self.rows]
        outcomes = self._test_outcomes(calibrations)
        if not any("temperature" in calibration for calibration in calibrations):
            return outcomes
        before = self._test_outcomes([{} for _ in self.rows])
        return [
            replace(after, test=with_uncalibrated(after.test, plain.test))
            if "temperature" in fitted
            else after
            for after, plain, fitted in zip(outcomes, before, calibrations, strict=True)
        ]

    def _test_outcomes(self, calibrations: list[Calibration]) -> list[TestOutcome]:
        answers = self._answers("test", calibrations)
        return [self._test_outcome(row, answers.of_row(k, row.fold.test)) for k, row in enumerate(self.rows)]

    def _answers(self, part: str, calibrations: list[Calibration], needs_scores: bool = True) -> Answers:
        """What all rows answer to the examples of their `part`, validation or test."""
        outputs, targets, scores, sums = [], [], [], 0
        task, loss, spec = self.metric_sums.task, self.metric_sums.loss, self.examples.spec
        keeps, temperature = any(row.keeps_predictions for row in self.rows), temperatures(calibrations)
        # Losses of a test set count every example once.
        loss_weights = self.validation_weights if part == "validation" else itertools.repeat(None)
        batches = evaluation_batches(self.examples, self.rows, part)
        for batch, loss_weight in zip(batches, loss_weights, strict=False):
            z = self.network.fprop(batch.x)
            z = z if temperature is None else z / torch.from_numpy(temperature).to(z)
            sums = sums + self.metric_sums(z, batch.t, batch.weight[:, 0], loss_weight)
            # Copies: in float64 on a CPU these would be the network's own memory, which the next batch takes.
            answers = np.array(loss.scores(z).double().cpu().numpy())
            targets.append(np.array(task.to_prediction(batch.t.double().cpu().numpy())))
            if self.examples.dataset.classes and needs_scores:
                p = loss.probabilities(z.double()).cpu().numpy()
                scores.append(ProbabilityScores.of(p, targets[-1], keeps))
                for k, calibration in enumerate(calibrations):
                    if "threshold" in calibration:
                        answers[k] = above_threshold(p[k], calibration["threshold"], spec)
            outputs.append(task.to_prediction(answers))
        z, t = (np.concatenate(parts, 2) for parts in (outputs, targets))
        return Answers(sums.cpu().numpy(), z, t, ProbabilityScores.join(scores) if scores else None)

    def _test_outcome(self, row: Row, answers: Answers) -> TestOutcome:
        """From the answers of one row alone."""
        spec, arguments = self.examples.spec, self._task_arguments(row, answers)
        report = {"loss": float(answers.sums[0]), **self.metric_sums.task.test(*arguments)}
        if not row.keeps_predictions:
            return TestOutcome(report)
        z, values = arguments[0], answers.scores.probabilities if spec.classes else arguments[0]
        predictions = {"examples": row.fold.test, "values": values.T.copy()}
        return TestOutcome(report, predictions | ({"classes": z[0].copy()} if spec.classes else {}))

    def _task_arguments(self, row: Row, answers: Answers) -> tuple:
        """What the task takes to report or to measure: answers and targets in the unit of the data."""
        z, t, spec = self._in_units(row, answers.z), self._in_units(row, answers.t), self.examples.spec
        return z, t, spec.classes, answers.scores, spec.positive

    def _in_units(self, row: Row, values: np.ndarray) -> np.ndarray:
        """Numbers (m, N) in the target's unit; classes as they are."""
        if self.examples.spec.classes:
            return values
        scaling = self.examples.scaling(row.fold)
        return values * scaling["target_scale"][:, None] + scaling["target_mean"][:, None]
