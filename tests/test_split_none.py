"""split=none: every example trains, and what needs a validation set is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from datafiles import WRITERS
from networks import one_thread  # noqa: F401

import nnlab
from nnlab import Experiment, HalveOnRise, NoSplit, Patience, ReduceOnPlateau
from nnlab.cli import main
from nnlab.data.sources import SOURCES
from nnlab.errors import UserError
from nnlab.training.training import Training

NONE = Experiment(split=NoSplit(), metric="last", epochs=3)
LINE = ["split=none", "metric=last", "epochs=3"]


def trained(*experiments):
    run = nnlab.fit(*experiments)
    return list(run), run


@pytest.mark.parametrize("name", ["digits", "diabetes", "noise"])
def test_every_example_trains(name):
    records, run = trained(replace(NONE, data=SOURCES[name](), histograms=1, seeds=2))
    (row, _), n = run.rows, len(run.datasets[SOURCES[name]()].x)
    assert row.fold.train.tolist() == list(range(n))
    assert not len(row.fold.validation) and not len(row.fold.test)
    for record in records:
        assert not [metric for metric in record.metrics if metric.startswith("val")]
        units = record.histograms["activations/relu1"].counts.sum(1)
        assert (units == 64 * n).all()  # of every training example, without dropout
    for result in run.results:
        assert result.best_epoch == 3 and result.test == {} and result.status == "finished"


def test_it_is_what_a_refit_trains():
    """The same examples in the same order: the same weights, bit for bit, though nobody looks on."""
    _, run = trained(replace(NONE, batch_size="full", threads=1))
    row, result = run.rows[0], run.results[0]
    everything = replace(row.fold, validation=row.fold.train[:100])
    watched = replace(row, experiment=replace(row.experiment, split=nnlab.Holdout()), fold=everything)
    training, results = Training([watched], run.cache.examples(watched).without_caches(), 1), []
    while len(training):
        _, results = training.epoch()
    for name, weights in result.weights.items():
        assert weights.tobytes() == results[0].weights[name].tobytes()


def test_a_test_set_that_comes_with_the_data_is_kept(tmp_path):
    settings = WRITERS["idx"](tmp_path)
    data = SOURCES["idx"](**settings)
    _, run = trained(replace(NONE, data=data))
    dataset, fold = run.datasets[data], run.rows[0].fold
    assert np.array_equal(fold.test, dataset.test) and len(fold.train) + len(fold.test) == len(dataset.x)
    assert 0 <= run.results[0].test["accuracy"] <= 1


@pytest.mark.parametrize("changes, message", [
    (dict(metric="val_loss"), "metric=val_loss needs; allowed with it: metric=last"),
    (dict(metric="val_error"), "metric=val_error needs; allowed with it: metric=last"),
    (dict(stopping=Patience()), "stopping=patience needs; allowed with it: stopping=none"),
    (dict(schedule=HalveOnRise()), "schedule=halve_on_rise needs; allowed with it: schedule=constant"),
    (dict(schedule=ReduceOnPlateau()), "schedule=reduce_on_plateau needs"),
    (dict(refit=True), "refit=true needs; allowed with it: refit=false"),
    (
        dict(metric="val_loss", refit=True),
        "metric=val_loss and refit=true need; allowed with it: metric=last refit=false",
    ),
])  # fmt: skip
def test_what_needs_a_validation_set_is_refused(changes, message):
    with pytest.raises(UserError, match="split=none holds back no validation examples") as error:
        replace(NONE, **changes)
    assert message in str(error.value)


def test_it_trains_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *LINE, "picture=true"]) == 0
    (folder,) = (tmp_path / "outputs" / "train").iterdir()
    stdout = capsys.readouterr().out
    assert "validation" not in stdout and "test" not in stdout and "training loss" in stdout
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert all("val_loss" not in line and line["train_loss"] > 0 for line in lines)
    assert set(json.loads((folder / "summary.json").read_text())["metrics"]) == {"train_loss", "train_error"}
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_runs_that_hold_nothing_back_are_compared_by_training(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "-m", *LINE, "optimizer.lr=1e-5,0.01"]) == 0
    (folder,) = (tmp_path / "outputs" / "train").iterdir()
    rows = json.loads((folder / "comparison.json").read_text())
    assert [row["run"] for row in rows] == ["optimizer.lr=0.01", "optimizer.lr=1e-05"]
    assert "training loss" in capsys.readouterr().out
    assert main(["train", "-m", "metric=last", "epochs=2", "split=holdout,none"]) == 0
    table = capsys.readouterr().out
    assert "validation loss" in table and "split=none" in table


def test_sweeps_minimise_the_training_loss(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = ["sweep", *LINE, "trials=4", "data=iris", "sampler=random"]
    assert main(small) == 2
    assert "objective=val_loss is measured on validation examples" in capsys.readouterr().err
    assert main([*small, "objective=train_loss"]) == 0
    stdout = capsys.readouterr().out
    assert "training loss" in stdout or "train_loss" in stdout
    (page,) = (tmp_path / "outputs" / "sweep").glob("*/report.html")
    assert "training loss" in page.read_text()


@pytest.mark.parametrize("data", ["wine", "diabetes"])
def test_every_rung_of_check_takes_it(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    budget = "check.seeds=2", "check.rates=16", "check.rate_seeds=1", "check.rate_steps=50", "check.steps=200"
    assert main(["check", *LINE, *budget, "picture=false", "epochs=50", f"data={data}"]) in (0, 1)
    captured = capsys.readouterr()
    assert "determinism" in captured.out and not captured.err
