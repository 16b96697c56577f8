"""`nnlab.load`: the trained model of a run folder, or of a fit."""

from __future__ import annotations

import os

from nnlab.arguments import typed
from nnlab.errors import UserError
from nnlab.experiment import Experiment
from nnlab.prediction.model import TrainedModel
from nnlab.prediction.trained_rows import load_rows_from_fit, load_rows_from_run
from nnlab.records.run_path import find_run
from nnlab.records.stored_run import StoredRun
from nnlab.training.fit import Fit


@typed
def load(
    run: str | os.PathLike | StoredRun | Fit, experiment: int | None = None, device: str = "cpu"
) -> TrainedModel:
    """What a run has learnt, to predict with: a `TrainedModel`.

    run         a run folder, your own or somebody else's (nothing in it is executed), a sweep's folder, which
                means its winner, or a `Fit`
    experiment  of a fit of several experiments, which one, from 0
    device      where it computes: cpu, cuda, auto (see `nnlab train --help`)

    Raises `UserError` where there is nothing to predict with, and for a folder that contradicts itself.
    """
    if isinstance(run, Fit):
        e = _experiment_of(run, experiment)
        spec, rows = run.datasets[e.data].spec, load_rows_from_fit(run, experiment or 0)
        return TrainedModel(e, spec, rows, device)
    if experiment is not None:
        raise UserError(f"experiment = {experiment}: a run folder has one experiment; leave it out")
    run = run if isinstance(run, StoredRun) else StoredRun(find_run(run))
    return _load_rows(run, run.rows, device)


def load_first(run: StoredRun, count: int) -> TrainedModel:
    """The same of the first `count` rows that did not diverge, if there are some: quick, whatever the run."""
    usable = [row for row in run.rows if row["status"] != "diverged" and row["best_epoch"]]
    return _load_rows(run, (usable or run.rows)[:count], "cpu")


def _load_rows(run: StoredRun, rows: list[dict], device: str) -> TrainedModel:
    e, spec = run.experiment, run.spec
    if spec is None:
        raise UserError(
            f"'{run.path}' has no spec.json, which says what its data are like: an earlier version wrote the "
            f"folder; train it again, by the line in its command.txt"
        )
    return TrainedModel(e, spec, load_rows_from_run(run, rows, e.graph(spec), spec), device)


def _experiment_of(fit: Fit, number: int | None) -> Experiment:
    count = len(fit.experiments)
    if number is None and count > 1:
        raise UserError(f"{fit} has {count} experiments: say which one, experiment=0 to {count - 1}")
    if number is not None and not 0 <= number < count:
        raise UserError(f"experiment = {number}: {fit} has {count}, from 0 to {count - 1}")
    return fit.experiments[number or 0]
