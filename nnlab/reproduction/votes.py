"""The error of the majority vote of a run's rows on its test set, which is not among its records."""

from __future__ import annotations

import numpy as np

from nnlab.errors import UserError
from nnlab.prediction.loading import load
from nnlab.prediction.votes import majority
from nnlab.records.stored_run import StoredRun
from nnlab.training.data_cache import DataCache
from nnlab.training.fit import Fit


def vote_error(run: StoredRun, cache: DataCache) -> float:
    """The share of test examples on which the vote of all rows is wrong; the data are read again."""
    experiment = run.experiment
    fit = Fit([experiment], cache)
    tests = {row.fold.test.tobytes(): row.fold.test for row in fit.rows}
    dataset = fit.datasets[experiment.data]
    if len(tests) != 1 or not dataset.spec.classes:
        raise UserError(f"'{run.path}': rows vote on the classes of one test set")
    (test,) = tests.values()
    model, x = load(run.path), dataset.x[test]
    votes = np.stack([model.class_numbers(x, row.number) for row in model.rows])
    return float((majority(votes, model.predict_proba(x).T) != dataset.y[test]).mean())
