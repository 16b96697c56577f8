"""The lecture's experiments on model selection show the effects that their files describe."""

import csv
from statistics import median

import pytest

from nnlab.cli import main
from nnlab.records.stored_run import StoredRun

UNSEEN = ["show=[]", "picture=false"]  # test_lecture_pictures.py draws them


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """The trials of each sampler in lecture/search, of one seed."""
    folder = tmp_path_factory.mktemp("searched")
    words = ["experiment=lecture/search", "space=rate_and_penalty", "sampler=grid,random,gp"]
    assert main(["sweep", *words, "seeds=1", "report=false", f"hydra.run.dir={folder / 'all'}"]) == 0
    files = {sampler: folder / "all" / sampler / "trials.csv" for sampler in ("grid", "random", "gp")}
    return {sampler: list(csv.DictReader(file.read_text().splitlines())) for sampler, file in files.items()}


def test_a_grid_tries_few_learning_rates_and_random_search_many(searched):
    rates = {sampler: {row["optimizer.lr"] for row in rows} for sampler, rows in searched.items()}
    assert {sampler: len(rows) for sampler, rows in searched.items()} == {"grid": 64, "random": 64, "gp": 64}
    assert (len(rates["grid"]), len(rates["random"])) == (8, 64)


def test_bayesian_search_begins_at_random_and_then_stays_where_the_loss_is_low(searched):
    assert searched["gp"][:16] == searched["random"][:16]
    later = {s: median(float(row["val_loss"]) for row in rows[16:]) for s, rows in searched.items()}
    assert later["gp"] < 0.8 * later["random"]
    best = {s: min(float(row["val_loss"]) for row in rows) for s, rows in searched.items()}
    assert max(best["gp"], best["random"]) < best["grid"]


def means(folder, name):
    """Width -> the mean of a metric."""
    runs = [StoredRun(file.parent) for file in folder.glob("*/summary.json")]
    return {run.settings["model"]["hidden"][0]: run.summary["metrics"][name]["mean"] for run in runs}


def test_the_validation_loss_depends_on_the_fold(tmp_path, capsys):
    assert main(["train", "experiment=lecture/folds", f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    losses = StoredRun(tmp_path / "run").curves("val_loss")[:, -1]
    assert losses.shape == (5,) and losses.max() > 3 * losses.min()
    assert (tmp_path / "run" / "curves.png").exists() and "look at" in capsys.readouterr().out


def test_a_middling_size_is_best_on_new_examples(tmp_path):
    words = ["experiment=lecture/model_size", "model.hidden=[1],[4],[16]", "seeds=2", "epochs=1200"]
    assert main(["train", *words, *UNSEEN, f"hydra.run.dir={tmp_path / 'runs'}"]) == 0
    train, test = (means(tmp_path / "runs", f"{name}") for name in ("train_error", "test_rmse"))
    assert train[1] > train[4] > train[16]
    assert test[1] > 1.2 * test[4] and test[16] > 1.03 * test[4]


def test_past_the_interpolation_threshold_wider_is_better(tmp_path):
    """A tenth of the examples, which 20 units just learn by heart: the second descent begins there."""
    words = ["experiment=lecture/double_descent", "data.label_noise=0.135", "seeds=2", "epochs=200"]
    shorter = ["data.n=1600", "batch_size=100", "model.hidden=[4,4],[20,20],[100,100]"]
    assert main(["train", *words, *shorter, *UNSEEN, f"hydra.run.dir={tmp_path / 'runs'}"]) == 0
    train, test = (means(tmp_path / "runs", name) for name in ("train_error", "test_error"))
    assert train[4] > 0.4 and train[20] < 0.02 and train[100] == 0
    assert test[20] > test[100] + 0.03
