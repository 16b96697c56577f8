"""test_predictions.csv and splits.jsonl of a run, against its report and torch; and their cost."""

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
from datafiles import write_idx
from safetensors.numpy import load_file

import nnlab as lab
from nnlab.cli import main
from nnlab.records import run as run_module
from nnlab.records.test_predictions import average_predictions, splits, test_predictions
from nnlab.training import evaluation, predictions

test_predictions.__test__ = False


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(*overrides, folder="run"):
    assert main(["train", *overrides, f"hydra.run.dir={folder}"]) == 0
    return folder


def table(folder):
    with open(f"{folder}/test_predictions.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def sets(folder):
    with open(f"{folder}/splits.jsonl") as file:
        return [json.loads(line) for line in file]


def report(folder):
    return json.loads(Path(folder, "rows.json").read_text())[0]["test"]


def column(lines, name, kind=float):
    return np.array([kind(line[name]) for line in lines])


def probabilities(lines, spec):
    return np.array([[float(line[f"probability_{name}"]) for name in spec.classes] for line in lines])


CLASSES = {
    "digits": (),
    "two classes by one output": ("data=moons", "data.n=100", "loss=binary_cross_entropy"),
    "one against the rest": ("data=wine", "loss=binary_cross_entropy"),
    "sparsemax": ("data=iris", "loss=sparsemax_loss"),
    "least squares": ("data=iris", "loss=squared_error"),
    "refit": ("data=iris", "refit=true"),
    "limit": ("data.limit=300",),
    "float64": ("data=iris", "dtype=float64"),
}


@pytest.mark.parametrize("case", CLASSES)
def test_it_says_what_the_report_says(case):
    folder = train(*CLASSES[case], "epochs=3")
    lines, report_values, stored = table(folder), report(folder), lab.StoredRun(folder)
    true, predicted = column(lines, "target", str), column(lines, "prediction", str)
    assert sk.accuracy_score(true, predicted) == pytest.approx(report_values["accuracy"], abs=1e-12)
    matrix = sk.confusion_matrix(true, predicted, labels=list(stored.spec.classes))
    assert matrix.tolist() == report_values["confusion_matrix"]
    p = probabilities(lines, stored.spec)
    assert np.abs(p.sum(1) - 1).max() < 1e-6
    assert [stored.spec.classes[i] for i in p.argmax(1)] == predicted.tolist()
    if stored.experiment.loss_for(stored.spec).name == "cross_entropy":
        assert sk.log_loss(true, p, labels=list(stored.spec.classes)) == pytest.approx(
            report_values["loss"], rel=1e-5
        )
    # The numbers are those of the data as they are, whatever the limit.
    (of_fold,) = sets(folder)
    whole = replace(stored.experiment.data, limit=None).load()
    numbers = column(lines, "example", int)
    assert numbers.tolist() == of_fold["test"] == sorted(numbers)
    assert [whole.classes[i] for i in whole.y[numbers]] == true.tolist()
    assert not set(of_fold["validation"]) & set(numbers)
    (read,) = stored.splits
    assert {key: list(v) if key in ("validation", "test") else v for key, v in read.items()} == of_fold
    columns = stored.test_predictions
    assert list(columns) == list(lines[0]) and columns["example"].tolist() == numbers.tolist()
    assert columns["prediction"].astype(str).tolist() == predicted.tolist()


def test_numbers_of_a_regression_are_in_their_own_units():
    folder = train("data=diabetes", "epochs=3")
    lines, report_values = table(folder), report(folder)
    true, predicted = column(lines, "target"), column(lines, "prediction")
    assert np.array_equal(true, lab.Diabetes().load().y[column(lines, "example", int), 0])
    assert sk.root_mean_squared_error(true, predicted) == pytest.approx(report_values["rmse"], rel=1e-6)
    assert list(lines[0]) == ["example", "target", "prediction"]


def test_several_targets_have_columns_of_their_own(here):
    x = np.random.default_rng(0).random((60, 3))
    np.savez(here / "a.npz", X=x, y=x @ np.ones((3, 2)))
    lines = table(train("data=npz", "data.path=a.npz", "epochs=2"))
    assert list(lines[0]) == ["example", "target_0", "target_1", "prediction_0", "prediction_1"]


def test_rows_are_averaged_as_torch_averages_them():
    """Every row of the stored weights, in torch's own functions."""
    overrides = ("seeds=2", "split=kfold", "split.k=3", "data.normalization=standard", "epochs=3")
    folder = train("data=wine", *overrides)
    lines, dataset, weights = table(folder), lab.Wine().load(), load_file(f"{folder}/model.safetensors")
    numbers, p = column(lines, "example", int), 0
    for row in range(6):
        w = {name: torch.from_numpy(a) for name, a in weights.items() if name.startswith(f"rows/{row}/")}
        (w,) = ({name.removeprefix(f"rows/{row}/"): a.double() for name, a in w.items()},)
        x = torch.from_numpy(dataset.x[numbers]).double()
        x = (x - w["normalizer/mean"]) / w["normalizer/scale"]
        hidden = torch.relu(x @ w["hidden1.weight"].T + w["hidden1.bias"].flatten())
        logits = hidden @ w["output.weight"].T + w["output.bias"].flatten()
        p = p + torch.softmax(logits, 1).numpy() / 6
    assert np.abs(probabilities(lines, dataset.spec) - p).max() < 1e-6
    assert column(lines, "prediction", str).tolist() == [dataset.classes[i] for i in p.argmax(1)]
    assert {line["rows"] for line in lines} == {"6"} and "folds" not in lines[0]
    assert len(sets(folder)) == 3 and {tuple(fold["test"]) for fold in sets(folder)} == {tuple(numbers)}
    validated = sorted(n for fold in sets(folder) for n in fold["validation"])
    assert validated == sorted({*range(178)} - {*numbers.tolist()})


def test_an_example_that_several_repeats_tested():
    lines = table(train("data=iris", "split.repeats=4", "epochs=2", folder="a"))
    for line in lines:
        assert len(line["repeats"].split()) == int(line["rows"])
    numbers = column(lines, "example", int).tolist()
    assert len({*numbers}) == len(numbers) and "0 1" in " ".join(line["repeats"] for line in lines)
    tests = [set(fold["test"]) for fold in sets("a")]
    for line in lines:
        repeats = {i for i, test in enumerate(tests) if int(line["example"]) in test}
        assert {*map(int, line["repeats"].split())} == repeats


@dataclass(frozen=True)
class Nested(lab.Split):
    """Every example is tested once, in a fold of its own."""

    name: ClassVar[str] = "nested"

    @property
    def count(self):
        return 3

    def folds(self, dataset):
        part, everything = np.arange(len(dataset.x)) % 3, np.arange(len(dataset.x))
        return [
            lab.Fold(
                everything[part == (f + 2) % 3],
                everything[part == (f + 1) % 3],
                everything[part == f],
                0,
                f,
            )
            for f in range(3)
        ]


def test_folds_with_test_sets_of_their_own():
    fit = lab.fit(lab.Experiment(data="iris", split=Nested(), epochs=2)).run()
    dataset = fit.datasets[fit.experiments[0].data]
    names, *lines = test_predictions(fit.results, dataset)
    assert names[:5] == ["example", "target", "prediction", "rows", "folds"] and len(lines) == 150
    assert all(int(folds) == example % 3 and rows == 1 for example, _, _, rows, folds, *_ in lines)
    assert [fold["test"][0] for fold in splits([row.fold for row in fit.rows], dataset)] == [0, 1, 2]


def test_data_with_a_test_set_of_their_own(here):
    write_idx(here)
    lines = table(train("data=idx", "data.path=.", "epochs=1"))
    assert column(lines, "example", int).tolist() == [*range(60, 80)]


@pytest.mark.filterwarnings("ignore:the input 'customer_id' counts the rows:nnlab.errors.Advice")
def test_identifiers_and_text_that_a_spreadsheet_would_compute(here):
    labels = ["=1+1", "@x", "-1", "a,b", 'quo"te', "+a"]
    cells = "\n".join(
        f'{i + 100},{i % 7},"{labels[i % 6].replace(chr(34), 2 * chr(34))}"' for i in range(120)
    )
    (here / "a.csv").write_text(f"customer_id,n,left\n{cells}\n")
    lines = table(train("data=csv", "data.path=a.csv", "data.target=left", "epochs=1"))
    assert list(lines[0])[:4] == ["example", "target", "prediction", "customer_id"]
    for line in lines:
        label = labels[int(line["example"]) % 6]
        expected = f"'{label}" if label in ("=1+1", "@x", "+a") else label
        assert line["target"] == expected and int(line["customer_id"]) == int(line["example"]) + 100
    assert "probability_=1+1" in lines[0]


def test_where_it_is_not_wanted_nothing_is_written_or_computed(monkeypatch):
    train("predictions=false", "epochs=1", folder="without")
    fit = lab.Fit([lab.Experiment(data="iris", epochs=1)], predictions=False).run()
    assert not fit.results[0].predictions
    with_predictions = lab.Fit([lab.Experiment(data="iris", epochs=1)] * 2, predictions=[True, False]).run()
    assert [bool(result.predictions) for result in with_predictions.results] == [True, False]
    monkeypatch.setattr(predictions, "MAX_TABLE_VALUES", 100)
    monkeypatch.setattr(run_module, "MAX_SPLIT_INDICES", 10)
    train("epochs=1", folder="large")
    train("epochs=1", "predictions=true", folder="asked")
    written = {f: lab.StoredRun(f).path for f in ("without", "large", "asked")}
    both = {
        f: [(p / n).exists() for n in ("test_predictions.csv", "splits.jsonl")] for f, p in written.items()
    }
    assert both == {"without": [False, False], "large": [False, False], "asked": [True, True]}


def test_a_run_without_a_test_set_has_none():
    train("split=none", "metric=last", "epochs=1")
    assert not [*lab.StoredRun("run").path.glob("test_predictions.csv")]


def test_it_is_the_one_pass_of_the_test(monkeypatch):
    tested = []
    test = evaluation.Evaluator.test
    monkeypatch.setattr(
        evaluation.Evaluator,
        "test",
        lambda self, *fitted: tested.append(len(self.rows)) or test(self, *fitted),
    )
    fit = lab.fit(lab.Experiment(data="iris", seeds=3, epochs=2)).run()
    assert tested == [3] and all(result.predictions for result in fit.results)
    candidates = lab.Fit([lab.Experiment(data="iris", epochs=1)], candidates=True, predictions=True).run()
    assert tested == [3] and not candidates.results[0].predictions


def test_a_row_that_has_no_output_has_no_prediction():
    values = np.array([[np.nan, 0.5], [0.2, 0.8]])
    result = replace(
        lab.fit(lab.Experiment(data=lab.Moons(n=40), epochs=1)).run().results[0],
        predictions={"examples": np.array([3, 5]), "classes": np.array([-1, 1]), "values": values},
    )
    _, *lines = test_predictions([result], lab.Moons(n=40).load())
    assert [line[2:] for line in lines] == [["", "", 0.5], ["lower", 0.2, 0.8]]
    _, classes, _, _ = average_predictions([result, result], lab.Moons(n=40).load().spec)
    assert classes.tolist() == [-1, 1]


def test_each_run_of_multirun_has_its_own():
    assert main(["train", "-m", "data=iris,wine", "epochs=1", "hydra.sweep.dir=m"]) == 0
    assert len(table("m/0_data=iris")) == 30 and len(table("m/1_data=wine")) == 36


def test_the_winner_of_a_sweep_has_them():
    overrides = ["data=iris", "epochs=1", "trials=3", "report=false", "hydra.run.dir=s"]
    assert main(["sweep", *overrides]) == 0
    assert len(table("s/best")) == 30 and len(sets("s/best")) == 1


@pytest.mark.parametrize("command", ["train", "sweep", "check"])
def test_another_value_is_refused(command, capsys, here):
    assert main([command, "predictions=maybe"]) == 2
    assert "predictions = 'maybe'" in capsys.readouterr().err and not list(here.iterdir())
