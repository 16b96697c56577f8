"""What is checked: an experiment on its data, loaded and split once for all rungs; and samples of them.

A rung trains as every run does, by `Training` and `Step`, on a sample small enough for its budget: whole
stacks by `records`, or step by step where it looks at single steps.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch

from nnlab.allowed import LARGEST_COUNT
from nnlab.data.batches import Chunk
from nnlab.data.dataset import Dataset
from nnlab.data.examples import Examples
from nnlab.data.splits import Fold
from nnlab.data.stratification import stratified_split
from nnlab.experiment import Experiment, Row
from nnlab.hyperparameters import Component, static
from nnlab.runtime import devices
from nnlab.streams import stream
from nnlab.training.memory import memory_needed, refuse_too_large
from nnlab.training.placement import choose_placement
from nnlab.training.results import Record
from nnlab.training.stacks import divide_into_stacks
from nnlab.training.training import Training
from nnlab.training.workers import train_in_parallel


@dataclass(frozen=True)
class Budget(Component):
    """How much the rungs may do; the defaults are those of configs/check.yaml.

    seeds        start, saturation: rows, a seed each; of large networks fewer, as `work` allows
    parameters   gradients: every parameter of a network with no more than these, else a sample
    sample       gradients: so many numbers of each parameter and of each box's inputs
    examples     subset: how many must be learnt by heart
    steps        subset: within so many updates
    rates        rates: how many learning rates, a row each for every seed
    rate_seeds   rates: how many seeds
    rate_steps   rates: how many updates
    work         rates, saturation: at most so many parameters x examples seen, determinism: a tenth of it;
                 large networks get fewer seeds, steps and rates, and of large batches a part
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
    """An experiment, its data and their first fold. Raises `UserError` for what does not go together."""

    def __init__(self, experiment: Experiment, budget: Budget | None = None):
        self.experiment = experiment
        self.budget = budget or Budget()
        self.dataset = experiment.load()
        experiment.loss_for(self.dataset.spec)
        folds = experiment.split.folds(self.dataset)
        self.fold = folds[0]
        where = choose_placement([self.row], {experiment.data: self.dataset}, len(folds) * experiment.seeds)
        self.device = where.device  # where the whole job would be trained
        self.experiment = replace(experiment, device=str(where.device))
        self.graph = experiment.graph(self.dataset.spec)
        # Refused before a rung starts, rather than after some of them took minutes.
        memory = memory_needed([[self.row]], {experiment.data: self.dataset}, 1)
        remedy = "take a smaller model, batch_size or data"
        refuse_too_large(memory, "one row of this job", remedy, self.device)

    @property
    def row(self) -> Row:
        """The experiment as it would be trained on the first fold."""
        return Row(self.experiment, self.experiment.seed, self.fold)

    @property
    def idle(self) -> bool:
        """Is there nothing to learn, since all training examples have the same target?"""
        t = self.dataset.y[self.fold.train]
        return bool((t == t[0]).all())

    def column_name(self, column: int) -> str:
        """An input by its name, or by its number where it has none."""
        names = self.dataset.features
        return names[column] if names else f"column {column}"

    def seeds(self, examples: int) -> int:
        """How many rows the budget allows if each sees so many examples."""
        return int(max(1, min(self.budget.seeds, self.budget.work / (self.graph.parameter_count * examples))))

    def sample(self, count: int, **changes) -> Sample:
        """`count` training examples, in equal shares of the classes, and at most as many to validate, or the
        same ones where nothing is held back."""
        train = validation = self.some(self.fold.train, count, "train")
        if len(self.fold.validation):
            validation = self.some(self.fold.validation, count, "validation")
        chosen = np.union1d(train, validation)
        train, validation = (np.searchsorted(chosen, numbers) for numbers in (train, validation))
        return self.having(self.dataset.select(chosen), Fold(train, validation, validation), **changes)

    def training_sample(self, count: int, **changes) -> Sample:
        """The same training examples, on which the rows are also validated."""
        chosen = self.some(self.fold.train, count, "train")
        everything = np.arange(len(chosen))
        return self.having(self.dataset.select(chosen), Fold(everything, everything, everything), **changes)

    def having(self, dataset: Dataset, fold: Fold, **changes) -> Sample:
        """The experiment, with some of its settings changed, on these data."""
        once = {"seeds": 1, "refit": False, "histograms": 0}
        e = replace(self.experiment, **once | changes)
        device = self.device if e.device == self.experiment.device else devices.device(e.device)
        like = torch.empty(0, dtype=getattr(torch, e.dtype), device=device)
        return Sample(e, dataset, fold, Examples(e.data, dataset, like))

    def some(self, numbers: np.ndarray, count: int, purpose: str) -> np.ndarray:
        """`count` of these examples, sorted; all if there are no more. Always the same ones."""
        if count >= len(numbers):
            return numbers
        strata = self.dataset.y if self.dataset.classes else np.zeros(len(self.dataset.x), np.int64)
        return stratified_split(stream(0, "check", purpose), numbers, strata, count)[1]


@dataclass(frozen=True)
class Sample:
    """A few of the data on the device, and the experiment that is to be tried on them."""

    experiment: Experiment
    dataset: Dataset
    fold: Fold
    examples: Examples

    def rows(self, seeds: int = 1, variants: list[dict] | None = None) -> list[Row]:
        """A row for each variant (settings that change) and seed, numbered; seeds go first."""
        rows = [
            Row(replace(self.experiment, **variant), self.experiment.seed + s, self.fold)
            for variant in variants or [{}]
            for s in range(seeds)
        ]
        return [replace(row, number=n) for n, row in enumerate(rows)]

    def training(self, rows: list[Row], threads: int = 1) -> Training:
        """The rows before their first step."""
        return Training(rows, self.examples, threads).begin()

    def records(self, rows: list[Row]) -> Iterator[Record]:
        """The epochs of the rows, in stacks side by side where that pays."""
        on_cpu = self.examples.like.device.type == "cpu"
        processes = devices.thread_count(self.experiment.threads) if on_cpu else 1
        divided = divide_into_stacks(rows, {self.experiment.data: self.dataset}, processes)
        trainings = [Training(stack, self.examples, 1) for stack in divided]
        for record, _ in train_in_parallel(trainings, processes):
            if record:
                yield record


def stepwise(training: Training) -> Iterator[Chunk]:
    """Train without end: yields after each update, with the batch that it was made from."""
    for epoch in itertools.count(1):
        for chunk in training.batches.epoch(epoch):
            for s in range(len(chunk.x)):
                one = chunk.step(s)
                training.step.run(one, epoch, training.learning_rate(epoch, one))
                yield one


def curves(records: list[Record], rows: int, name: str) -> np.ndarray:
    """A metric as (rows, epochs); NaN after a row has ended."""
    values = np.full((rows, max(record.epoch for record in records)), np.nan)
    for record in records:
        values[record.rows, record.epoch - 1] = record.metrics[name]
    return values


def chance(loss, dataset: Dataset, examples: Examples, fold: Fold) -> float:
    """The mean loss of the best answer that does not look at the inputs, on the training examples.

    With an output map built in, outputs 0: ln C for cross-entropy. Else the targets' mean, which for squared
    error gives their variance, or their median for the absolute error.
    """
    _, t = examples.gather(fold, fold.train)
    if loss.map:
        z = torch.zeros_like(t[: loss.outputs(len(t))])
    else:
        z = loss.constant(t).expand_as(t)
    return float(loss.fprop(z, t).double().mean())
