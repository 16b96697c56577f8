"""The subject of `nnlab check`: an experiment on its data, loaded and split once for all rungs; and samples
of it.

A rung trains like every run, with `Training` and `Step`, on a sample that is small enough for its budget:
whole epochs by `Sample.train`, or single steps by `training_steps`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch

from nnlab.allowed import LARGEST_COUNT
from nnlab.data.batches import Chunk
from nnlab.data.dataset import Dataset
from nnlab.data.encoders import fit_inputs, inputs_in_units
from nnlab.data.encoding import Encoding
from nnlab.data.examples import Examples
from nnlab.data.splits import Fold
from nnlab.data.stratification import stratified_split
from nnlab.experiment import WITHOUT_RECORDS, Experiment, Row
from nnlab.hyperparameters import Component, static
from nnlab.runtime import devices
from nnlab.streams import stream
from nnlab.training.memory import memory_needed, refuse_too_large
from nnlab.training.placement import choose_placement
from nnlab.training.results import Record
from nnlab.training.stacks import divide_into_stacks
from nnlab.training.training import Training
from nnlab.training.wanted_metrics import refuse_metrics
from nnlab.training.workers import train_in_parallel

MOST_ONE_HOT = 256  # categories of a column that checks look at one by one


@dataclass(frozen=True)
class Budget(Component):
    """How much work the rungs may do; the defaults are those of configs/check.yaml.

    seeds        start, saturation: number of rows, a seed each; fewer for large networks, as `work` allows
    parameters   gradients: a network with at most so many parameters is checked completely, others sampled
    sample       gradients: number of sampled elements of each parameter and of each box's inputs
    examples     subset: number of examples that must be memorized
    steps        subset: number of updates for that
    rates        rates: number of learning rates, a row each for every seed
    rate_seeds   rates: number of seeds
    rate_steps   rates: number of updates
    work         rates, saturation: at most so many multiply-adds forward; determinism: a tenth of it. Large
                 networks get fewer seeds, steps and rates, and smaller batches; in subset those get other
                 rates than the job's only if that fails
    """

    group: ClassVar[str] = "check"
    seeds: int = static(10, low=1, high=1000)
    parameters: int = static(20_000, low=1, high=LARGEST_COUNT)
    sample: int = static(100, low=1, high=LARGEST_COUNT)
    examples: int = static(50, low=2, high=LARGEST_COUNT)
    steps: int = static(2000, low=10, high=LARGEST_COUNT)
    rates: int = static(64, low=8, high=1000)
    rate_seeds: int = static(3, low=1, high=100)
    rate_steps: int = static(200, low=20, high=1_000_000)
    work: float = static(2e10, above=0, high=1e18)


class Subject:
    """An experiment, its data and their first fold. Raises `UserError` for what does not go together.

    `plant` names the box whose gradient has a wrong sign planted in it, for the rung gradients.
    """

    def __init__(self, experiment: Experiment, budget: Budget | None = None, plant: str | None = None):
        self.budget, self.plant = budget or Budget(), plant
        self.dataset = experiment.load()
        self.experiment = experiment = experiment.for_data(self.dataset.spec)
        experiment.loss_for(self.dataset.spec)
        refuse_metrics(experiment, self.dataset.spec)
        folds = experiment.split.folds(self.dataset)
        self.fold = folds[0]
        where = choose_placement([self.row], {experiment.data: self.dataset}, len(folds) * experiment.seeds)
        self.device = where.device  # where the whole job would be trained
        self.experiment = replace(experiment, device=str(where.device))
        self.graph = experiment.graph(self.dataset.spec)
        self.graph.refuse_batch(self.row.batch)
        # Refused before a rung starts, rather than after some of them took minutes.
        memory = memory_needed([[self.row]], {experiment.data: self.dataset}, 1)
        remedy = "take a smaller model, batch_size or data"
        refuse_too_large(memory, "one row of this job", remedy, self.device)

    @property
    def row(self) -> Row:
        """The experiment as it would be trained on the first fold."""
        return Row(self.experiment, self.experiment.seed, self.fold)

    @property
    def has_constant_target(self) -> bool:
        """Whether all training examples have the same target, so that there is nothing to learn."""
        t = self.dataset.y[self.fold.train]
        return bool((t == t[0]).all())

    def column_name(self, column: int) -> str:
        """The name of an input column; its number if it has no name."""
        names = self.dataset.spec.features
        return names[column] if names else f"column {column}"

    def inputs(self, examples: np.ndarray) -> np.ndarray:
        """(n, d) the inputs of these examples in the units of the data, in float64; those of a table
        encoded as the fold's training examples say. Categories are one-hot, also those that the network
        embeds, but for those with very many values."""
        return inputs_in_units(self.dataset.x[examples], self._encoding, self._fitted)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of `inputs`; none if they have none."""
        return self._encoding.names if self.dataset.columns else self.dataset.spec.features

    @cached_property
    def _encoding(self) -> Encoding:
        columns = tuple(
            replace(column, embedded=column.embedded and len(column.categories) > MOST_ONE_HOT)
            for column in self.dataset.columns
        )
        return Encoding(columns, self.dataset.spec.inputs)

    @cached_property
    def numbers(self) -> np.ndarray:
        """(N, numbers) of all examples the inputs that are numbers, missing ones filled."""
        x = self.dataset.number_inputs
        return np.where(np.isnan(x), self._fitted["fill"], x) if self.dataset.columns else x

    @cached_property
    def _fitted(self) -> dict[str, np.ndarray]:
        if not self.dataset.columns:
            return {}
        data = self.experiment.data
        return fit_inputs(
            self.dataset.x, self.dataset.spec.encoding, data.normalization, self.fold.train, data.rare
        )

    def affordable_seeds(self, examples_per_row: int) -> int:
        """How many seeds the budget allows, a row each that passes so many examples through the network."""
        work_per_row = self.graph.work * examples_per_row
        return int(max(1, min(self.budget.seeds, self.budget.work / work_per_row)))

    def sample(self, count: int, **changes) -> Sample:
        """`count` training examples, stratified by class, and at most as many validation examples; the same
        ones if nothing is held back."""
        train = validation = self.subsample(self.fold.train, count, "train")
        if len(self.fold.validation):
            validation = self.subsample(self.fold.validation, count, "validation")
        chosen = np.union1d(train, validation)
        train, validation = (np.searchsorted(chosen, indices) for indices in (train, validation))
        return self.with_data(self.dataset.select(chosen), Fold(train, validation, validation), **changes)

    def training_sample(self, count: int, **changes) -> Sample:
        """`count` training examples, which are also the validation examples."""
        chosen = self.subsample(self.fold.train, count, "train")
        everything = np.arange(len(chosen))
        return self.with_data(
            self.dataset.select(chosen), Fold(everything, everything, everything), **changes
        )

    def with_data(self, dataset: Dataset, fold: Fold, **changes) -> Sample:
        """The experiment on these data, with some of its settings changed."""
        single_run = {"seeds": 1, "refit": False, **WITHOUT_RECORDS}
        e = replace(self.experiment, **single_run | changes)
        device = self.device if e.device == self.experiment.device else devices.device(e.device)
        template = torch.empty(0, dtype=getattr(torch, e.dtype), device=device)
        return Sample(e, dataset, fold, Examples(e.data, dataset, template))

    def subsample(self, indices: np.ndarray, count: int, purpose: str) -> np.ndarray:
        """`count` of these indices, stratified by class and sorted; all if there are no more.
        Deterministic."""
        if count >= len(indices):
            return indices
        strata = self.dataset.y if self.dataset.classes else np.zeros(len(self.dataset.x), np.int64)
        return stratified_split(stream(0, "check", purpose), indices, strata, count)[1]


@dataclass(frozen=True)
class Sample:
    """A few examples on the device, and the experiment that is to be trained on them."""

    experiment: Experiment
    dataset: Dataset
    fold: Fold
    examples: Examples

    def rows(self, seeds: int = 1, variants: list[dict] | None = None) -> list[Row]:
        """A row for each variant (changed settings) and seed, numbered; the seeds of a variant are
        adjacent."""
        rows = [
            Row(replace(self.experiment, **variant), self.experiment.seed + s, self.fold)
            for variant in variants or [{}]
            for s in range(seeds)
        ]
        return [replace(row, number=n) for n, row in enumerate(rows)]

    def start_training(self, rows: list[Row], threads: int = 1) -> Training:
        """A `Training` of these rows, before its first step."""
        return Training(rows, self.examples, threads).begin()

    def train(self, rows: list[Row]) -> Iterator[Record]:
        """Train the rows; yields their records by epoch. Stacks run in parallel processes if that pays."""
        on_cpu = self.examples.template.device.type == "cpu"
        processes = devices.thread_count(self.experiment.threads) if on_cpu else 1
        divided = divide_into_stacks(rows, {self.experiment.data: self.dataset}, processes)
        trainings = [Training(stack, self.examples, 1) for stack in divided]
        for record, _ in train_in_parallel(trainings, processes):
            if record:
                yield record


def training_steps(training: Training) -> Iterator[Chunk]:
    """Train without end; yields the batch after each update."""
    for epoch in itertools.count(1):
        for chunk in training.batches.epoch(epoch):
            for s in range(len(chunk.x)):
                single_step = chunk.step(s)
                training.step.run(single_step, epoch, training.learning_rate(epoch, single_step))
                yield single_step


def metric_curves(records: list[Record], rows: int, name: str) -> np.ndarray:
    """A metric as an array (rows, epochs); NaN after a row has ended."""
    values = np.full((rows, max(record.epoch for record in records)), np.nan)
    for record in records:
        values[record.rows, record.epoch - 1] = record.metrics[name]
    return values


def mean_chance_loss(loss, sample: Sample) -> float:
    """The mean loss of the best constant prediction on the training examples, weighted as in training.

    For a loss with a built-in output map these are outputs 0, which give ln C for cross-entropy. Else it is
    the targets' mean, which for squared error gives their variance, or their median for the absolute error.
    """
    examples, fold = sample.examples, sample.fold
    _, t = examples.gather(fold, fold.train)
    if loss.map:
        z = torch.zeros_like(t[: loss.outputs(len(t))])
    else:
        z = loss.best_constant(t).expand_as(t)
    losses = loss.fprop(z, t).double()
    if examples.are_weighted(sample.rows()):
        losses *= examples.loss_weights(sample.rows()[0])[torch.from_numpy(fold.train)]
    return float(losses.mean())
