"""The training loop against an independent one in torch (`reference`), in float64."""

from dataclasses import replace

import numpy as np
import pytest
import reference
import sklearn.metrics as sk
from networks import Points, one_thread  # noqa: F401

import nnlab
from nnlab import (
    MLP,
    SGD,
    Adam,
    Cosine,
    Experiment,
    HalveAndGoBack,
    KFold,
    Momentum,
    Patience,
    Regularizer,
    RMSProp,
)

CLASSES, NUMBERS, NONE = Points(), Points(classes=0), Regularizer()
BASE = Experiment(
    data=CLASSES, model=MLP(hidden=(9, 5), activation="tanh"), optimizer=SGD(lr=0.2), regularizer=NONE,
    batch_size=10, epochs=3, seeds=2, dtype="float64",
)  # fmt: skip
ANY_RISE = dict(tolerance=0.0, stop_below=0.0)
OUTSIDE = dict(epsilon=1e-8, epsilon_inside_root=False)  # as torch has it

CASES = {  # 54 examples to train on: batches of 10 end with one of 4
    "sgd": BASE,
    "momentum": replace(BASE, optimizer=Momentum(lr=0.05)),
    "momentum-last": replace(BASE, optimizer=Momentum(lr=0.05, gamma=0.95, last_updates=8, last_gamma=0.3)),
    "momentum-linear": replace(BASE, optimizer=Momentum(ramp="linear", ramp_updates=9, last_updates=8)),
    "momentum-sutskever": replace(
        BASE, optimizer=Momentum(gamma=0.95, ramp="sutskever", ramp_updates=2, last_updates=4)
    ),
    "rmsprop": replace(BASE, optimizer=RMSProp(lr=0.01, **OUTSIDE)),
    "adam": replace(BASE, optimizer=Adam(lr=0.03, **OUTSIDE)),
    "sgd-biases": replace(BASE, optimizer=SGD(lr=0.2, bias_lr_factor=2.0)),
    "momentum-biases": replace(BASE, optimizer=Momentum(bias_lr_factor=0.3)),
    "adam-biases": replace(BASE, optimizer=Adam(lr=0.03, bias_lr_factor=3.0, **OUTSIDE)),
    "full-batch": replace(BASE, batch_size="full", optimizer=Adam(lr=0.03, **OUTSIDE)),
    "relu": replace(BASE, model=MLP(hidden=(11,), activation="relu")),
    "sigmoid": replace(BASE, model=MLP(hidden=(11,), activation="sigmoid")),
    "logistic": replace(BASE, model=nnlab.Logistic()),
    "linear": replace(BASE, data=NUMBERS, model=nnlab.Linear(), optimizer=SGD(lr=0.05)),
    "numbers": replace(BASE, data=NUMBERS, optimizer=Adam(lr=0.03, **OUTSIDE)),
    "one-output": replace(BASE, data=replace(NUMBERS, outputs=1), batch_size=1, optimizer=SGD(lr=0.01)),
    "l2": replace(BASE, regularizer=Regularizer(l2=0.05)),
    "dropout": replace(BASE, regularizer=Regularizer(dropout=0.3)),
    "l2-and-dropout": replace(BASE, regularizer=Regularizer(l2=0.01, dropout=0.5), epochs=5),
    "cosine": replace(BASE, schedule=Cosine(), epochs=4),
    "warmup": replace(BASE, schedule=Cosine(warmup=1.5), optimizer=RMSProp(lr=0.01, **OUTSIDE)),
    "folds": replace(BASE, split=KFold(k=3)),
    "go-back": replace(BASE, schedule=HalveAndGoBack(**ANY_RISE), optimizer=SGD(lr=1.5), epochs=15),
    "go-back-tolerant": replace(
        BASE, schedule=HalveAndGoBack(tolerance=0.05, stop_below=0.0), optimizer=SGD(lr=2.5), epochs=15
    ),
    "go-back-adam": replace(
        BASE, data=NUMBERS, schedule=HalveAndGoBack(factor=0.7, metric="val_error", **ANY_RISE),
        optimizer=Adam(lr=0.1, **OUTSIDE), epochs=15,
    ),
}  # fmt: skip


def trained(*experiments):
    """The finished fit, and every row's metrics as a list of epochs."""
    run, epochs_of_row = nnlab.fit(*experiments), {}
    for record in run:
        for i, row in enumerate(record.rows):
            epochs_of_row.setdefault(int(row), []).append({name: v[i] for name, v in record.metrics.items()})
    return run, epochs_of_row


def assert_weights(actual, expected, tolerance=1e-9):
    assert set(actual) == set(expected)
    for name, weight in expected.items():
        np.testing.assert_allclose(actual[name], weight, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("experiment", CASES.values(), ids=CASES)
def test_training_equals_a_loop_of_torch(experiment):
    """Every metric of every epoch, the best epoch and its weights, of every row of the stack."""
    run, epochs_of_row = trained(experiment)
    went_back = []
    for row, result in zip(run.rows, run.results, strict=True):
        epochs = reference.train(row)
        assert len(epochs_of_row[row.number]) == experiment.epochs == len(epochs)
        for number, (actual, epoch) in enumerate(
            zip(epochs_of_row[row.number], epochs, strict=True), start=1
        ):
            expected = epoch.metrics | epoch.events
            assert actual == pytest.approx(expected, rel=1e-8, abs=1e-10), f"epoch {number}"
        best = int(np.argmin([epoch.metrics[experiment.metric] for epoch in epochs]))
        assert (result.best_epoch, result.status) == (best + 1, "finished")
        assert result.best == pytest.approx(epochs[best].metrics, rel=1e-8, abs=1e-10)
        assert_weights(result.weights, epochs[best].weights)
        went_back.append([epoch.went_back for epoch in epochs])
    if experiment.schedule.goes_back:  # the case is one: rows go back more than once, and not together
        assert min(map(sum, went_back)) >= 2 and went_back[0] != went_back[1]


def test_chunks_of_an_epoch_change_nothing(monkeypatch):
    unchunked = trained(CASES["warmup"])[1]
    monkeypatch.setattr("nnlab.data.batches.CHUNK_ELEMENTS", 2 * BASE.batch_size * CLASSES.d)  # two steps
    pieces = trained(CASES["warmup"])[1]
    for k in unchunked:
        for a, b in zip(unchunked[k], pieces[k], strict=True):
            assert a == pytest.approx(b, rel=1e-12)


# ---- the best epoch


@pytest.mark.parametrize("metric", ["val_loss", "val_error"])
def test_best_weights_are_those_of_the_best_epoch(metric):
    """They equal what training just so long leaves: neither later epochs nor the order of rows touch them."""
    base = replace(BASE, optimizer=SGD(lr=1.0), metric=metric, epochs=20, seeds=3)
    run, epochs_of_row = trained(base)
    best = [int(np.argmin([m[metric] for m in epochs_of_row[k]])) + 1 for k in range(3)]
    assert [result.best_epoch for result in run.results] == best
    assert len(set(best)) > 1 and max(best) < 20
    for result in run.results:
        (shorter_run,) = run_results(replace(base, epochs=result.best_epoch, seed=result.seed, seeds=1))
        assert shorter_run.best_epoch == result.best_epoch
        assert_weights(result.weights, shorter_run.weights, 0)
        assert result.best == epochs_of_row[result.row][result.best_epoch - 1]


def run_results(*experiments):
    return trained(*experiments)[0].results


def test_records_say_what_improved():
    run = nnlab.fit(replace(BASE, optimizer=SGD(lr=1.0), epochs=12))
    best = np.full(2, np.inf)
    for record in run:
        assert record.improved.tolist() == (record.val_loss < best).tolist()
        best = np.minimum(best, record.val_loss)


# ---- rows that end


@pytest.mark.parametrize("metric, min_delta", [("val_loss", 0.0), ("val_loss", 0.01), ("val_error", 0.0)])
def test_rows_stop_when_their_patience_ends(metric, min_delta):
    base = replace(BASE, optimizer=SGD(lr=0.5), epochs=25)
    _, full = trained(*[replace(base, seed=k, seeds=1) for k in range(6)])
    rows = [
        replace(
            base, seed=k, seeds=1, stopping=Patience(metric=metric, patience=1 + k % 3, min_delta=min_delta)
        )
        for k in range(6)
    ]
    run, epochs_of_row = trained(*rows)
    for k, result in enumerate(run.results):
        best, waited, stop = np.inf, 0, 25
        for epoch, metrics in enumerate(full[k], start=1):
            better = metrics[metric] < best - min_delta
            best, waited = (metrics[metric], 0) if better else (best, waited + 1)
            if waited == 1 + k % 3:
                stop = epoch
                break
        assert (result.epochs, result.status) == (stop, "stopped" if waited == 1 + k % 3 else "finished")
        assert epochs_of_row[k] == full[k][:stop]
        assert result.best_epoch == 1 + int(np.argmin([m["val_loss"] for m in full[k][:stop]]))
    assert len({result.epochs for result in run.results}) > 2


def test_rows_may_train_for_different_numbers_of_epochs():
    run, epochs_of_row = trained(*[replace(BASE, epochs=n, seeds=1) for n in (4, 1, 3)])
    assert [len(epochs_of_row[k]) for k in range(3)] == [result.epochs for result in run.results] == [4, 1, 3]
    assert epochs_of_row[0][:3] == epochs_of_row[2] and epochs_of_row[0][:1] == epochs_of_row[1]


LINEAR = replace(BASE, data=NUMBERS, model=nnlab.Linear(), batch_size="full", seeds=1, epochs=60)


def test_a_diverging_row_is_marked_and_frozen():
    """It grows for a while, becomes infinite, and keeps the weights of its best epoch."""
    good = replace(LINEAR, dtype="float32", optimizer=SGD(lr=0.05))
    bad = replace(good, optimizer=SGD(lr=30.0))
    run, epochs_of_row = trained(good, bad)
    first, second = run.results
    assert (first.status, first.epochs) == ("finished", 60) and len(epochs_of_row[0]) == 60
    assert second.status == "diverged" and 1 < second.epochs < 60 and len(epochs_of_row[1]) == second.epochs
    finite = [np.isfinite([m["train_loss"], m["val_loss"], m["grad_norm"]]).all() for m in epochs_of_row[1]]
    assert all(finite[:-1]) and not finite[-1]
    assert second.best_epoch == 1 and np.isfinite(second.test["loss"])
    (one_epoch,) = run_results(replace(bad, epochs=1))
    assert_weights(second.weights, one_epoch.weights, 0)
    assert epochs_of_row[0] == trained(good)[1][0]


@pytest.mark.parametrize("metric", ["val_loss", "val_error"])
@pytest.mark.parametrize("data", [CLASSES, NUMBERS], ids=["classes", "numbers"])
def test_a_row_that_diverges_at_once_has_no_best_epoch(data, metric):
    base = replace(BASE, data=data, dtype="float32", metric=metric, seeds=1)
    good, bad = run_results(base, replace(base, optimizer=SGD(lr=1e38)))
    assert (bad.status, bad.best_epoch, bad.epochs, bad.test) == ("diverged", 0, 1, {})
    assert good.status == "finished" and good.test


# ---- the test set


def outputs(result, x):
    """The perceptron in numpy, from what a `Result` holds."""
    n, w = result.normalizer, result.weights
    h = ((x - n["mean"]) / n["scale"]).T
    over = np.maximum(np.abs(h) - n["linear"], 0)
    h = np.sign(h) * (np.minimum(np.abs(h), n["linear"]) + np.log1p(over))
    for number in (1, 2):
        h = np.tanh(w[f"hidden{number}.weight"] @ h + w[f"hidden{number}.bias"])
    return (w["output.weight"] @ h + w["output.bias"]).T


@pytest.mark.parametrize("at_once", [7, 512])
@pytest.mark.parametrize("data", [CLASSES, NUMBERS], ids=["classes", "numbers"])
def test_test_metrics_are_those_of_the_best_weights(data, at_once, monkeypatch):
    """In float64, also of a test set that is several batches."""
    monkeypatch.setattr("nnlab.experiment.MAX_EVALUATION_BATCH", at_once)
    run, _ = trained(replace(BASE, data=data, split=KFold(k=3), optimizer=SGD(lr=0.5), epochs=12))
    dataset = data.load()
    assert any(result.best_epoch < 12 for result in run.results)
    for row, result in zip(run.rows, run.results, strict=True):
        test, n = row.fold.test, result.normalizer
        np.testing.assert_allclose(n["mean"], dataset.x[row.fold.train].mean(0))
        z, t = outputs(result, dataset.x[test]), dataset.y[test]
        if data is CLASSES:
            p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
            expected = {
                "loss": sk.log_loss(t, p, labels=range(3)),
                "accuracy": sk.accuracy_score(t, z.argmax(1)),
                "error": 1 - sk.accuracy_score(t, z.argmax(1)),
            }
            precision, recall, _, _ = sk.precision_recall_fscore_support(t, z.argmax(1), zero_division=0)
            assert result.test["precision"] == pytest.approx(precision)
            assert result.test["recall"] == pytest.approx(recall)
            assert result.test["confusion_matrix"] == sk.confusion_matrix(t, z.argmax(1)).tolist()
        else:
            raw = z * n["target_scale"] + n["target_mean"]
            expected = {
                "loss": np.mean((z - (t - n["target_mean"]) / n["target_scale"]) ** 2),
                "rmse": sk.mean_squared_error(t, raw) ** 0.5,
                "mae": sk.mean_absolute_error(t, raw),
                "r2": sk.r2_score(t, raw, multioutput="uniform_average"),
            }
        assert {key: result.test[key] for key in expected} == pytest.approx(expected, rel=1e-9)


# ---- what may share a fit


def test_a_full_batch_by_name_and_by_number():
    """54 examples: all of them are one batch, however it is asked for."""
    by_name, by_number, alone = (replace(BASE, batch_size=size) for size in ("full", 54, 1000))
    _, together = trained(by_name, by_number, alone)
    assert together[0] == together[2] == together[4]
