"""Writes a sweep's TensorBoard events: a run for each trial, or for the best ones, and a summary."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from nnlab.records.events import EventFile, event_file
from nnlab.records.hparam_columns import hparam_name
from nnlab.records.tensorboard import metric_tags, objective_tag
from nnlab.search.settings import Search
from nnlab.search.trial import FAILED, Trial, rank_trials

ALL_TRIALS = 64  # sweeps of at most this many trials have curves of all
BEST_TRIALS = 20  # larger ones only of the best, since TensorBoard slows down with many runs


class SweepTensorBoard:
    """Writes `trials/<number>/` with a trial's curves and hyperparameters, and `trials/summary/` with the
    objective of every trial and the best so far, by its number.

    A sweep of at most 64 trials has them all, each as soon as it finishes; a longer one only its best 20, at
    the end.
    """

    def __init__(
        self, folder: Path, search: Search, keys: list[str], count: int, task: str = "classification"
    ):
        self.tags = metric_tags(task)
        self.folder, self.search, self.keys = folder / "trials", search, keys
        self.digits = len(str(max(count - 1, 1)))
        self.writes_immediately = count <= ALL_TRIALS

    def trials_finished(self, trials: list[Trial], curves: dict[int, dict[str, list[float]]]) -> None:
        """Write the finished trials, unless only the best are to be written at the end."""
        if self.writes_immediately:
            for trial in trials:
                self._write_trial(trial, curves.get(trial.number, {}))

    def close(self, trials: list[Trial], curves: dict[int, dict[str, list[float]]]) -> None:
        """Write the missing runs of the trials to be shown, remove others, and write the summary."""
        # An earlier process of this sweep may have written trials that are no longer among the best.
        shown = trials
        if not self.writes_immediately:
            shown = rank_trials(trials, self.search.signs)[:BEST_TRIALS]
        names = {self._name(trial) for trial in shown}
        for folder in self.folder.glob("*"):
            is_ours = folder.name.isdigit() or folder.name == "summary"
            if is_ours and folder.name not in names and folder.is_dir():
                shutil.rmtree(folder)
        for trial in shown:
            if not (self.folder / self._name(trial)).is_dir():
                self._write_trial(trial, curves.get(trial.number, {}))
        self._write_summary(trials)

    def _name(self, trial: Trial) -> str:
        return f"{trial.number:0{self.digits}d}"

    def _write_trial(self, trial: Trial, curves: dict[str, list[float]]) -> None:
        """Write a trial's event file atomically."""
        folder = self.folder / self._name(trial)
        temporary = folder.with_name(f".{folder.name}")
        shutil.rmtree(temporary, ignore_errors=True)
        with event_file(temporary) as file:
            self._write_events(file, trial, curves)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)

    def _write_events(self, file: EventFile, trial: Trial, curves: dict[str, list[float]]) -> None:
        hparams = {hparam_name(key): trial.params.get(key) for key in self.keys}
        file.start_session(hparams)
        for epoch, values in enumerate(zip(*curves.values(), strict=True), start=1):
            numbers = [math.nan if value is None else value for value in values]
            tags = [self.tags.get(name, name) for name in curves]
            file.scalars(epoch, dict(zip(tags, numbers, strict=True)))
        objectives = [objective_tag(name, self.tags) for name in self.search.objectives]
        if trial.values:
            file.scalars(trial.epochs, dict(zip(objectives, trial.values, strict=True)))
        file.experiment(hparams, objectives, hparams)
        file.end_session(trial.state != FAILED)

    def _write_summary(self, trials: list[Trial]) -> None:
        sign, best_so_far = self.search.signs[0], math.inf
        with event_file(self.folder / "summary") as file:
            for trial in trials:
                if trial.values:
                    value = trial.values[0]
                    best_so_far = min(best_so_far, sign * value)
                    file.scalars(trial.number, {"sweep/objective": value, "sweep/best": sign * best_so_far})
