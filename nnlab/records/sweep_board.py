"""A sweep in TensorBoard: a run for each trial, up to a number that it can bear, and a summary."""

from __future__ import annotations

import contextlib
import math
import shutil
from pathlib import Path

from nnlab.records.events import EventFile
from nnlab.records.hparam_columns import setting
from nnlab.records.tensorboard import objective_tag, tags
from nnlab.search.settings import Search
from nnlab.search.trial import FAILED, Trial, rank_trials

ALL_TRIALS = 64  # up to so many trials all have curves
BEST_TRIALS = 20  # of more, so many of the best: TensorBoard grows sluggish


class SweepBoard:
    """Writes `trials/<number>/` with a trial's curves and hyperparameters, and `trials/summary/` with the
    objective of every trial and the best so far, by its number.

    A sweep of at most 64 trials has them all, each as soon as it finishes; a longer one only its best 20, at
    the end.
    """

    def __init__(
        self, folder: Path, search: Search, keys: list[str], count: int, task: str = "classification"
    ):
        self.tags = tags(task)
        self.folder, self.search, self.keys = folder / "trials", search, keys
        self.digits = len(str(max(count - 1, 1)))
        self.at_once = count <= ALL_TRIALS

    def trials_finished(self, trials: list[Trial], curves: dict[int, dict[str, list[float]]]) -> None:
        """Trials finished, with these curves."""
        if self.at_once:
            for trial in trials:
                self._write(trial, curves.get(trial.number, {}))

    def close(self, trials: list[Trial], curves: dict[int, dict[str, list[float]]]) -> None:
        """All trials of the sweep: those that are to be there and are not, and the summary."""
        # Earlier processes of this sweep may have written others: a best trial is overtaken.
        shown = trials
        if not self.at_once:
            shown = rank_trials(trials, self.search.signs)[:BEST_TRIALS]
        names = {self._name(trial) for trial in shown}
        for folder in self.folder.glob("*"):
            ours = folder.name.isdigit() or folder.name == "summary"
            if ours and folder.name not in names and folder.is_dir():
                shutil.rmtree(folder)
        for trial in shown:
            if not (self.folder / self._name(trial)).is_dir():
                self._write(trial, curves.get(trial.number, {}))
        self._summary(trials)

    def _name(self, trial: Trial) -> str:
        return f"{trial.number:0{self.digits}d}"

    def _write(self, trial: Trial, curves: dict[str, list[float]]) -> None:
        """A trial's run, which appears complete or not at all."""
        folder = self.folder / self._name(trial)
        aside = folder.with_name(f".{folder.name}")
        shutil.rmtree(aside, ignore_errors=True)
        with contextlib.closing(EventFile(aside)) as file:
            self._write_events(file, trial, curves)
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)

    def _write_events(self, file: EventFile, trial: Trial, curves: dict[str, list[float]]) -> None:
        hparams = {setting(key): trial.params.get(key) for key in self.keys}
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

    def _summary(self, trials: list[Trial]) -> None:
        sign, so_far = self.search.signs[0], math.inf
        with contextlib.closing(EventFile(self.folder / "summary")) as file:
            for trial in trials:
                if trial.values:
                    value = trial.values[0]
                    so_far = min(so_far, sign * value)
                    file.scalars(trial.number, {"sweep/objective": value, "sweep/best": sign * so_far})
