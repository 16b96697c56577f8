"""Trains a sweep's winner again into best/, together with the search's baseline."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from nnlab.commands import baseline
from nnlab.commands.command_keys import experiment_settings
from nnlab.commands.command_settings import recording
from nnlab.commands.prepared_sweep import PreparedSweep
from nnlab.commands.train_command import order_for
from nnlab.experiment import Experiment
from nnlab.records.hparam_columns import hparam_name
from nnlab.records.run import RunWriter
from nnlab.search.batch_training import make_candidate, measuring
from nnlab.search.trial import Trial
from nnlab.training.fit import Fit
from nnlab.training.predictions import KeepPredictions

BEST_FOLDER, UNFINISHED_FOLDER = "best", ".best"  # of the winner's run; until it has finished, the latter


@dataclass(frozen=True)
class Winner:
    """The best trial, trained again by its own line: its test metrics are the only ones of the search."""

    trial: Trial
    command: str  # the `nnlab train` line that repeats the trial
    summary: dict  # of its run, as in summary.json
    comparison: baseline.Comparison  # with the baseline, as in sweep.json

    def as_json(self) -> dict:
        """The winner's entries of sweep.json."""
        metrics = self.summary["metrics"]
        outcome = {
            "best": best_entry(self.trial, self.command),
            "test": {name: metric for name, metric in metrics.items() if name.startswith("test_")},
        }
        if "refit" in self.summary:
            outcome["refit"] = self.summary["refit"]
        return outcome | {"compared": self.comparison}


def best_entry(trial: Trial, command: str) -> dict:
    """The entry `best` of sweep.json; the command repeats the trial."""
    return {
        "trial": trial.number,
        "values": trial.values,
        "spread": trial.spread,
        "params": trial.params,
        "command": command,
    }


def train_winner(job: PreparedSweep, path: Path, trial: Trial) -> Winner:
    """Train the trial into best/, as its `nnlab train` line would. The test set is used here, once.

    By row independence the curve is that of the trial, so trials need not save their weights.
    """
    command, settings = job.train_line(trial), job.request.definition.trials.settings(trial.params)
    experiment, keep = Experiment.from_config(experiment_settings(settings)), recording(settings).predictions
    fit, reason = _fit_with_baseline(job, experiment, keep)
    unfinished, best = path / UNFINISHED_FOLDER, path / BEST_FOLDER
    shutil.rmtree(unfinished, ignore_errors=True)
    searched = tuple(hparam_name(key) for key in job.sweep.space.domains)
    with RunWriter(replace(order_for(fit, unfinished, settings, command), differ=searched), fit) as run:
        for record in fit:
            run.record(record)
        summary = run.close()
    shutil.rmtree(best, ignore_errors=True)
    unfinished.rename(best)
    comparison: baseline.Comparison = {"reason": reason}
    if not reason:
        comparison = baseline.compare(fit, job.sweep.search.objectives, job.sweep.search.signs)
    return Winner(trial, command, summary, comparison)


def _fit_with_baseline(job: PreparedSweep, winner: Experiment, keep: KeepPredictions) -> tuple[Fit, str]:
    """The fit of the winner and the baseline, and ""; if they cannot be compared, of the winner, and why.

    `keep` says which predictions of the winner are kept; those of the baseline are not.
    """
    cache = job.sweep.cache

    def make_experiment(params: dict) -> Experiment:
        return Experiment.from_config(experiment_settings(job.request.definition.trials.settings(params)))

    candidate = make_candidate(0, {}, make_experiment, cache)
    reason = candidate.reason or baseline.reason_not_comparable(winner, candidate.experiment, cache)
    if reason:
        return Fit([winner], cache, predictions=keep), reason
    trials = job.sweep.trials
    seeds = [job.sweep.space.values(trial.params).get("seed", winner.seed) for trial in trials]
    used = max(seeds, default=0) + winner.seeds
    experiments = baseline.comparison_experiments(winner, make_experiment({}), len(trials), cache, used)
    experiments = [measuring(e, job.sweep.search.objectives) for e in experiments]
    return Fit(experiments, cache, predictions=[keep, *[False] * (len(experiments) - 1)]), ""
