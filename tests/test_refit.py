"""`refit=true`: once more on training and validation examples, for the best number of epochs."""

from dataclasses import replace

import numpy as np
import pytest
from test_row_independence import blobs

from nnlab.data.splits import Fold, Holdout
from nnlab.experiment import Experiment
from nnlab.fitting import fit
from nnlab.models import MLP
from nnlab.optimizers import Adam
from nnlab.schedules import Cosine
from nnlab.stopping import Patience

BASE = Experiment(data=blobs(90, 5, 3), model=MLP(hidden=(7,)), optimizer=Adam(lr=0.05), epochs=30,
                  schedule=Cosine(), stopping=Patience(patience=3), batch_size=16, seeds=2)  # fmt: skip


def done(*experiments):
    run = fit(*experiments)
    return list(run), run.results


def test_the_best_number_of_epochs_on_all_but_the_test_set():
    _, first = done(BASE)
    records, again = done(replace(BASE, refit=True))
    for one, two in zip(first, again, strict=True):
        assert (one.best_epoch, one.best, one.status) == (two.best_epoch, two.best, two.status)
    refit_epochs = {row: sum(row in r.rows for r in records if r.refit) for row in (0, 1)}
    assert refit_epochs == {r.row: r.best_epoch for r in first}


def test_it_equals_training_on_those_examples():
    class Everything(Holdout):
        def folds(self, dataset):
            (fold,) = super().folds(dataset)
            train = np.sort(np.concatenate([fold.train, fold.validation]))
            return [Fold(train, fold.validation, fold.test)]

    one = replace(BASE, seeds=1, schedule=Cosine(floor=1.0))
    _, (result,) = done(replace(one, refit=True))
    plain = replace(one, split=Everything(), stopping=replace(Patience(), patience=99), metric="last")
    _, (expected,) = done(replace(plain, epochs=result.best_epoch))
    for name, weight in expected.weights.items():
        assert np.array_equal(weight, result.weights[name]), name
    assert expected.test == result.test


def test_the_test_set_is_touched_once(monkeypatch):
    from nnlab.evaluation import Evaluator

    tested, test = [], Evaluator.test
    monkeypatch.setattr(Evaluator, "test", lambda self: tested.append(len(self.rows)) or test(self))
    done(replace(BASE, refit=True, threads=1))
    assert sum(tested) == 2


@pytest.mark.parametrize("metric", ["val_loss", "val_error", "last"])
def test_metric_picks_the_epoch(metric):
    records, (result,) = done(replace(BASE, seeds=1, metric=metric, stopping=Patience(patience=99)))
    values = [-r.epoch if metric == "last" else r.metrics[metric][0] for r in records]
    assert result.best_epoch == 1 + int(np.argmin(values))


def test_beside_an_experiment_that_is_not_trained_again():
    _, both = done(BASE, replace(BASE, refit=True))
    _, plain = done(BASE)
    _, refit = done(replace(BASE, refit=True))
    for got, expected in zip(both, plain + refit, strict=True):
        assert got.test == expected.test
