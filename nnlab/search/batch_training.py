"""Training a batch of trials: each trial's rows in the stacks of one fit, compared at the pruner's rungs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from nnlab.errors import UserError
from nnlab.experiment import Experiment
from nnlab.means import means_over_rows
from nnlab.search.settings import Search
from nnlab.search.trial import COMPLETE, FAILED, PRUNED, Trial
from nnlab.training.data_cache import DataCache
from nnlab.training.fit import Fit
from nnlab.training.memory import refuse_too_large
from nnlab.training.results import Record
from nnlab.training.workers import Rungs

CURVE_NAMES = ("train_loss", "val_loss", "train_error", "val_error", "lr")


@dataclass(frozen=True)
class Candidate:
    """A trial that has been chosen but not trained: its experiment, or why there is none."""

    number: int
    params: dict
    experiment: Experiment | None = None
    wrong: str = ""
    unranked: bool = False  # it could be trained, but the objective is not measured


class TrialBatch:
    """Iterate over it for the records of its fit; `finished` then gives its trials.

    Trials are known by their place in `trained`, the candidates that can be trained. `past` are earlier
    trials, with which the pruner compares these; `epochs` is the most that any trial trains.
    """

    def __init__(
        self, candidates: list[Candidate], search: Search, cache: DataCache, past: list[Trial], epochs: int
    ):
        self.candidates, self.search = candidates, search
        self.past, self.epochs = past, epochs
        self.trained = [c for c in candidates if c.experiment]
        self.rungs = tuple(search.pruner.rungs(epochs))
        experiments = [c.experiment for c in self.trained]
        self.fit = Fit(experiments, cache, True, Rungs(self.rungs, self._rows_leaving), search.rows)
        self.owner = self.fit.experiment_of_row  # row -> place of its trial
        self.parameters = [_parameters(e, cache) for e in experiments]
        rows, longest = len(self.owner), max((e.epochs for e in experiments), default=0)
        self._refuse_long_curves(rows, longest)
        self.curves = {name: np.full((rows, longest), np.nan) for name in CURVE_NAMES}
        self.best = np.full((rows, len(search.objectives)), np.nan)  # at the best epoch of each row so far
        self.best_so_far = np.full((rows, longest), np.nan)  # the first objective of `best` after each epoch
        self.pruned: dict[int, int] = {}  # place -> the rung at which it was pruned
        self.over: set[int] = set()  # rows that have ended
        self.diverged: dict[int, int] = {}  # row -> in which epoch

    def __iter__(self) -> Iterator[Record]:
        for record in self.fit:
            self._read(record)
            yield record

    def _refuse_long_curves(self, rows: int, epochs: int) -> None:
        matrices = len(CURVE_NAMES) + 1
        what = f"the curves of a batch of {len(self.candidates)} trials, {epochs:,} epochs each,"
        remedy = "set fewer epochs or a smaller batch="
        refuse_too_large(8 * rows * epochs * matrices, what, remedy, torch.device("cpu"))

    def _read(self, record: Record) -> None:
        epoch, rows = record.epoch - 1, record.rows
        for name, curve in self.curves.items():
            curve[rows, epoch] = record.metrics.get(name, np.nan)
        improved = rows[record.improved]
        for i, name in enumerate(self.search.objectives):
            if name == "parameters":
                self.best[improved, i] = [self.parameters[place] for place in self.owner[improved]]
            else:
                self.best[improved, i] = record.metrics[name][record.improved]
        self.best_so_far[rows, epoch] = self.best[rows, 0]
        self.over |= record.ended.keys()
        self.diverged |= {row: record.epoch for row, how in record.ended.items() if how == "diverged"}

    # ---- at a rung

    def _rows_leaving(self, rung: int) -> list[int]:
        """The rows of trials that are pruned at this rung, and the other rows of trials that have failed."""
        training = self.training()
        if training:
            kept = self._kept(rung)
            self.pruned |= {place: rung for place in training if not kept[self.trained[place].number]}
        leaving = self._failed() | self.pruned.keys()
        rows = enumerate(self.owner.tolist())
        return [row for row, place in rows if place in leaving and row not in self.over]

    def _kept(self, rung: int) -> dict[int, bool]:
        """Trial number -> whether the pruner keeps it, compared with every trial that reported a value."""
        reported = {t.number: t.intermediate_values for t in self.past}
        reported |= {c.number: self._intermediate_values(place) for place, c in enumerate(self.trained)}
        numbers = sorted(number for number, values in reported.items() if values)
        sign = self.search.signs[0]  # pruners keep what is small
        # A trial that left before the rung is compared by its last value.
        last = [min(rung, max(reported[number])) for number in numbers]
        values = [sign * reported[number][epoch] for number, epoch in zip(numbers, last, strict=True)]
        reached = [rung in reported[number] for number in numbers]
        keep = self.search.pruner.keep(
            rung, self.epochs, np.array(numbers), np.array(values), np.array(reached)
        )
        return dict(zip(numbers, keep.tolist(), strict=True))

    def _failed(self) -> set[int]:
        """The places of trials of which a row has diverged."""
        return set(self.owner[list(self.diverged)].tolist())

    def training(self) -> list[int]:
        """The places of trials that are still training."""
        going = np.ones(len(self.owner), bool)
        going[list(self.over)] = False
        return sorted(set(self.owner[going].tolist()) - self._failed() - self.pruned.keys())

    def _intermediate_values(self, place: int) -> dict[int, float]:
        """Epoch -> the first objective so far, mean over the trial's rows; until it diverged, if it did."""
        rows = np.flatnonzero(self.owner == place)
        epochs = int(np.isfinite(self.best_so_far[rows]).any(0).sum())
        epochs = min([epochs, *(self.diverged[row] - 1 for row in rows.tolist() if row in self.diverged)])
        means = self._means_so_far(rows)[:epochs]
        return dict(enumerate(means.tolist(), start=1))

    def _means_so_far(self, rows: np.ndarray) -> np.ndarray:
        """(epochs,): means over the rows, of which one that has ended keeps its last value."""
        values = self.best_so_far[rows]
        epochs = np.arange(values.shape[1])
        latest = np.maximum.accumulate(np.where(np.isfinite(values), epochs, 0), 1)
        return np.take_along_axis(values, latest, 1).mean(0)

    # ---- when all have ended

    def finished(self) -> list[Trial]:
        """What came of each candidate, by number."""
        places = {c.number: place for place, c in enumerate(self.trained)}
        trials = []
        for c in self.candidates:
            if c.experiment:
                trials.append(self._finished(c, places[c.number]))
            else:
                trials.append(Trial(c.number, c.params, FAILED, reason=c.wrong))
        return trials

    def _finished(self, c: Candidate, place: int) -> Trial:
        rows = np.flatnonzero(self.owner == place)
        trial = Trial(
            c.number, c.params, FAILED, rows=len(rows),
            epochs=int(np.isfinite(self.curves["lr"][rows]).sum(1).max()),
            intermediate_values=self._intermediate_values(place),
        )  # fmt: skip
        diverged = [row for row in rows.tolist() if row in self.diverged]
        if diverged:
            reason = f"diverged in epoch {min(self.diverged[row] for row in diverged)}"
            if len(rows) > 1:
                reason += f", {len(diverged)} of {len(rows)} rows"
            return replace(trial, reason=reason)
        means = self.best[rows].mean(0).tolist()
        for name, value in zip(self.search.objectives, means, strict=True):
            if not np.isfinite(value):  # there is nothing to rank it by
                return replace(trial, reason=f"{name} is {value}")
        spread = [None] * len(means)
        if len(rows) > 1:
            spread = self.best[rows].std(0, ddof=1).tolist()
        state = PRUNED if place in self.pruned else COMPLETE
        return replace(trial, state=state, values=tuple(means), spread=tuple(spread))

    def curves_of(self, number: int) -> dict[str, list[float]]:
        """A trial's curves, means over its rows that trained in the epoch, from epoch 1."""
        place = next(p for p, c in enumerate(self.trained) if c.number == number)
        rows = self.owner == place
        curves = {name: curve[rows] for name, curve in self.curves.items()}
        epochs = int(np.isfinite(curves["lr"]).any(0).sum())
        return {name: means_over_rows(curve[:, :epochs]).tolist() for name, curve in curves.items()}


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
