"""Trains a batch of trials together: their rows in the stacks of one fit, pruned at the pruner's rungs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from nnlab.errors import UserError
from nnlab.experiment import WITHOUT_RECORDS, Experiment
from nnlab.jobs.dispatcher import Dispatcher
from nnlab.jobs.stack_jobs import StackJobs
from nnlab.means import means_over_rows
from nnlab.metrics import METRICS, recorded_name
from nnlab.search.settings import Search
from nnlab.search.trial import COMPLETE, FAILED, PRUNED, Trial
from nnlab.training.data_cache import DataCache
from nnlab.training.fit import Fit
from nnlab.training.further_curves import refuse_theta
from nnlab.training.memory import refuse_too_large
from nnlab.training.results import Record
from nnlab.training.wanted_metrics import refuse_metrics, refuse_undefined
from nnlab.training.workers import Rungs

CURVE_NAMES = ("train_loss", "val_loss", "train_error", "val_error", "lr")


@dataclass(frozen=True)
class Candidate:
    """A trial that is chosen but not trained: its experiment, or the reason why it cannot be trained."""

    number: int
    params: dict
    experiment: Experiment | None = None
    reason: str = ""
    unrankable: bool = False  # it could be trained, but the objective would not be measured
    misfit: bool = False  # its network does not fit the data


class TrialBatch:
    """Iterate over it for the records of its fit; `finished_trials` then gives its trials.

    A trial's index is its position in `trainable`, the candidates that can be trained. The pruner compares
    the batch with `earlier_trials`; `epochs` is the most that any trial trains.
    """

    def __init__(
        self,
        candidates: list[Candidate],
        search: Search,
        cache: DataCache,
        earlier_trials: list[Trial],
        epochs: int,
    ):
        self.candidates, self.search = candidates, search
        self.earlier_trials, self.epochs = earlier_trials, epochs
        self.trainable = [candidate for candidate in candidates if candidate.experiment]
        self.rungs = tuple(search.pruner.rungs(epochs))
        experiments = [candidate.experiment for candidate in self.trainable]
        self.fit = Fit(experiments, cache, True, Rungs(self.rungs, self._rows_to_prune), search.rows)
        self.trial_of_row = self.fit.experiment_of_row  # (rows,): the index of its trial
        self.parameter_counts = [_parameter_count(e, cache) for e in experiments]
        rows, longest = len(self.trial_of_row), max((e.epochs for e in experiments), default=0)
        self._refuse_long_curves(rows, longest)
        self.curves = {name: np.full((rows, longest), np.nan) for name in CURVE_NAMES}
        self.best = np.full((rows, len(search.objectives)), np.nan)  # each row's, at its best epoch so far
        self.best_so_far = np.full((rows, longest), np.nan)  # the first objective of `best`, after each epoch
        self.pruned: dict[int, int] = {}  # trial index -> the rung at which it was pruned
        self.ended_rows: set[int] = set()
        self.diverged: dict[int, int] = {}  # row -> the epoch in which it diverged
        self.jobs: StackJobs | None = None  # that train it, if this process does not

    def submit(self, dispatcher: Dispatcher, slots: int, stacks: int | Literal["auto"]) -> None:
        """Have it trained elsewhere, by so many workers, in so many stacks: the first stage begins now."""
        place = f"{self.candidates[0].number:06d}"
        self.jobs = StackJobs(self.fit, dispatcher, place, slots, stacks)

    def __iter__(self) -> Iterator[Record]:
        for record in self.jobs or self.fit:
            self._record_epoch(record)
            yield record

    def _refuse_long_curves(self, rows: int, epochs: int) -> None:
        matrices = len(CURVE_NAMES) + 1
        what = f"the curves of a batch of {len(self.candidates)} trials, {epochs:,} epochs each,"
        remedy = "set fewer epochs or a smaller batch="
        refuse_too_large(8 * rows * epochs * matrices, what, remedy, torch.device("cpu"))

    def _record_epoch(self, record: Record) -> None:
        epoch, rows = record.epoch - 1, record.rows
        for name, curve in self.curves.items():
            curve[rows, epoch] = record.metrics.get(name, np.nan)
        improved = rows[record.improved]
        for i, name in enumerate(self.search.objectives):
            if name == "parameters":
                self.best[improved, i] = [
                    self.parameter_counts[index] for index in self.trial_of_row[improved]
                ]
            else:
                self.best[improved, i] = record.metrics[recorded_name(name)][record.improved]
        self.best_so_far[rows, epoch] = self.best[rows, 0]
        self.ended_rows |= record.ended.keys()
        self.diverged |= {row: record.epoch for row, ending in record.ended.items() if ending == "diverged"}

    # ---- pruning at a rung

    def _rows_to_prune(self, rung: int) -> list[int]:
        """The rows of trials that are pruned at this rung, and the other rows of trials that have failed."""
        in_training = self.training_trials()
        if in_training:
            keep = self._pruner_decisions(rung)
            self.pruned |= {index: rung for index in in_training if not keep[self.trainable[index].number]}
        to_prune = self._failed_trials() | self.pruned.keys()
        rows = enumerate(self.trial_of_row.tolist())
        return [row for row, index in rows if index in to_prune and row not in self.ended_rows]

    def _pruner_decisions(self, rung: int) -> dict[int, bool]:
        """Trial number -> whether the pruner keeps it, compared with every trial that reported a value."""
        reported = {t.number: t.intermediate_values for t in self.earlier_trials}
        reported |= {
            candidate.number: self._intermediate_values(index)
            for index, candidate in enumerate(self.trainable)
        }
        numbers = sorted(number for number, values in reported.items() if values)
        sign = self.search.signs[0]  # pruners keep what is small
        # A trial that was pruned or diverged before the rung is compared by its last value.
        last_epochs = [min(rung, max(reported[number])) for number in numbers]
        values = [sign * reported[number][epoch] for number, epoch in zip(numbers, last_epochs, strict=True)]
        reached = [rung in reported[number] for number in numbers]
        keep = self.search.pruner.keep(
            rung, self.epochs, np.array(numbers), np.array(values), np.array(reached)
        )
        return dict(zip(numbers, keep.tolist(), strict=True))

    def _failed_trials(self) -> set[int]:
        """The indices of trials of which a row has diverged."""
        return set(self.trial_of_row[list(self.diverged)].tolist())

    def training_trials(self) -> list[int]:
        """The indices of trials that are still training."""
        running = np.ones(len(self.trial_of_row), bool)
        running[list(self.ended_rows)] = False
        return sorted(set(self.trial_of_row[running].tolist()) - self._failed_trials() - self.pruned.keys())

    def _intermediate_values(self, index: int) -> dict[int, float]:
        """Epoch -> the first objective so far, mean over the trial's rows; until it diverged, if it did."""
        rows = np.flatnonzero(self.trial_of_row == index)
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

    # ---- results, when all rows have ended

    def finished_trials(self) -> list[Trial]:
        """The result of each candidate, in the order of their numbers."""
        indices = {candidate.number: index for index, candidate in enumerate(self.trainable)}
        trials = []
        for candidate in self.candidates:
            if candidate.experiment:
                trials.append(self._finished_trial(candidate, indices[candidate.number]))
            else:
                trials.append(Trial(candidate.number, candidate.params, FAILED, reason=candidate.reason))
        return trials

    def _finished_trial(self, candidate: Candidate, index: int) -> Trial:
        rows = np.flatnonzero(self.trial_of_row == index)
        trial = Trial(
            candidate.number, candidate.params, FAILED, rows=len(rows),
            epochs=int(np.isfinite(self.curves["lr"][rows]).sum(1).max()),
            intermediate_values=self._intermediate_values(index),
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
        state = PRUNED if index in self.pruned else COMPLETE
        return replace(trial, state=state, values=tuple(means), spread=tuple(spread))

    def mean_curves(self, number: int) -> dict[str, list[float]]:
        """A trial's curves, means over its rows that trained in the epoch, from epoch 1."""
        index = next(i for i, candidate in enumerate(self.trainable) if candidate.number == number)
        rows = self.trial_of_row == index
        curves = {name: curve[rows] for name, curve in self.curves.items()}
        epochs = int(np.isfinite(curves["lr"]).any(0).sum())
        return {name: means_over_rows(curve[:, :epochs]).tolist() for name, curve in curves.items()}


def make_candidate(
    number: int, params: dict, experiment_of, cache: DataCache, objectives: tuple[str, ...] = ()
) -> Candidate:
    """The trial ready to train, its data loaded; or with the reason why it cannot be trained. It measures the
    `objectives` beside its own metrics."""
    misfit = False
    try:
        e = experiment_of(params)
        e, folds, dataset = measuring(e, objectives), cache.folds(e), cache.datasets[e.data]
        refuse_metrics(e, dataset.spec, objectives)
        refuse_undefined(e, dataset, folds)
        e.loss_for(dataset.spec)
        misfit = True
        e.graph(dataset.spec)
        refuse_theta(e, dataset.spec)
        # Only the winner's own run is trained again, and recorded.
        return Candidate(number, params, replace(e, refit=False, **WITHOUT_RECORDS))
    except UserError as error:
        return Candidate(number, params, reason=" ".join(str(error).split()), misfit=misfit)


def measuring(e: Experiment, objectives: tuple[str, ...]) -> Experiment:
    """The experiment, if it is to measure these objectives too after every epoch."""
    missing = tuple(name for name in objectives if name in METRICS and name not in e.measured)
    return replace(e, metrics=e.further_metrics + missing) if missing else e


def _parameter_count(e: Experiment, cache: DataCache) -> int:
    return e.graph(cache.datasets[e.data].spec).parameter_count
