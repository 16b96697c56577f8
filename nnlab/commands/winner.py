"""The winner's own run, into best/ of a sweep's folder, and beside it what the search started from."""

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
from nnlab.records.hparam_columns import setting
from nnlab.records.run import Run
from nnlab.search.batch_training import make_candidate
from nnlab.search.trial import Trial
from nnlab.training.fit import Fit
from nnlab.training.predictions import Keep

BEST_FOLDER, UNFINISHED_FOLDER = "best", ".best"  # of the winner's run; and until it has ended


@dataclass(frozen=True)
class Winner:
    """The best trial, trained again by its own line: its test metrics are the only ones of the search."""

    trial: Trial
    command: str  # the `nnlab train` line that is this trial
    summary: dict  # of its run, as in summary.json
    comparison: dict  # with what the search started from, as in sweep.json

    def as_json(self) -> dict:
        """What sweep.json has of it."""
        metrics = self.summary["metrics"]
        outcome = {
            "best": {
                "trial": self.trial.number,
                "values": self.trial.values,
                "spread": self.trial.spread,
                "params": self.trial.params,
                "command": self.command,
            },
            "test": {name: metric for name, metric in metrics.items() if name.startswith("test_")},
        }
        if "refit" in self.summary:
            outcome["refit"] = self.summary["refit"]
        return outcome | {"compared": self.comparison}


def trained_winner(job: PreparedSweep, path: Path, trial: Trial) -> Winner:
    """Train the trial as its line would, into best/. The test set is used here, once.

    Row independence makes it the trial's own curve, so no weights of trials need to be kept.
    """
    command, settings = job.train_line(trial), job.asked.words.trials.settings(trial.params)
    experiment, keep = Experiment.from_config(experiment_settings(settings)), recording(settings).predictions
    fit, not_compared = _with_default(job, experiment, keep)
    unfinished, best = path / UNFINISHED_FOLDER, path / BEST_FOLDER
    shutil.rmtree(unfinished, ignore_errors=True)
    searched = tuple(setting(key) for key in job.sweep.space.domains)
    with Run(replace(order_for(fit, unfinished, settings, command), differ=searched), fit) as run:
        for record in fit:
            run.record(record)
        summary = run.close()
    shutil.rmtree(best, ignore_errors=True)
    unfinished.rename(best)
    comparison = {"reason": not_compared}
    if not not_compared:
        comparison = baseline.compared(fit, job.sweep.search.objectives, job.sweep.search.signs)
    return Winner(trial, command, summary, comparison)


def _with_default(job: PreparedSweep, winner: Experiment, keep: Keep) -> tuple[Fit, str]:
    """The fit of the winner, with its predictions, and, where their numbers may stand beside each other, of
    the experiment as it is without the search; else why not."""
    cache = job.sweep.cache

    def as_it_stands(params: dict) -> Experiment:
        return Experiment.from_config(experiment_settings(job.asked.words.trials.settings(params)))

    default = make_candidate(0, {}, as_it_stands, cache)
    reason = default.reason or baseline.not_comparable(winner, default.experiment, cache)
    if reason:
        return Fit([winner], cache, predictions=keep), reason
    trials = job.sweep.trials
    seeds = [job.sweep.space.values(trial.params).get("seed", winner.seed) for trial in trials]
    used = max(seeds, default=0) + winner.seeds
    together = baseline.together(winner, as_it_stands({}), len(trials), cache, used)
    return Fit(together, cache, predictions=[keep, *[False] * (len(together) - 1)]), ""
