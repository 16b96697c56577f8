"""The test report against scikit-learn on random tables, also where a metric is undefined."""

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import sklearn.metrics as sk
import torch

from nnlab.data.dataset import Data, Dataset
from nnlab.experiment import Experiment
from nnlab.hyperparameters import static
from nnlab.metrics.tasks import Classification, Regression
from nnlab.training.fit import fit

EXACT = {"rel": 1e-9, "abs": 1e-12, "nan_ok": True}


def tables(count):
    """(m outputs, N examples) of many kinds: single examples, single classes, classes that are absent."""
    random = np.random.default_rng(0)
    for _ in range(count):
        yield random, int(random.integers(2, 6)), int(random.choice([1, 2, 3, 10, 40]))


def test_classification_is_scikit_learns_on_random_tables():
    """Undefined where scikit-learn divides by 0, but for a class that is there and never predicted: 0."""
    absent = given_up = 0
    for random, m, n in tables(300):
        true = random.choice(random.choice(m, random.integers(1, m + 1), replace=False), n)
        predicted = random.choice(random.choice(m, random.integers(1, m + 1), replace=False), n)
        report = Classification().test(predicted[None], true[None], range(m))
        precision, recall, _, _ = sk.precision_recall_fscore_support(
            true, predicted, labels=range(m), zero_division=np.nan
        )
        present = np.isin(np.arange(m), true)
        absent += (~present).sum()
        given_up += (np.isnan(precision) & present).sum()
        assert report["recall"] == pytest.approx(recall, **EXACT)
        assert report["precision"] == pytest.approx(
            np.where(present, np.nan_to_num(precision), precision), **EXACT
        )
        assert report["confusion_matrix"] == sk.confusion_matrix(true, predicted, labels=range(m)).tolist()
        assert np.isnan(report["recall"]).tolist() == (~present).tolist()
    assert absent > 100 and given_up > 100


@pytest.mark.parametrize("unit", [1e-200, 1e-30, 1.0, 1e30, 1e200])
def test_regression_is_scikit_learns_on_random_tables_in_any_unit(unit):
    """R2 of an output whose targets are all equal is undefined, and left out of the mean over the outputs."""
    undefined = 0
    for random, m, n in tables(60):
        m = random.integers(1, m + 1)
        t = random.normal(size=(m, n)) * random.choice([1e-3, 1, 1e3], size=(m, 1)) + 5
        constant = random.random(m) < 0.3
        t[constant] = 0.1
        z = t + random.normal(size=(m, n)) * random.choice([0.1, 1, 10])
        report = Regression().test(unit * z, unit * t)
        each = [
            np.nan if n == 1 or c else sk.r2_score(*pair) for c, *pair in zip(constant, t, z, strict=True)
        ]
        undefined += np.isnan(each).all()
        defined = [r2 for r2 in each if r2 == r2]
        assert report["r2"] == pytest.approx(np.mean(defined) if defined else np.nan, **EXACT)
        assert report["rmse"] / unit == pytest.approx(sk.mean_squared_error(t.T, z.T) ** 0.5, rel=1e-9)
        assert report["mae"] / unit == pytest.approx(sk.mean_absolute_error(t.T, z.T), rel=1e-9)
        assert ("rmse_each" in report) == ("mae_each" in report) == (m > 1)
        if m > 1:
            assert report["r2_each"] == pytest.approx(each, **EXACT)
            rmse_per_output = sk.root_mean_squared_error(t.T, z.T, multioutput="raw_values")
            assert np.divide(report["rmse_each"], unit) == pytest.approx(rmse_per_output, rel=1e-9)
    assert undefined > 5


@pytest.mark.parametrize("t", [[0.1] * 12, [3.0], [1e-300] * 2, [-1e8] * 7], ids=str)
def test_r2_of_equal_targets_is_undefined(t):
    """0.1 twelve times has a mean that is not 0.1: the sum of squares is 1e-33, not 0."""
    report = Regression().test(np.array([t]) + 0.25, np.array([t]))
    assert np.isnan(report["r2"]) and report["rmse"] == pytest.approx(0.25)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_not_numbers_have_no_finite_error(wrong):
    t = np.arange(6.0).reshape(2, 3)
    z = t.copy()
    z[0, 1] = wrong
    report = Regression().test(z, t)
    assert not np.isfinite(report["rmse"]) and not np.isfinite(report["mae"]) and not report["r2"] > -np.inf
    assert report["rmse_each"][1] == 0 and report["r2_each"][1] == 1


@dataclass(frozen=True)
class Scaled(Data):
    """y is `unit` times a plane with noise."""

    name: ClassVar[str] = "scaled"
    unit: float = static(1.0)
    target_normalization: str = static("standard")

    def read(self):
        random = np.random.default_rng(0)
        x = random.normal(size=(60, 2))
        return Dataset(x, self.unit * (x @ [[1.0], [2.0]] + random.normal(size=(60, 1)) + 3))


def test_errors_while_training_keep_any_unit():
    """Squares of 1e25 do not fit into float32, and those of 1e-25 vanish in it: an RMSE shows neither."""
    units = 1e-25, 1.0, 1e25
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = fit(*(Experiment(data=Scaled(unit=unit), epochs=3, threads=1) for unit in units))
        records = [(int(run.experiment_of_row[row]), r, i) for r in run for i, row in enumerate(r.rows)]
    curves = {name: torch.zeros(3, 3, dtype=torch.float64) for name in ("train_error", "val_error")}
    for experiment, record, i in records:
        for name, curve in curves.items():
            curve[experiment, record.epoch - 1] = float(record.metrics[name][i]) / units[experiment]
    for curve in curves.values():
        assert (curve > 0.5).all() and torch.allclose(curve[0], curve[1], rtol=1e-4)
        assert torch.allclose(curve[2], curve[1], rtol=1e-4)
    rmse = [result.test["rmse"] / unit for result, unit in zip(run.results, units, strict=True)]
    assert rmse == pytest.approx([rmse[1]] * 3, rel=1e-4)
