"""The equation of a model without hidden layers: its W and b on the screen and in equation.json."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import sklearn.linear_model as sk
from networks import one_thread  # noqa: F401

import nnlab
from nnlab import MLP, SGD, Adam, Diabetes, Experiment, Iris, Linear, Logistic, Moons, Regularizer
from nnlab.cli import main
from nnlab.equation import equation
from nnlab.records import equation_text
from nnlab.records.text_columns import wrap_line

FULL = Experiment(batch_size="full", dtype="float64", regularizer=Regularizer(), metric="last", epochs=2000)


def learnt(experiment):
    run = nnlab.fit(experiment)
    list(run)
    return run, equation(run, run.rows[0], run.results[0])


def test_linear_regression_is_least_squares_in_the_datas_own_units():
    """On normalised inputs and targets, and said of those that the file has."""
    e = replace(FULL, data=Diabetes(normalization="standard"), model=Linear())
    run, record = learnt(replace(e, optimizer=nnlab.Nesterov(lr=0.05, gamma=0.95), epochs=1500))
    dataset, train = run.datasets[e.data], run.rows[0].fold.train
    least_squares = sk.LinearRegression().fit(dataset.x[train], dataset.y[train])
    assert record.in_data_units
    assert record.weight == pytest.approx(least_squares.coef_, rel=0.01, abs=0.01)
    assert record.bias == pytest.approx(least_squares.intercept_, rel=0.01)
    assert record.predictions == pytest.approx(least_squares.predict(dataset.x[record.examples]).T, rel=0.001)
    assert np.array_equal(record.targets[0], dataset.y[train, 0])


@pytest.mark.parametrize("normalization", ["standard", "minmax", "maxabs", "none"])
def test_answers_are_those_of_the_equation_on_raw_inputs(normalization):
    data = Diabetes(normalization=normalization)
    run, record = learnt(replace(FULL, data=data, model=Linear(), optimizer=Adam(lr=0.01), epochs=20))
    x = run.datasets[data].x[record.examples]
    assert record.in_data_units and record.predictions == pytest.approx(
        record.weight @ x.T + record.bias[:, None]
    )


@pytest.mark.parametrize("data, loss", [
    (Iris(), "auto"), (Moons(), "binary_cross_entropy"), (Iris(), "sparsemax_loss"), (Moons(), "auto"),
])  # fmt: skip
@pytest.mark.parametrize("refit", [False, True])
def test_classes_are_predicted_from_raw_inputs(data, loss, refit):
    """p = map(W x + b), and so the share of right training answers is that of the run."""
    e = replace(FULL, data=data, model=Logistic(), loss=loss, optimizer=Adam(lr=0.05), epochs=30)
    run, record = learnt(replace(e, refit=refit, data=replace(data, normalization="minmax")))
    dataset = run.datasets[run.experiments[0].data]
    z = record.weight @ dataset.x[record.examples].T + record.bias[:, None]
    if not refit:
        assert record.in_data_units
        predicted = (z[0] > 0).astype(int) if len(z) == 1 else z.argmax(0)
        mean = run.results[0].normalizer["mean"]
        assert mean == pytest.approx(dataset.x[record.examples].min(0))
        assert np.mean(predicted != record.targets) <= run.results[0].best["train_error"] + 0.02
        if record.map == "sigmoid":
            assert record.predictions == pytest.approx(1 / (1 + np.exp(-z)))
    expected = 1 if len(dataset.classes) == 2 and loss != "auto" else len(dataset.classes)
    assert record.weight.shape == (expected, dataset.x.shape[1])


@pytest.mark.parametrize("e", [
    Experiment(epochs=1), Experiment(model=Logistic(), epochs=1),  # hidden layers, ten outputs
    Experiment(data=Iris(), model=MLP(hidden=(), output="softmax"), loss="squared_error", epochs=1),
    Experiment(data=Diabetes(), model=Linear(), optimizer=SGD(lr=1e30), epochs=3),  # it diverged
])  # fmt: skip
def test_other_models_have_none(e):
    assert learnt(e)[1] is None


def test_the_screen_shows_the_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "experiment=lecture/linear_regression"]) == 0
    lines = capsys.readouterr().out.splitlines()
    start = lines.index("  y = W x + b, in the data's own units")
    cells = [line.split() for line in lines[start + 1 : start + 6]]
    assert cells[:2] == [["W", "0.1000"], ["b", "0.3000"]]
    assert cells[3][0] == "y" and cells[3][1:] == cells[4][1:] and cells[4][0] == "target"
    path = tmp_path / next(line.strip() for line in lines if line.endswith("equation.json"))
    record = json.loads(path.read_text())
    assert record["W"] == [[pytest.approx(0.1, abs=1e-5)]] and record["b"] == [pytest.approx(0.3, abs=1e-5)]
    assert record["features"] == ["x"] and len(record["training"]["answers"][0]) == 60
    assert record["training"]["answers"][0] == pytest.approx(record["training"]["targets"][0], abs=1e-5)


def test_long_equations_fit_80_columns():
    _, record = learnt(replace(FULL, data=nnlab.Noise(), model=Logistic(), epochs=2))
    shown = equation_text.equation_lines(record, "run", True)
    assert max(len(text) for line in shown for text in wrap_line(line)) <= 80 and "of seed 0" in shown[0]
    assert f"(784, norm {np.linalg.norm(record.weight[0]):.4f})" in shown[1]


def test_columns_of_negative_and_small_numbers_stay_apart():
    line = equation_text._line("W", np.array([-0.000611, -1.23e-120, -12_345_678.0, 0.1, -6.11e-5]))
    assert len(line) <= 80 and len(line.split()) == 6
    ends = [m.end() for m in re.finditer(r"\S+", line)][1:]
    assert np.ptp(np.diff(ends)) == 0
