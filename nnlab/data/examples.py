"""The examples of a data set on their device, gathered by number and normalised.

They lie there once, as columns: x (d, N) and t (m, N), or (1, N) class numbers. Sets to evaluate on are
kept as each fold normalises them.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch

from nnlab.data.dataset import Data, Dataset
from nnlab.data.normalization import (
    LINEAR_LIMIT,
    NORMALIZATIONS,
    centered,
    columns,
    median_and_spread,
    normalize_inputs,
    normalize_targets,
    statistics,
)
from nnlab.runtime.layout import aligned
from nnlab.runtime.recording import on_card

KEPT_NUMBERS = 2**26  # in all tables that are kept normalised
PART_EXAMPLES = 2**12  # of a table that are normalised at once
# In a table, above which it lies example by example: gathering columns would miss the cache.
WIDE_NUMBERS = 2**22


@dataclass(frozen=True)
class Batch:
    """Inputs x (K, d, B), targets t (K, m, B), and weight (1 or K, 1, B): 1/n for its n examples, else 0."""

    x: torch.Tensor
    t: torch.Tensor
    weight: torch.Tensor


@dataclass(frozen=True)
class Tables:
    """All examples as each of some folds normalises them, one fold below the other: x (F N, d), t (F N, m),
    or (F N, 1) class numbers; and where each fold begins, by its key."""

    x: torch.Tensor
    t: torch.Tensor
    first: dict


class Examples:
    """The data set on its device, and each fold's normalisation."""

    def __init__(self, data: Data, dataset: Dataset, like: torch.Tensor):
        self.dataset, self.spec, self.like = dataset, dataset.spec, like
        self.how = data.normalization, "none" if dataset.classes else data.target_normalization
        self.x, self.center = _on_device(dataset.x, self.how[0], like)
        self.outputs = self.spec.outputs
        if dataset.classes:
            self.true, self.t = (_class_numbers(dataset.targets(noisy), like) for noisy in (False, True))
        else:
            self.true, self.target_center = _on_device(dataset.targets(), self.how[1], like)
            self.t = self.true
        self._forget()

    def _forget(self) -> None:
        self._scalings, self._sets, self._tables, self._folded = {}, {}, {}, {}

    def elsewhere(self) -> Examples:
        """The same data for another split: its folds have other statistics and sets."""
        other = copy.copy(self)
        other._forget()
        return other

    def scaling(self, fold) -> dict[str, np.ndarray]:
        """mean and scale of the inputs, target_mean and target_scale: by the fold's training examples.

        Where inputs are also `pulled_in`: linear, up to where they are not. And center, and target_center of
        numbers, which are subtracted before the cast, so that the same example has the same bits anywhere.
        """
        if fold.key not in self._scalings:
            mean, scale = statistics(self.dataset.x, self.how[0], fold.train)
            if self.dataset.classes:
                target_mean, target_scale = np.zeros(self.outputs), np.ones(self.outputs)
            else:
                target_mean, target_scale = statistics(self.dataset.targets(), self.how[1], fold.train)
            self._scalings[fold.key] = {
                "mean": mean, "scale": scale, "center": self.center,
                "target_mean": target_mean, "target_scale": target_scale,
            }  # fmt: skip
            if not self.dataset.classes:
                self._scalings[fold.key]["target_center"] = self.target_center
            if self.how[0] == "robust":
                self._scalings[fold.key]["linear"] = np.array(LINEAR_LIMIT)
        return self._scalings[fold.key]

    def gather(self, fold, numbers, true: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        """x (d, n) and t (m, n) of the examples `numbers`, normalised as the fold says; classes one-hot.

        Labels are those that training sees, label noise included, or the true ones.
        """
        x, t = self._columns(fold, numbers, true)
        return x, self.one_hot(t[None])[0]

    def one_hot(self, t: torch.Tensor) -> torch.Tensor:
        """Class numbers (K, 1, B) as (K, m, B); real targets (K, m, B) as they are."""
        if not self.dataset.classes:
            return t
        return aligned(len(t), (self.outputs, t.shape[2]), self.like).scatter_(1, t, 1)

    def _columns(self, fold, numbers, true: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """The same with classes by number, t (1, n)."""
        s = self.scaling(fold)
        index = torch.as_tensor(numbers, device=self.like.device)
        x, t = self._inputs(fold, s, index), _gathered(self.true if true else self.t, index)
        if self.dataset.classes:
            return x, t
        return x, normalize_targets(t, s)

    def _inputs(self, fold, s, index) -> torch.Tensor:
        """The inputs of the examples `index`, normalised. A table that was pulled in once is kept, as long as
        a few are not too large."""
        if self.how[0] != "robust":
            return normalize_inputs(_gathered(self.x, index), s)
        if fold.key not in self._tables:
            if (len(self._tables) + 1) * self.x.numel() > KEPT_NUMBERS:
                return normalize_inputs(_gathered(self.x, index), s)
            table = self.x.clone()
            for part in table.split(PART_EXAMPLES, 1):
                normalize_inputs(part, s)
            self._tables[fold.key] = table
        return _gathered(self._tables[fold.key], index)

    def table_bytes(self, folds: int) -> int:
        """What `tables` of so many folds take."""
        width = self.x.element_size() * len(self.x) + self.t.element_size() * len(self.t)
        return folds * width * self.x.shape[1]

    def tables(self, folds: list) -> Tables:
        """The examples as each of these folds normalises them, kept for those that ask for the same."""
        folds = {fold.key: fold for fold in folds}
        key = tuple(folds)
        if key not in self._folded:
            everything = np.arange(self.x.shape[1])
            x, t = zip(*[self._columns(fold, everything, False) for fold in folds.values()], strict=True)
            first = {key: n * len(everything) for n, key in enumerate(folds)}
            self._folded = {key: Tables(_below(x), _below(t), first)}
        return self._folded[key]

    def of_folds(self, rows: list, sets: dict[object, list[Batch]], which: str, i: int) -> Batch:
        """Batch i of every row's own fold, on a GPU: by one call for all rows. `sets` are the folds'; of one
        that has no batch i, the last one, with weight 0."""
        key = "folds", tuple(sets), which, rows[0].evaluated, i
        if key not in self._sets:
            batches = [s[min(i, len(s) - 1)] for s in sets.values()]
            there = [i < len(s) for s in sets.values()]
            x, t, weight = (torch.cat([getattr(b, name) for b in batches]) for name in ("x", "t", "weight"))
            there = torch.tensor(there, device=weight.device)[:, None, None]
            self._sets[key] = Batch(x, self.one_hot(t), weight * there)
        place = "places", tuple(row.fold.key for row in rows)
        if place not in self._sets:
            numbers = [list(sets).index(row.fold.key) for row in rows]
            self._sets[place] = torch.tensor(numbers, device=self.like.device)
        b, own = self._sets[key], self._sets[place]
        return Batch(*(v.index_select(0, own) for v in (b.x, b.t, b.weight)))

    def evaluation(self, row, which: str) -> list[Batch]:
        """The row's validation or test set in batches of `row.evaluated`, (1, ., B) each, kept for reuse:
        with classes by number."""
        key = (row.fold.key, which, row.evaluated)
        if key not in self._sets:
            numbers = getattr(row.fold, which)
            size = -(-len(numbers) // row.evaluated) * row.evaluated
            x, t = self._columns(row.fold, np.resize(numbers, size), which == "test")
            weight = (torch.arange(size, device=x.device) < len(numbers)).to(x) / len(numbers)
            parts = [v.split(row.evaluated, 1) for v in (x, t, weight[None])]
            self._sets[key] = [Batch(*map(_own, batch)) for batch in zip(*parts, strict=True)]
        return self._sets[key]


def evaluation(examples: Examples, rows: list, which: str):
    """The rows' validation or test batches: yields a `Batch` for all rows; shorter sets end with weight 0."""
    sets = {row.fold.key: examples.evaluation(row, which) for row in rows}
    for i in range(max(len(s) for s in sets.values())):
        own = [sets[row.fold.key] for row in rows]
        if len(sets) == 1:
            b = own[0][i]
            t = examples.one_hot(b.t)
            yield Batch(b.x.expand(len(rows), -1, -1), t.expand(len(rows), -1, -1), b.weight)
        elif on_card(examples.like):
            yield examples.of_folds(rows, sets, which, i)
        else:
            batches = [s[min(i, len(s) - 1)] for s in own]
            there = torch.tensor([i < len(s) for s in own], device=examples.like.device)
            x, t, weight = (_stacked([getattr(b, k) for b in batches]) for k in ("x", "t", "weight"))
            yield Batch(x, examples.one_hot(t), weight * there[:, None, None])


def _on_device(table: np.ndarray, how: str, like: torch.Tensor) -> tuple[torch.Tensor, np.ndarray]:
    """(N, d) of any real dtype as (d, N) on the device, less what `how` centres it by; and that, (d,)."""
    shape = table.shape if table.size > WIDE_NUMBERS else table.shape[::-1]
    out = torch.empty(shape, dtype=like.dtype, device=like.device)
    out = out.T if table.size > WIDE_NUMBERS else out
    center = np.zeros(len(out))
    if how == "none":
        return out.copy_(torch.from_numpy(table).T), center
    for here, block in columns(table):
        center[here], _ = (median_and_spread if how == "robust" else NORMALIZATIONS[how])(block)
        out[here] = centered(block, center[here], like)
    return out, center


def _class_numbers(y: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    """(N,) as (1, N) on the device."""
    return torch.from_numpy(y.astype(np.int64)[None]).to(like.device)


def lies_by_example(table: torch.Tensor) -> bool:
    """Whether a (d, n) table lies in memory example by example, not feature by feature."""
    return table.stride(0) == 1 and table.stride(1) > 1


def _gathered(table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """The columns `index` of a (d, N) table, laid out as the table is."""
    return table.T.index_select(0, index).T if lies_by_example(table) else table.index_select(1, index)


def _stacked(parts: list[torch.Tensor]) -> torch.Tensor:
    """Parts (1, n, B) as (K, n, B), each row aligned as it is alone."""
    out = aligned(len(parts), tuple(parts[0].shape[1:]), parts[0])
    for row, part in zip(out, parts, strict=True):
        row.copy_(part[0])
    return out


def _below(columns: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Tables (n, N) as (F N, n), one below the other."""
    return torch.cat([table.T for table in columns]).contiguous()


def _own(part: torch.Tensor) -> torch.Tensor:
    """A (n, B) part as (1, n, B) in memory of its own."""
    out = aligned(1, tuple(part.shape), part)
    out[0] = part
    return out
