"""`metric=`, `metrics=` and the metrics of reports, by the command line."""

import csv
import json

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nnlab.cli import main
from nnlab.metrics import METRICS
from nnlab.records.text import SHORT_LABELS, metric_label, short_label


def run(*words):
    return main([*words])


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """400 examples, one in ten is rare; the inputs say little."""
    return write_table(tmp_path_factory.mktemp("table") / "rare.csv", ["usual", "rare"], [0.9, 0.1])


def write_table(path, labels, shares, n=400):
    random = np.random.default_rng(0)
    y = random.choice(labels, n, p=shares)
    x = random.normal(size=(n, 3)) + 0.4 * (y == labels[-1])[:, None]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["a", "b", "c", "left"], *([*row, t] for row, t in zip(x, y, strict=True))]
        )
    return ["data=csv", f"data.path={path}", "data.target=left"]


def test_a_run_by_a_metric(table, tmp_path, capfd):
    overrides = ["metric=roc_auc", "metrics=[f1,calibration_error]", "epochs=4", "seeds=3", "picture=true"]
    assert run("train", *table, *overrides, f"hydra.run.dir={tmp_path}/r") == 0
    out, err = capfd.readouterr()
    assert "ROC AUC" in out.splitlines()[1] and "validation ROC AUC" in out
    assert "F1: of the class 'rare'" in out and "test F1" in out
    assert err.count("advice: the accuracy") == 1 and "class_weight=balanced" in err
    lines = [json.loads(line) for line in (tmp_path / "r/metrics.jsonl").read_text().splitlines()]
    names = ["val_roc_auc", "val_f1", "val_calibration_error"]
    assert all(0 <= line[name] <= 1 for line in lines for name in names)
    summary = json.loads((tmp_path / "r/summary.json").read_text())
    assert summary["metric"] == "roc_auc" and summary["classification"]["positive_class"] == "rare"
    for name in names:
        metric = summary["metrics"][name]
        assert metric["n"] == 3 and metric["low"] <= metric["mean"] <= metric["high"]
    best = [max(line["val_roc_auc"] for line in lines if line["row"] == row) for row in range(3)]
    assert summary["metrics"]["val_roc_auc"]["mean"] == pytest.approx(np.mean(best))
    assert {f"test_{name}" for name, metric in METRICS.items() if metric.fits(2)} <= summary["metrics"].keys()
    events = EventAccumulator(str(tmp_path / "r"))
    events.Reload()
    tags = events.Tags()["scalars"]
    assert {"roc_auc/validation", "f1/validation", "best/validation_roc_auc", "test/mcc"} <= {*tags}
    curve = [event.value for event in events.Scalars("roc_auc/validation")]
    first = np.mean([line["val_roc_auc"] for line in lines if line["epoch"] == 1])
    assert len(curve) == 4 and curve[0] == pytest.approx(first, rel=1e-6)


def test_several_runs_are_ranked_by_their_metric(table, tmp_path, capfd):
    sweep = f"hydra.sweep.dir={tmp_path}/m"
    assert run("train", "-m", *table, "metric=roc_auc", "epochs=4", "optimizer.lr=1e-5,1e-2,1e-1", sweep) == 0
    out = capfd.readouterr().out
    assert "largest validation ROC AUC so far" in out and "the best first: largest validation ROC AUC" in out
    runs = json.loads((tmp_path / "m/comparison.json").read_text())
    means = [run["metrics"]["val_roc_auc"]["mean"] for run in runs]
    assert means == sorted(means, reverse=True) and len(set(means)) > 1


def test_a_sweep_by_a_metric_is_resumed_and_refined(table, tmp_path, capfd):
    words = [*table, "metric=roc_auc", "epochs=4", "trials=4", "optimizer.lr=tag(log,interval(1e-5,1e-1))"]
    assert run("sweep", *words, "report=false", "pruner=halving", f"hydra.run.dir={tmp_path}/s") == 0
    assert "largest ROC AUC" in capfd.readouterr().out
    assert run("sweep", f"resume={tmp_path}/s", "trials=6") == 0
    with (tmp_path / "s/trials.csv").open(newline="") as file:
        trials = list(csv.DictReader(file))
    complete = {float(trial["roc_auc"]) for trial in trials if trial["state"] == "complete"}
    sweep = json.loads((tmp_path / "s/sweep.json").read_text())
    assert len(trials) == 6 and sweep["best"]["values"] == [max(complete)]
    assert sweep["compared"]["metric"] == "val_roc_auc"
    summary = json.loads((tmp_path / "s/best/summary.json").read_text())
    assert summary["metrics"]["val_roc_auc"]["mean"] == max(complete)
    capfd.readouterr()
    assert run("sweep", f"refine={tmp_path}/s", "trials=2", "plan=true", f"hydra.run.dir={tmp_path}/t") == 0
    assert "largest ROC AUC" in capfd.readouterr().out


@pytest.mark.parametrize("classes", [3, 20, 21])
def test_evaluate_prints_each_of_a_few_classes(classes, tmp_path, capfd):
    labels = [f"kind {i}" for i in range(classes)]
    table = write_table(tmp_path / "t.csv", labels, np.full(classes, 1 / classes), 60 * classes)
    assert run("train", *table, "epochs=3", f"hydra.run.dir={tmp_path}/r") == 0
    capfd.readouterr()
    assert run("evaluate", f"{tmp_path}/r", f"{tmp_path}/t.csv", f"hydra.run.dir={tmp_path}/e") == 0
    out = capfd.readouterr().out
    test = json.loads((tmp_path / "e/evaluation.json").read_text())["test"]
    assert ("precision" in out) == (classes <= 20)
    lines = {line[2:].partition("  ")[0]: line.split() for line in out.splitlines() if "kind" in line}
    for i, label in enumerate(test["classes"] if classes <= 20 else ()):
        _, _, examples, _, recall, f1 = lines[label]
        assert (examples, recall) == (f"{test['support'][i]:,}", f"{test['recall'][i]:.2%}")
        assert f1 == f"{test['f1_each'][i]:.2%}"


@pytest.mark.parametrize("words, sentence", [
    (["train", "metric=acuracy"], "did you mean 'accuracy'?"),
    (["train", "metrics=[auc]"], "did you mean 'roc_auc'?"),
    (["train", "metric=r2"], "is for numbers as targets, but data 'digits' has 10 classes; allowed"),
    (["train", "metric=f1"], "is for 2 classes, but data 'digits' has 10 classes; allowed with them: val"),
    (["train", "data=diabetes", "metrics=roc_auc"], "is for classes, but data 'diabetes' has numbers"),
    (["sweep", "objective=mape"], "objective = 'mape' is for numbers as targets"),
    (["train", "split=none", "metric=last", "metrics=accuracy"], "which metrics=accuracy needs"),
    (["check", "metric=r2"], "is for numbers as targets"),
])  # fmt: skip
def test_what_is_wrong_is_one_sentence(words, sentence, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert run(*words) == 2
    err = capfd.readouterr().err
    assert sentence in err and len(err.splitlines()) == 1 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", METRICS)
def test_labels_fit_their_columns(name):
    assert len(short_label(f"val_{name}")) <= 10 and "_" not in metric_label(f"test_{name}", "")
    assert {*SHORT_LABELS} <= {*METRICS}
