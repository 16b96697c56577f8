"""Temperatures, thresholds and prediction intervals: closed forms, other libraries, and the command line."""

import json
import math
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from scipy.optimize import minimize_scalar
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
    matthews_corrcoef,
)
from sklearn.model_selection import KFold

import nnlab
from nnlab.cli import main
from nnlab.equation import equation
from nnlab.losses import LOSSES
from nnlab.prediction.intervals import ConformalIntervals
from nnlab.training.calibration import (
    CALIBRATED_METRICS,
    LARGEST_TEMPERATURE,
    fit_temperature,
    spread,
)
from nnlab.training.fit_state import FitState
from nnlab.training.thresholds import THRESHOLD_METRICS, above_threshold, best_threshold

SCORES = {
    "accuracy": accuracy_score,
    "balanced_accuracy": balanced_accuracy_score,
    "f1": lambda true, predicted: f1_score(true, predicted, zero_division=0),
    "mcc": matthews_corrcoef,
}


def random_outputs(loss, classes, n=200, seed=0, scale=3.0):
    """Outputs z (m, N), one-hot targets t (classes, N) that z predicts more often than not, equal weights."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(loss.outputs(classes), n, generator=generator, dtype=torch.float64)
    noisy = loss.scores(z) + torch.randn(classes, n, generator=generator, dtype=torch.float64)
    t = torch.nn.functional.one_hot(noisy.argmax(0), classes).T.double()
    return z * scale, t, torch.full((1, n), 1 / n, dtype=torch.float64)


# ---- temperature


@pytest.mark.parametrize("right, wrong, margin", [(9, 1, 5.0), (60, 40, 0.1), (3, 1, 20.0)])
@pytest.mark.parametrize("loss, outputs", [("cross_entropy", 2), ("binary_cross_entropy", 1)])
def test_temperature_of_a_constant_margin_is_that_of_its_accuracy(loss, outputs, right, wrong, margin):
    # All logits differ by the margin, so the best probability is the share of right ones: the margin over T
    # is its log-odds.
    n = right + wrong
    second = torch.arange(n) % 2 == 0  # what is predicted
    correct = torch.arange(n) < right
    truth = torch.where(correct, second, ~second).long()
    z = (second.double() - 0.5) * margin
    z = torch.stack([-z, z]) if outputs == 2 else 2 * z[None]
    t = torch.nn.functional.one_hot(truth, 2).T.double()
    weight = torch.full((1, n), 1 / n, dtype=torch.float64)
    temperature = fit_temperature(LOSSES[loss](), z, t, weight)
    assert temperature == pytest.approx(margin / math.log(right / wrong), rel=1e-9)


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_no_other_temperature_has_a_lower_loss(loss, classes, scale):
    loss = LOSSES[loss]()
    z, t, weight = random_outputs(loss, classes, scale=scale)

    def mean_loss(log_temperature):
        return float((loss.reference(z[None] / math.exp(log_temperature), t[None])[0] * weight[0]).sum())

    found = minimize_scalar(mean_loss, bracket=(math.log(scale), math.log(scale) + 1), tol=1e-10)
    assert fit_temperature(loss, z, t, weight) == pytest.approx(math.exp(found.x), rel=1e-4)


def test_weights_count_as_copies_and_padding_counts_nothing():
    loss = LOSSES["cross_entropy"]()
    z, t, weight = random_outputs(loss, 3, 50)
    doubled = fit_temperature(
        loss, torch.cat([z, z[:, :9]], 1), torch.cat([t, t[:, :9]], 1), torch.ones(1, 59)
    )
    counts = torch.ones(1, 50, dtype=torch.float64)
    counts[:, :9] = 2
    assert fit_temperature(loss, z, t, counts) == pytest.approx(doubled, rel=1e-9)
    counts[:, 20:] = 0
    alone = fit_temperature(loss, z[:, :20].clone(), t[:, :20].clone(), counts[:, :20].clone())
    assert fit_temperature(loss, z, t, counts) == pytest.approx(alone, rel=1e-9)


@pytest.mark.parametrize("threshold", [0.05, 0.3, "balanced_accuracy", "f1"])
@pytest.mark.parametrize("calibrate", ["none", "temperature"])
def test_metrics_of_probabilities_do_not_depend_on_the_threshold(threshold, calibrate):
    e = nnlab.Experiment(data=nnlab.Moons(n=200, noise=0.4), epochs=5, calibrate=calibrate)
    at_half, decided = nnlab.fit(e, replace(e, threshold=threshold)).run().results
    assert decided.calibration["threshold"] != 0.5
    uncalibrated = [name for name in at_half.test if name.endswith("_uncalibrated")]
    for name in (*CALIBRATED_METRICS, "roc_auc", "average_precision", *uncalibrated):
        assert decided.test[name] == at_half.test[name], name
    x, y = e.data.load().x, np.array(e.data.load().classes)[e.data.load().y]
    for seeds in (1, 3):  # one row, and an average
        fits = nnlab.fit(replace(e, seeds=seeds)), nnlab.fit(replace(e, seeds=seeds, threshold=threshold))
        reports = [nnlab.load(fit.run()).evaluate(x, y) for fit in fits]
        assert reports[0]["calibration_error"] == reports[1]["calibration_error"]


@pytest.mark.filterwarnings("ignore::nnlab.errors.Advice")  # weights work against a temperature
@pytest.mark.parametrize("class_weight", ["none", "balanced"])
def test_a_temperature_minimises_the_loss_without_weights(class_weight):
    """By scikit-learn's log loss of the validation examples, whatever weighted the training."""
    data = nnlab.Moons(n=400)
    x, y = data.load().x, data.load().y
    rare = np.flatnonzero((y == 0) | (np.arange(400) % 5 == 0))
    arrays = nnlab.Arrays(x[rare], y[rare])
    e = nnlab.Experiment(data=arrays, calibrate="temperature", class_weight=class_weight, epochs=10)
    fit = nnlab.fit(e).run()
    validation = fit.rows[0].fold.validation
    z, labels = nnlab.load(fit).outputs(x[rare][validation]), y[rare][validation]
    temperature = float(fit.results[0].calibration["temperature"])

    def mean_loss(factor):
        return log_loss(labels, torch.softmax(torch.from_numpy(z / factor), 1).numpy(), labels=[0, 1])

    assert 0.1 < temperature < 10 and abs(math.log(temperature)) > 1e-3
    assert mean_loss(1) < min(mean_loss(0.98), mean_loss(1.02))


def test_temperature_where_the_loss_has_no_minimum():
    loss = LOSSES["cross_entropy"]()
    z, t, weight = random_outputs(loss, 3)
    assert fit_temperature(loss, 20 * t - 10, t, weight) == 1  # every example is right
    assert fit_temperature(loss, -z, torch.roll(t, 1, 0), weight) <= LARGEST_TEMPERATURE
    assert fit_temperature(loss, 10 - 20 * t, t, weight) == LARGEST_TEMPERATURE  # every one is wrong
    assert fit_temperature(loss, 0 * z, t, weight) == 1
    z[0, 0] = math.nan
    assert fit_temperature(loss, z, t, weight) == 1


# ---- threshold


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=2, max_size=40),
    st.sampled_from(sorted(THRESHOLD_METRICS)),
)
def test_no_other_threshold_has_a_larger_metric(examples, metric):
    p = np.array([number / 20 for number, _ in examples])
    true = np.array([is_second for _, is_second in examples])
    found = best_threshold(p, true, metric)
    if true.all() or not true.any():
        assert found == 0.5
        return
    score, tried = SCORES[metric], np.append(np.arange(0, 41) / 40, found)
    scores = [score(true, p > threshold) for threshold in tried]
    assert scores[-1] == pytest.approx(max(scores), abs=1e-9)
    nearer = [
        s
        for threshold, s in zip(tried, scores, strict=True)
        if abs(threshold - 0.5) < abs(found - 0.5) - 0.03
    ]
    assert all(s < scores[-1] + 1e-9 for s in nearer)


@given(st.floats(0, 1), st.floats(0.01, 0.99), st.sampled_from([0, 1, None]))
def test_a_class_above_its_threshold_is_predicted(p, threshold, positive):
    spec = replace(nnlab.Moons(n=10).load().spec, positive=positive)
    number = 1 if positive is None else positive
    both = np.full((2, 1), 1 - p)
    both[number] = p
    if abs(p - threshold) > 1e-12:
        assert (above_threshold(both, threshold, spec).argmax() == number) == (p > threshold)


@pytest.mark.parametrize("threshold", [0.25, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("positive", [0, 1])
def test_a_class_at_its_threshold_is_not_predicted(threshold, positive):
    """1 is the threshold of a network that is sure of wrong answers."""
    spec = replace(nnlab.Moons(n=10).load().spec, positive=positive)
    p = np.array([[1 - threshold], [threshold]])[:: 1 if positive else -1]
    assert above_threshold(p, threshold, spec).argmax() == 1 - positive


# ---- intervals


def barber(predictions, residuals, fold_of, alpha):
    """CV+ as the paper has it, example by example: eq. 1.5 and 3.1 of Barber et al. 2021."""
    n = len(residuals)
    lower, upper = [], []
    for x in range(predictions.shape[1]):
        low = sorted(predictions[fold_of[i], x] - abs(residuals[i]) for i in range(n))
        high = sorted(predictions[fold_of[i], x] + abs(residuals[i]) for i in range(n))
        lower.append(low[math.floor(alpha * (n + 1) + 1e-9) - 1])
        upper.append(high[math.ceil((1 - alpha) * (n + 1) - 1e-9) - 1])
    return np.array(lower), np.array(upper)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("folds", [1, 2, 5])
def test_intervals_are_those_of_the_paper(coverage, folds):
    rng = np.random.default_rng(folds)
    sizes = rng.integers(5, 30, folds) + 15
    residuals = [rng.normal(size=(n, 1)) * (1 + g) for g, n in enumerate(sizes)]
    predictions = rng.normal(size=(folds, 1, 40)) * 3
    lower, upper = ConformalIntervals(residuals, coverage).ends(predictions)
    fold_of = np.repeat(np.arange(folds), sizes)
    expected = barber(predictions[:, 0], np.concatenate(residuals)[:, 0], fold_of, 1 - coverage)
    np.testing.assert_allclose((lower[0], upper[0]), expected, rtol=1e-12, atol=1e-12)


# MAPIE 1.6.0 on scikit-learn's diabetes with LinearRegression: intervals of examples 300 to 302. CV+ is
# CrossConformalRegressor(method="plus", cv=KFold(5)) of the first 300; split is SplitConformalRegressor,
# fitted to the first 200 and conformalised on the next 100.
MAPIE = {
    (0.5, "cv+"): [[184.321142, 266.394751], [81.316563, 163.844471], [165.237286, 247.550427]],
    (0.9, "cv+"): [[133.8513, 316.799507], [32.724727, 215.17628], [115.324963, 297.844877]],
    (0.95, "cv+"): [[119.198859, 332.76345], [15.935791, 227.993301], [102.094239, 313.401928]],
    (0.5, "split"): [[183.569278, 271.955603], [72.447906, 160.834232], [160.374744, 248.76107]],
    (0.9, "split"): [[125.469449, 330.055432], [14.348077, 218.93406], [102.274915, 306.860898]],
    (0.95, "split"): [[116.082624, 339.442257], [4.961253, 228.320885], [92.888091, 316.247723]],
}


@pytest.mark.parametrize("coverage, method", MAPIE)
def test_intervals_are_those_of_mapie(coverage, method):
    x, y = load_diabetes(return_X_y=True)
    numbers = np.arange(300)
    parts = KFold(5).split(numbers) if method == "cv+" else [(numbers[:200], numbers[200:])]
    residuals, predictions = [], []
    for train, validation in parts:
        fitted = LinearRegression().fit(x[train], y[train])
        residuals.append((y[validation] - fitted.predict(x[validation]))[:, None])
        predictions.append(fitted.predict(x[300:303])[None])
    ends = ConformalIntervals(residuals, coverage).ends(np.array(predictions))
    np.testing.assert_allclose(np.stack(ends, -1)[0], MAPIE[coverage, method], atol=1e-6)


def test_too_few_examples_for_a_coverage():
    residuals = [np.arange(9.0)[:, None]]
    lower, upper = ConformalIntervals(residuals, 0.9).ends(np.zeros((1, 1, 1)))
    assert (lower.item(), upper.item()) == (-8, 8)
    with pytest.raises(
        nnlab.UserError, match="needs 19 validation examples, and the run has .* 9: 0.9 at most"
    ):
        ConformalIntervals(residuals, 0.95)


def test_repeats_of_a_split_count_an_example_once():
    rng = np.random.default_rng(0)
    one = [rng.normal(size=(20, 1))]
    predictions = np.zeros((1, 1, 1))
    expected = ConformalIntervals(one, 0.9).ends(predictions)
    assert ConformalIntervals(one * 3, 0.9, 3).ends(np.zeros((3, 1, 1))) == expected
    with pytest.raises(nnlab.UserError, match="the residuals of 20"):
        ConformalIntervals(one * 3, 0.96, 3)


def test_spread_takes_examples_from_everywhere():
    assert spread(5, 10).tolist() == [0, 1, 2, 3, 4]
    assert spread(10, 5).tolist() == [0, 2, 4, 6, 8]
    assert spread(0, 5).tolist() == []


def simulated(rng, n):
    x = rng.uniform(-2, 2, (n, 2))
    return x, np.sin(2 * x[:, 0]) + 0.3 * rng.standard_t(4, n)


@pytest.mark.parametrize("split", [nnlab.Holdout(test=0.0, validation=0.3), nnlab.KFold(k=5, test=0.0)])
def test_intervals_cover_as_many_new_examples_as_they_say(split):
    e = nnlab.Experiment(split=split, epochs=15, model=nnlab.MLP(hidden=(16,)), optimizer=nnlab.Adam(lr=0.02))
    covered = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        model = nnlab.load(nnlab.fit(e, *simulated(rng, 200)).run())
        x, y = simulated(rng, 500)
        lower, upper = model.predict_interval(x, 0.8)
        covered.append(np.mean((lower <= y) & (y <= upper)))
    # Split conformal with 60 examples has a standard deviation of 0.05 over data; the mean of 6 a third.
    assert np.mean(covered) == pytest.approx(0.8, abs=0.06)


# ---- runs


@pytest.fixture(scope="module")
def overconfident():
    """A calibrated run of two noisy classes that are learnt by heart."""
    e = nnlab.Experiment(
        data=nnlab.Moons(n=1200, noise=0.5), split=nnlab.KFold(k=3, test=0.6), seeds=2,
        metric="last", epochs=400, model=nnlab.MLP(hidden=(128,)),
        optimizer=nnlab.Adam(lr=0.02), regularizer=nnlab.Regularizer(l2=0.0), calibrate="temperature",
        threshold="balanced_accuracy",
    )  # fmt: skip
    return nnlab.fit(e).run()


def test_calibration_lowers_the_loss_of_an_overconfident_run(overconfident):
    for result in overconfident.results:
        assert result.calibration["temperature"] > 1.2
        assert result.test["loss"] < result.test["loss_uncalibrated"]


def test_the_average_is_decided_by_the_mean_threshold(overconfident):
    model = nnlab.load(overconfident)
    x = overconfident.datasets[model.experiment.data].x
    p, thresholds = model.predict_proba(x), [row.calibration["threshold"] for row in model.rows]
    assert 0 < np.std(thresholds)
    positive = model.spec.positive
    above = p[:, positive] > np.mean(thresholds)
    np.testing.assert_array_equal(model.class_numbers(x) == positive, above)
    np.testing.assert_array_equal(model.predict(x) == model.classes[positive], above)
    above = model.predict_proba(x, row=1)[:, positive] > thresholds[1]
    np.testing.assert_array_equal(model.answers(x, row=1)[0] == positive, above)


def test_calibrated_rows_repeat_their_own_test_report_bit_for_bit(overconfident):
    model, fit = nnlab.load(overconfident), overconfident
    dataset, test = fit.datasets[model.experiment.data], fit.rows[0].fold.test
    labels = [dataset.spec.label(number) for number in dataset.y[test]]
    for result in fit.results:
        assert model.evaluate(dataset.x[test], labels, row=result.row) == result.test
    average = model.evaluate(dataset.x[test], labels)
    assert average["loss"] != average["loss_uncalibrated"]


@pytest.mark.parametrize("format", ["onnx", "torch"])
@pytest.mark.parametrize("row", [None, 1])
def test_an_exported_file_is_calibrated(overconfident, tmp_path, format, row):
    made = nnlab.export(
        nnlab.load(overconfident), tmp_path / f"m.{'onnx' if format == 'onnx' else 'pt2'}", row=row
    )
    assert made.agreement.largest < 1e-5
    assert made.agreement.other_classes == 0


def train(folder, *words):
    assert main(["train", "epochs=20", *words, f"hydra.run.dir={folder}"]) == 0


def test_calibration_is_saved_and_read(tmp_path, capsys):
    run = tmp_path / "run"
    train(run, "data=moons", "data.n=200", "split=kfold", "seeds=2", "calibrate=temperature", "threshold=f1")
    shown = capsys.readouterr().out
    assert "temperature  " in shown and "threshold  " in shown and "test loss uncalibrated  " in shown
    assert "test F1  " in shown and "by the threshold with the largest F1 on the validation set" in shown
    assert "the validation error is by the likelier class" in " ".join(shown.split())
    rows, model = json.loads((run / "rows.json").read_text()), nnlab.load(run)
    for row, stored in zip(model.rows, rows, strict=True):
        assert row.calibration["temperature"] == stored["temperature"] != 1
        assert row.calibration["threshold"] == stored["threshold"]
        assert {*row.calibration} == {"temperature", "threshold"}
    threshold = np.mean([row.calibration["threshold"] for row in model.rows])
    predictions = nnlab.StoredRun(run).test_predictions
    positive = model.classes[model.spec.positive]
    above = predictions[f"probability_{positive}"] > threshold
    assert ((predictions["prediction"] == positive) == above).all()
    assert main(["evaluate", str(run), "moons", f"hydra.run.dir={tmp_path}/e"]) == 0
    shown = capsys.readouterr().out
    assert "test F1  " in shown
    assert (
        "test loss uncalibrated  " in shown
        and f"'{positive}' above a probability of {threshold:.4f}" in shown
    )
    assert json.loads((tmp_path / "e/evaluation.json").read_text())["threshold"] == threshold
    assert main(["predict", str(run), "moons", f"output={tmp_path}/p.csv"]) == 0
    said = f"threshold          '{positive}' above a probability of {threshold:.4f}"
    assert said in capsys.readouterr().out
    assert main(["export", str(run), f"hydra.run.dir={tmp_path}/export"]) == 0
    card = (tmp_path / "export/README.md").read_text()
    assert f"a class, {model.spec.positive} where its probability is above {threshold:.4f}" in card
    assert "calibrated on validation examples" in card


def test_intervals_are_written(tmp_path, capsys):
    run = tmp_path / "run"
    train(run, "data=diabetes", "split=kfold", "seeds=2")
    words = ["predict", str(run), "diabetes", "coverage=0.9"]
    assert main([*words, f"output={tmp_path}/p.csv"]) == 0
    assert "; intervals ± " in capsys.readouterr().out
    names, *lines = (tmp_path / "p.csv").read_text().splitlines()
    assert names == "prediction,lower,upper"
    model, x = nnlab.load(run), nnlab.Diabetes().load().x
    expected = np.stack([model.predict(x), *model.predict_interval(x)], 1)
    np.testing.assert_allclose([[*map(float, line.split(","))] for line in lines], expected, rtol=1e-7)
    lower, upper = model.predict_interval(x, row=3)
    half = np.sort(np.abs(model.rows[3].calibration["residuals"][:, 0]))[math.ceil(0.9 * 72) - 1]
    np.testing.assert_allclose((upper - lower) / 2, half)  # split conformal, of its 71 validation examples


def test_the_residuals_of_a_fold_are_those_of_the_mean_of_its_seeds(tmp_path):
    fit = nnlab.fit(nnlab.Experiment(data="diabetes", split="kfold", seeds=3, epochs=5)).run()
    dataset = fit.datasets[fit.experiments[0].data]
    for result, row in zip(fit.results, fit.rows, strict=True):
        validation = row.fold.validation
        residuals = (
            dataset.y[validation] - nnlab.load(fit).predict(dataset.x[validation], row.number)[:, None]
        )
        np.testing.assert_allclose(result.calibration["residuals"], residuals, atol=1e-3)


@pytest.mark.parametrize(
    "words, message",
    [
        (["calibrate=temperature", "data=diabetes"], "needs classes, and data 'diabetes' has numbers"),
        (["calibrate=temperature", "loss=squared_error"], "needs probabilities by softmax or sigmoid"),
        (["calibrate=temperature", "loss=sparsemax_loss"], "needs probabilities by softmax or sigmoid"),
        (["threshold=f1"], "is for two classes, and data 'digits' has 10 classes"),
        (["threshold=0.3", "data=diabetes"], "is for two classes, and data 'diabetes' has numbers"),
        (["threshold=f1", "data=moons", "split=none", "metric=last"], "which threshold=f1 needs"),
        (["threshold=1", "data=moons"], "expected a number above 0 and below 1 or accuracy"),
        (["threshold=f2", "data=moons"], "expected a number above 0 and below 1 or accuracy"),
    ],
)
def test_what_data_cannot_have_is_refused(words, message, tmp_path, capsys):
    assert main(["train", *words, f"hydra.run.dir={tmp_path}/run"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "words, message",
    [
        (
            ["coverage=0.99"],
            "needs 99 validation examples, and the run has the residuals of 88: 0.988 at most",
        ),
        (["coverage=90"], "expected a number at least 0.5 and below 1"),
        (["coverage=0.9", "row=1"], "row = 1"),
    ],
)
def test_intervals_that_a_run_cannot_have_are_refused(words, message, tmp_path, capsys):
    train(tmp_path / "run", "data=diabetes", "epochs=1")
    capsys.readouterr()
    assert main(["predict", f"{tmp_path}/run", "diabetes", *words, f"output={tmp_path}/p.csv"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "p.csv").exists()


def test_what_has_no_residuals_has_no_intervals(tmp_path):
    classes = nnlab.load(nnlab.fit(nnlab.Experiment(data=nnlab.Moons(n=60), epochs=2)).run())
    with pytest.raises(nnlab.UserError, match="predicts classes"):
        classes.predict_interval([[0.0, 0.0]])
    e = nnlab.Experiment(data="diabetes", split="none", metric="last", epochs=2)
    with pytest.raises(nnlab.UserError, match="split=none"):
        nnlab.load(nnlab.fit(e).run()).predict_interval(np.zeros((1, 10)))


@pytest.mark.parametrize("split", ["none", "holdout"])
def test_a_threshold_that_is_said_needs_no_validation(split):
    e = nnlab.Experiment(data=nnlab.Moons(n=100), split=split, metric="last", threshold=0.2, epochs=3)
    model = nnlab.load(nnlab.fit(e).run())
    x = e.data.load().x
    positive = model.spec.positive if model.spec.positive is not None else 1
    np.testing.assert_array_equal(
        model.class_numbers(x) == positive, model.predict_proba(x)[:, positive] > 0.2
    )


def test_a_refit_keeps_what_was_fitted_on_validation_examples():
    e = nnlab.Experiment(data=nnlab.Moons(n=200), calibrate="temperature", threshold="f1", epochs=20)
    (first,), (refitted,) = (nnlab.fit(replace(e, refit=refit)).run().results for refit in (False, True))
    assert first.calibration == refitted.calibration
    assert first.test["loss"] != refitted.test["loss"] != refitted.test["loss_uncalibrated"]


@pytest.mark.parametrize("refit", [False, True])
def test_a_fit_that_goes_on_is_calibrated_alike(refit):
    e = nnlab.Experiment(
        data=nnlab.Moons(n=200), calibrate="temperature", threshold="f1", epochs=6, seeds=2, refit=refit
    )
    whole, states = nnlab.Fit([e]), []
    for event in whole.events(lambda: True):
        if isinstance(event, FitState):
            states.append(FitState.from_arrays(*event.to_arrays()))
    assert len(states) > 3
    for state in (states[0], states[-1]):
        resumed = nnlab.Fit([e]).resume(state).run()
        assert resumed.results[1].calibration == whole.results[1].calibration
        assert resumed.results[1].test == whole.results[1].test


def test_a_fit_that_is_stopped_is_calibrated():
    e = nnlab.Experiment(data=nnlab.Moons(n=200), calibrate="temperature", epochs=50)
    fit = nnlab.fit(e)
    for record in fit:
        if record.epoch == 5:
            break
    (result,) = fit.stop().results
    assert result.calibration["temperature"] != 1 and "loss_uncalibrated" in result.test


def test_the_equation_is_the_calibrated_one():
    e = nnlab.Experiment(
        data=nnlab.Moons(n=200), model="logistic", calibrate="temperature", metric="last", epochs=5
    )
    fit = nnlab.fit(e).run()
    found = equation(fit, fit.rows[0], fit.results[0])
    x = fit.datasets[fit.experiments[0].data].x[found.examples]
    p = nnlab.load(fit).predict_proba(x)
    np.testing.assert_allclose(found.predictions, p.T[-len(found.predictions) :], atol=1e-6)


@pytest.mark.parametrize("data", ["breast_cancer", "diabetes"])
def test_a_row_is_calibrated_as_it_is_alone(data):
    settings = {"calibrate": "temperature", "threshold": "mcc"} if data == "breast_cancer" else {}
    e = nnlab.Experiment(data=data, split="kfold", seeds=2, epochs=4, **settings)
    together = nnlab.fit(e).run().results
    alone = nnlab.fit(replace(e, seeds=1, seed=1)).run().results
    for one, result in zip(alone, together[1::2], strict=True):
        assert {n: a.tobytes() for n, a in one.calibration.items()} == {
            n: a.tobytes() for n, a in result.calibration.items()
        }


def test_rows_of_other_calibrations_share_a_stack():
    e = nnlab.Experiment(data="breast_cancer", epochs=3)
    changes = [{}, {"calibrate": "temperature"}, {"threshold": 0.3}, {"threshold": "f1"}]
    experiments = [replace(e, **settings) for settings in changes]
    fit = nnlab.fit(*experiments)
    assert len(fit.stacks()) == 1
    for each, result in zip(experiments, fit.run().results, strict=True):
        (alone,) = nnlab.fit(each).run().results
        assert (result.test, result.calibration) == (alone.test, alone.calibration)


CALIBRATIONS = {  # a stranger's arrays for a run of moons, and what is said
    "temperature": [
        (np.float64(0), "the temperature 0, far from 1"), (np.float64(-1), "the temperature -1"),
        (np.float64("nan"), "not finite"), (np.float32(1), "the type float32"), (np.ones(1), "the shape"),
    ],
    "threshold": [(np.float64(1.5), "the threshold 1.5"), (np.float64("inf"), "not finite")],
    "residuals": [(np.ones((5, 1)), "the array 'residuals'")],
    "__class__": [(np.float64(1), "the array '__class__'")],
}  # fmt: skip


@pytest.mark.parametrize(
    "name, array, message", [(n, a, m) for n, pairs in CALIBRATIONS.items() for a, m in pairs]
)
def test_a_strangers_calibration_is_refused(name, array, message, moons_run, tmp_path):
    shutil.copytree(moons_run, tmp_path / "run")
    tensors = load_file(moons_run / "model.safetensors")
    save_file(tensors | {f"rows/0/calibration/{name}": np.asarray(array)}, tmp_path / "run/model.safetensors")
    with pytest.raises(nnlab.UserError, match=re.escape(message)):
        nnlab.load(tmp_path / "run")


@pytest.fixture(scope="module")
def moons_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("moons") / "run"
    train(folder, "data=moons", "data.n=100", "epochs=2")
    return folder


def test_estimators_are_calibrated():
    x, y = nnlab.Moons(n=200).load().x, nnlab.Moons(n=200).load().y
    settings = {"epochs": 10, "split": "holdout", "calibrate": "temperature", "threshold": "f1"}
    classifier = nnlab.Classifier(**settings).fit(x, y)
    calibration = classifier.model_.rows[0].calibration
    positive = classifier.model_.spec.positive
    above = classifier.predict_proba(x)[:, positive] > calibration["threshold"]
    np.testing.assert_array_equal(classifier.predict(x) == positive, above)
    assert calibration["temperature"] != 1
    with pytest.raises(nnlab.UserError, match="holds back no validation examples"):
        nnlab.Classifier(threshold="f1").fit(x, y)


def test_a_regressor_has_intervals():
    x, y = load_diabetes(return_X_y=True)
    regressor = nnlab.Regressor(split="kfold", epochs=10).fit(x[:400], y[:400])
    lower, upper = regressor.predict_interval(x[400:], 0.8)
    assert 0.6 < np.mean((lower <= y[400:]) & (y[400:] <= upper)) < 0.95
    with pytest.raises(nnlab.UserError, match="has no residuals of validation examples"):
        nnlab.Regressor(epochs=2).fit(x, y).predict_interval(x)
