"""A data set on its device: gathers examples by index, as a fold encodes and normalises them.

The device holds one copy with an example per column: x (d, N), of a table raw (d_raw, N), and t (m, N), or
class indices t (1, N). Validation and test batches are cached, normalised.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nnlab.data.dataset import Data, Dataset
from nnlab.data.device_tables import (
    EXAMPLES_PER_BLOCK,
    FileTable,
    class_indices,
    concatenate_tables,
    copy_row,
    empty_table,
    gather_examples,
    is_large,
    raw_table_on_device,
    stays_in_file,
    table_on_device,
)
from nnlab.data.encoders import center_inputs, fit_inputs, network_inputs, raw_center
from nnlab.data.loss_weights import is_weighted, loss_weights
from nnlab.data.mapped import MappedTable
from nnlab.data.normalization import LINEAR_LIMIT, normalize_targets, statistics
from nnlab.runtime.layout import aligned

CACHED_ELEMENTS = 2**26  # of all normalised tables together that are cached


@dataclass(frozen=True)
class Batch:
    """Inputs x (K, d, B), targets t (K, m, B), and weight (1 or K, 1, B): 1/n for its n examples, else 0."""

    x: torch.Tensor
    t: torch.Tensor
    weight: torch.Tensor


@dataclass(frozen=True)
class Tables:
    """All examples as F folds normalise them, concatenated for one gather by the batches of all folds."""

    x: torch.Tensor  # (F N, d)
    t: torch.Tensor  # (F N, m), or class indices (F N, 1)
    first: dict  # fold.key -> the fold's first row


class Examples:
    """The data set on the device and in the dtype of `template`, normalised by each fold's statistics."""

    def __init__(self, data: Data, dataset: Dataset, template: torch.Tensor):
        self.dataset, self.spec, self.template = dataset, dataset.spec, template
        self.encoding, self.rare = self.spec.encoding, data.rare
        self.input_normalization = data.normalization
        self.statistics_groups = data.statistics_groups(dataset.spec)
        self.reconstructs = data.reconstruct
        self.target_normalization = "none" if dataset.classes else data.target_scaling
        if dataset.columns:
            self.center = center_inputs(dataset.x, self.encoding, self.input_normalization)
            self.x = raw_table_on_device(dataset.x, raw_center(self.encoding, self.center), template)
        elif isinstance(dataset.x, MappedTable):
            table = FileTable(dataset.x, self.input_normalization, self.spec.inputs, template)
            is_kept = stays_in_file(dataset.x, template.element_size(), template.device)
            self.x, self.center = table if is_kept else table.in_memory(), table.center
        else:
            self.x, self.center = table_on_device(dataset.x, self.input_normalization, template)
        self.outputs = self.spec.outputs
        if dataset.classes:
            self.true_t, self.t = (class_indices(dataset.targets(noisy), template) for noisy in (False, True))
        else:
            self.true_t, self.target_center = table_on_device(
                dataset.targets(), self.target_normalization, template
            )
            self.t = self.true_t
        self._clear_caches()

    def _clear_caches(self) -> None:
        self._scalings, self._batches, self._input_tables, self._tables_of_folds = {}, {}, {}, {}
        self._loss_weights = {}

    def without_caches(self) -> Examples:
        """The same data for another split, whose folds have other statistics and validation and test sets."""
        other = copy.copy(self)
        other._clear_caches()
        return other

    def scaling(self, fold) -> dict[str, np.ndarray]:
        """What is fitted on the fold's training examples: mean, scale, target_mean and target_scale, and of a
        table fill, slots and seen (see `encoders`).

        center and target_center are what was subtracted before the cast to the dtype, so that others can
        compute the same bits. Where inputs are soft-clipped too, "linear" is the limit up to which they pass.
        """
        if fold.key not in self._scalings:
            x, method = self.dataset.x, self.input_normalization
            fitted = fit_inputs(x, self.encoding, method, fold.train, self.rare, self.statistics_groups)
            if self.dataset.classes:
                target_mean, target_scale = np.zeros(self.outputs), np.ones(self.outputs)
            elif self.reconstructs:
                target_mean, target_scale = fitted["mean"], fitted["scale"]
            else:
                target_mean, target_scale = statistics(
                    self.dataset.targets(), self.target_normalization, fold.train
                )
            self._scalings[fold.key] = {
                **fitted, "center": self.center,
                "target_mean": target_mean, "target_scale": target_scale,
            }  # fmt: skip
            if not self.dataset.classes:
                self._scalings[fold.key]["target_center"] = self.target_center
            if self.input_normalization == "robust":
                self._scalings[fold.key]["linear"] = np.array(LINEAR_LIMIT)
        return self._scalings[fold.key]

    def loss_weights(self, row) -> torch.Tensor:
        """(N,): the weight of each example's loss in the training of the row; see nnlab.data.loss_weights."""
        key = row.fold.key, row.experiment.class_weight
        if key not in self._loss_weights:
            weights = loss_weights(self.dataset, row.experiment.class_weight, row.fold)
            self._loss_weights[key] = torch.from_numpy(weights).to(self.template)
        return self._loss_weights[key]

    def are_weighted(self, rows: list) -> bool:
        """Whether the losses of some of these rows are weighted."""
        return any(is_weighted(self.dataset, row.experiment.class_weight) for row in rows)

    def gather(self, fold, indices, true_labels: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        """x (d, n) and t (m, n) of the examples `indices`, normalised by the fold; classes one-hot.

        Labels include label noise, as in training, unless `true_labels`.
        """
        x, t = self._gather_columns(fold, indices, true_labels)
        return x, self.one_hot(t[None])[0]

    def one_hot(self, t: torch.Tensor) -> torch.Tensor:
        """Class indices (K, 1, B) as one-hot (K, m, B); real targets (K, m, B) unchanged."""
        if not self.dataset.classes:
            return t
        return aligned(len(t), (self.outputs, t.shape[2]), self.template).scatter_(1, t, 1)

    def _gather_columns(self, fold, indices, true_labels: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """The same as `gather`, with classes as indices t (1, n)."""
        scaling = self.scaling(fold)
        index = torch.as_tensor(indices, device=self.template.device)
        x = self._gather_inputs(fold, scaling, index)
        t = gather_examples(self.true_t if true_labels else self.t, index)
        if self.dataset.classes:
            return x, t
        return x, normalize_targets(t, scaling)

    def _gather_inputs(self, fold, scaling, index) -> torch.Tensor:
        """The inputs of the examples `index`, encoded, normalised and, if `robust`, soft-clipped.

        Soft-clipping costs a logarithm per element, and encoding some passes, so a fold's whole table of
        inputs is cached while it fits into `CACHED_ELEMENTS`.
        """
        is_costly = self.input_normalization == "robust" or self.encoding.columns
        if is_costly and not self.is_in_file and fold.key not in self._input_tables:
            if (len(self._input_tables) + 1) * self.spec.inputs * self.x.shape[1] <= CACHED_ELEMENTS:
                self._input_tables[fold.key] = self._input_table(scaling)
        if fold.key in self._input_tables:
            return gather_examples(self._input_tables[fold.key], index)
        x = network_inputs(gather_examples(self.x, index), self.encoding, scaling)
        return x.T.contiguous().T if self._is_encoded_by_example else x

    def _input_table(self, scaling) -> torch.Tensor:
        """The inputs (d, N) of all examples."""
        if not self.encoding.columns:
            table = self.x.clone()
            for block in table.split(EXAMPLES_PER_BLOCK, 1):
                network_inputs(block, self.encoding, scaling)
            return table
        table = empty_table(self.spec.inputs, self.x.shape[1], self.template)
        raw_blocks, blocks = (x.split(EXAMPLES_PER_BLOCK, 1) for x in (self.x, table))
        for raw, block in zip(raw_blocks, blocks, strict=True):
            block.copy_(network_inputs(raw, self.encoding, scaling))
        return table

    @property
    def _is_encoded_by_example(self) -> bool:
        """Whether inputs are encoded from raw ones, and so large a table that it is stored by example."""
        return bool(self.encoding.columns) and is_large(self.spec.inputs, self.x.shape[1])

    @property
    def is_in_file(self) -> bool:
        """Whether examples are gathered from a file, since they are too many for memory."""
        return isinstance(self.x, FileTable)

    def table_bytes(self, folds: int) -> float:
        """The size of the `tables` of so many folds; infinite where examples stay in a file."""
        if self.is_in_file:
            return math.inf
        width = self.x.element_size() * self.spec.inputs + self.t.element_size() * len(self.t)
        return folds * width * self.x.shape[1]

    def tables(self, folds: list) -> Tables:
        """All examples as each of these folds normalises them; the latest tables are cached."""
        folds = {fold.key: fold for fold in folds}
        key = tuple(folds)
        if key not in self._tables_of_folds:
            indices = np.arange(self.x.shape[1])
            x, t = zip(*[self._gather_columns(fold, indices, False) for fold in folds.values()], strict=True)
            first = {key: n * len(indices) for n, key in enumerate(folds)}
            self._tables_of_folds = {key: Tables(concatenate_tables(x), concatenate_tables(t), first)}
        return self._tables_of_folds[key]

    def stacked_batch(self, rows: list, fold_batches: dict[object, list[Batch]], part: str, i: int) -> Batch:
        """Evaluation batch i of every row, gathered on a GPU by one call from the batches of all folds.

        A fold with fewer batches repeats its last one with weight 0.
        """
        key = "folds", tuple(fold_batches), part, rows[0].evaluation_batch, i
        if key not in self._batches or self.is_in_file:
            batches = [b[min(i, len(b) - 1)] for b in fold_batches.values()]
            has_batch = torch.tensor([i < len(b) for b in fold_batches.values()], device=self.template.device)
            x, t, weight = (torch.cat([getattr(b, name) for b in batches]) for name in ("x", "t", "weight"))
            self._batches[key] = Batch(x, self.one_hot(t), weight * has_batch[:, None, None])
        rows_key = "fold indices", tuple(row.fold.key for row in rows)
        if rows_key not in self._batches:
            fold_indices = [list(fold_batches).index(row.fold.key) for row in rows]
            self._batches[rows_key] = torch.tensor(fold_indices, device=self.template.device)
        batch, fold_of_row = self._batches[key], self._batches[rows_key]
        return Batch(*(v.index_select(0, fold_of_row) for v in (batch.x, batch.t, batch.weight)))

    def evaluation_batches(self, row, part: str) -> Sequence[Batch]:
        """The row's validation or test set in cached batches (1, ., B) of `row.evaluation_batch` examples.

        Classes are indices; `part` is "validation" or "test".
        """
        key = (row.fold.key, part, row.evaluation_batch)
        if self.is_in_file:
            return FileBatches(self, row, part)
        if key not in self._batches:
            indices = getattr(row.fold, part)
            size = -(-len(indices) // row.evaluation_batch) * row.evaluation_batch
            x, t = self._gather_columns(row.fold, np.resize(indices, size), part == "test")
            weight = (torch.arange(size, device=x.device) < len(indices)).to(x) / len(indices)
            blocks = [v.split(row.evaluation_batch, 1) for v in (x, t, weight[None])]
            self._batches[key] = [Batch(*map(copy_row, batch)) for batch in zip(*blocks, strict=True)]
        return self._batches[key]


class FileBatches(Sequence):
    """The batches of `Examples.evaluation_batches`, each gathered from the file when it is asked for."""

    def __init__(self, examples: Examples, row, part: str):
        self._examples, self._fold, self._part, self._size = examples, row.fold, part, row.evaluation_batch
        self._indices = getattr(row.fold, part)

    def __len__(self) -> int:
        return -(-len(self._indices) // self._size)

    def __getitem__(self, i: int) -> Batch:
        if not 0 <= i < len(self):
            raise IndexError(i)
        places = np.arange(i * self._size, (i + 1) * self._size)
        indices = self._indices[places % len(self._indices)]
        x, t = self._examples._gather_columns(self._fold, indices, self._part == "test")
        weight = (torch.from_numpy(places).to(x.device) < len(self._indices)).to(x) / len(self._indices)
        return Batch(*map(copy_row, (x, t, weight[None])))
