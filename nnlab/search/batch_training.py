"""Training a batch of trials: each trial's rows in the stacks of one fit, judged together at the rungs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from nnlab.errors import UserError
from nnlab.experiment import Experiment
from nnlab.search.settings import Search
from nnlab.search.trial import COMPLETE, FAILED, PRUNED, Trial
from nnlab.training.data_cache import DataCache
from nnlab.training.fit import Fit
from nnlab.training.memory import refuse_too_large
from nnlab.training.results import Record
from nnlab.training.workers import Rungs

CURVES = ("train_loss", "val_loss", "train_error", "val_error", "lr")


@dataclass(frozen=True)
class Candidate:
    """A trial that has been chosen and not told: its experiment, or why there is none."""

    number: int
    params: dict
    experiment: Experiment | None = None
    wrong: str = ""
    unranked: bool = False  # it could be trained, but the objective is not measured


class Batch:
    """Iterate over it for the records of its fit; then `told` has its trials.

    `past` are earlier trials, which pruners compare with; `epochs` is the most that any trial trains.
    """

    def __init__(
        self, candidates: list[Candidate], search: Search, cache: DataCache, past: list[Trial], epochs: int
    ):
        self.candidates, self.search, self.past, self.epochs = candidates, search, past, epochs
        self.trained = [c for c in candidates if c.experiment]
        self.rungs = tuple(search.pruner.rungs(epochs))
        experiments = [c.experiment for c in self.trained]
        self.fit = Fit(experiments, cache, True, Rungs(self.rungs, self._leaving), search.rows)
        self.owner = self.fit.owner  # row -> its trial, by place in `trained`
        self.parameters = [_parameters(e, cache) for e in experiments]
        size = (len(self.owner), max((e.epochs for e in experiments), default=0))
        numbers = size[0] * size[1] * (len(CURVES) + 1)
        what = f"the curves of a batch of {len(candidates)} trials, {size[1]:,} epochs each,"
        refuse_too_large(8 * numbers, what, "set fewer epochs or a smaller batch=", torch.device("cpu"))
        self.curves = {name: np.full(size, np.nan) for name in CURVES}
        self.best = np.full((len(self.owner), len(search.objectives)), np.nan)
        self.worth = np.full(size, np.nan)  # of each row: the first objective at its best epoch so far
        self.cut: dict[int, int] = {}  # place -> the rung at which it was pruned
        self.over: set[int] = set()  # rows that have ended
        self.diverged: dict[int, int] = {}  # row -> in which epoch

    def __iter__(self) -> Iterator[Record]:
        for record in self.fit:
            self._see(record)
            yield record

    def _see(self, record: Record) -> None:
        at, rows = record.epoch - 1, record.rows
        for name, curve in self.curves.items():
            curve[rows, at] = record.metrics.get(name, np.nan)
        better = rows[record.improved]
        for i, name in enumerate(self.search.objectives):
            fixed = name == "parameters"
            values = self._sizes(better) if fixed else record.metrics[name][record.improved]
            self.best[better, i] = values
        self.worth[rows, at] = self.best[rows, 0]
        self.over |= record.ended.keys()
        self.diverged |= {row: record.epoch for row, how in record.ended.items() if how == "diverged"}

    def _sizes(self, rows) -> np.ndarray:
        return np.array([self.parameters[place] for place in self.owner[rows]], float)

    def _leaving(self, rung: int) -> list[int]:
        """The rows of trials that the pruner does not keep, and the others of trials that have failed."""
        here = self.training()
        if here:
            known = {t.number: t.worth for t in self.past if t.worth}
            known |= {c.number: self._worth(place) for place, c in enumerate(self.trained)}
            numbers, sign = sorted(n for n in known if known[n]), self.search.signs[0]
            worth = [sign * known[n][min(rung, max(known[n]))] for n in numbers]
            came = [rung in known[n] for n in numbers]
            keep = self.search.pruner.keep(rung, self.epochs, *map(np.array, (numbers, worth, came)))
            kept = dict(zip(numbers, keep.tolist(), strict=True))
            self.cut |= {place: rung for place in here if not kept[self.trained[place].number]}
        gone = self._failed() | self.cut.keys()
        return [
            row for row, place in enumerate(self.owner.tolist()) if place in gone and row not in self.over
        ]

    def _failed(self) -> set[int]:
        """The trials, by place, of which a row has diverged."""
        return set(self.owner[list(self.diverged)].tolist())

    def training(self) -> list[int]:
        """The trials, by place, that are not over."""
        going = np.ones(len(self.owner), bool)
        going[list(self.over)] = False
        return sorted(set(self.owner[going].tolist()) - self._failed() - self.cut.keys())

    def _worth(self, place: int) -> dict[int, float]:
        """The trial's worth after each epoch so far; if it has failed, of those before."""
        own = np.flatnonzero(self.owner == place)
        epochs = int(np.isfinite(self.worth[own]).any(0).sum())
        epochs = min([epochs, *(self.diverged[row] - 1 for row in own.tolist() if row in self.diverged)])
        return dict(enumerate(self._means(place)[:epochs].tolist(), start=1))

    def _means(self, place: int) -> np.ndarray:
        """The trial's worth after each epoch: a row that has ended keeps its own."""
        rows = self.worth[self.owner == place]
        last = np.maximum.accumulate(np.where(np.isfinite(rows), np.arange(rows.shape[1]), 0), 1)
        filled = np.take_along_axis(rows, last, 1)
        return filled.mean(0)

    def told(self) -> list[Trial]:
        """What came of each candidate, by number."""
        places = {c.number: place for place, c in enumerate(self.trained)}
        return [
            self._told(c, places[c.number])
            if c.experiment
            else Trial(c.number, c.params, FAILED, reason=c.wrong)
            for c in self.candidates
        ]

    def _told(self, c: Candidate, place: int) -> Trial:
        own = np.flatnonzero(self.owner == place)
        epochs = int(np.isfinite(self.curves["lr"][own]).sum(1).max())
        lost = [row for row in own.tolist() if row in self.diverged]
        if lost:
            reason = f"diverged in epoch {min(self.diverged[row] for row in lost)}"
            reason += f", {len(lost)} of {len(own)} rows" if len(own) > 1 else ""
            rest = {"rows": len(own), "epochs": epochs, "reason": reason, "worth": self._worth(place)}
            return Trial(c.number, c.params, FAILED, **rest)
        means, several = self.best[own].mean(0).tolist(), len(own) > 1
        for name, value in zip(self.search.objectives, means, strict=True):
            if not np.isfinite(value):  # there is nothing to rank it by
                rest = {"rows": len(own), "epochs": epochs, "reason": f"{name} is {value}"}
                return Trial(c.number, c.params, FAILED, **rest, worth=self._worth(place))
        spread = self.best[own].std(0, ddof=1).tolist() if several else [None] * len(means)
        state = PRUNED if place in self.cut else COMPLETE
        rest = tuple(means), tuple(spread), len(own), epochs
        return Trial(c.number, c.params, state, *rest, worth=self._worth(place))

    def curves_of(self, number: int) -> dict[str, list[float]]:
        """A trial's curves, means over its rows that trained in the epoch, from epoch 1."""
        place = next(p for p, c in enumerate(self.trained) if c.number == number)
        own = self.owner == place
        each = {name: curve[own] for name, curve in self.curves.items()}
        count = int(np.isfinite(each["lr"]).any(0).sum())
        return {name: _means(curve[:, :count]).tolist() for name, curve in each.items()}


def candidate(number: int, params: dict, experiment_of, cache: DataCache) -> Candidate:
    """The trial ready to train, its data loaded; or with a sentence that says why it cannot be."""
    try:
        e = replace(experiment_of(params), refit=False, histograms=0)  # the winner's own run does these
        cache.folds(e)
        e.loss_for(cache.datasets[e.data].spec)
        e.graph(cache.datasets[e.data].spec)
        return Candidate(number, params, e)
    except UserError as wrong:
        return Candidate(number, params, wrong=" ".join(str(wrong).split()))


def _parameters(e: Experiment, cache: DataCache) -> int:
    return e.graph(cache.datasets[e.data].spec).parameter_count


def _means(curve: np.ndarray) -> np.ndarray:
    """Means over rows of what is finite, NaN where nothing is."""
    there = np.isfinite(curve)
    count = there.sum(0)
    sums = np.where(there, curve, 0).sum(0)
    return np.divide(sums, count, out=np.full(len(count), np.nan), where=count > 0)
