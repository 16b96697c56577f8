"""Each experiment of configs/experiment/lecture shows the effect that its file describes."""

import json
from statistics import NormalDist

import numpy as np
import pytest

import nnlab
from nnlab.cli import main
from nnlab.data.sources import Noise, Words
from nnlab.pictures.base import ShownRun, shown_runs
from nnlab.pictures.dropout_passes import shown_passes
from nnlab.pictures.effective_penalty import penalized
from nnlab.pictures.gradient_noise import measure
from nnlab.pictures.penalty import kind
from nnlab.records.stored_run import StoredRun
from nnlab.streams import stream

UNSEEN = ["show=[]", "picture=false"]  # test_lecture_pictures.py draws them


@pytest.fixture
def lecture(tmp_path, monkeypatch):
    """Run `experiment=lecture/<name>`; the folder of the run, or of the sweep."""

    def run(name, *overrides):
        monkeypatch.chdir(tmp_path)
        assert main(["train", f"experiment=lecture/{name}", *overrides]) == 0
        (folder,) = (tmp_path / "outputs" / "train").iterdir()
        return folder

    return run


def summary(folder):
    return StoredRun(folder).summary["metrics"]


def last(folder):
    """The metrics of the last epoch, of the last row."""
    run = StoredRun(folder)
    return {name: run.curves(name)[-1, -1] for name in run.metrics}


def comparison(folder):
    assert (folder / "comparison.png").read_bytes().startswith(b"\x89PNG")
    rows = json.loads((folder / "comparison.json").read_text())
    return {row["run"]: row["metrics"] for row in rows}


def runs_of(folder):
    """The runs of a sweep, by what they override."""
    paths = sorted(path.parent for path in folder.rglob("summary.json"))
    return {path.name.partition("_")[2]: StoredRun(path) for path in paths}


def test_linear_regression_finds_the_line(lecture, capsys):
    weights = StoredRun(lecture("linear_regression")).weights[0]
    header, *lines = capsys.readouterr().out.splitlines()[1:13]
    shown = {line.split()[0]: line.split()[5:7] for line in lines}
    assert header.split()[-3:] == ["W", "b", "time"]
    assert [*shown] == ["1", *map(str, range(21, 202, 20))]  # every 20 steps, as the slide's program
    assert shown["21"] == ["0.1226", "0.2893"] and shown["201"] == ["0.1000", "0.3000"]
    assert weights["output.weight"] == pytest.approx(0.1, abs=1e-4)
    assert weights["output.bias"] == pytest.approx(0.3, abs=1e-4)


def slide(x, y, w, b, steps, lr=0.1):
    """The slide's program in numpy: w, b and, of every step, the cross-entropy before it."""
    losses = []
    for _ in range(steps):
        z = x @ w + b
        p = 1 / (1 + np.exp(-z))
        losses.append(np.mean(np.logaddexp(0, z) - y * z))  # -y log p - (1 - y) log(1 - p)
        w, b = w - lr * (x.T @ (p - y) / len(y) + 0.02 * w), b - lr * np.mean(p - y)
    return w, b, losses


START = stream(0, "init", "output.weight").standard_normal(784)


def noise():
    data = Noise().load()
    assert data.x.shape == (400, 784) and set(data.y) == {0, 1}
    return data.x, data.y


def test_logistic_regression_takes_the_slides_steps(lecture):
    """From the same weights N(0, 1) and b = 0, in float64: the same losses, w and b."""
    folder = lecture("logistic_regression", "epochs=300", "dtype=float64", *UNSEEN)
    x, y = noise()
    w, b, losses = slide(x, y, START, 0.0, 300)
    run = StoredRun(folder)
    assert run.weights[0]["output.weight"].ravel() == pytest.approx(w, abs=1e-11)
    assert run.weights[0]["output.bias"].item() == pytest.approx(b, abs=1e-11)
    assert run.curves("train_loss")[0].tolist() == pytest.approx(losses, abs=1e-11)
    assert last(folder)["penalty"] == pytest.approx(0.01 * np.sum(w**2))


def test_logistic_regression_fits_the_noise(lecture):
    """A quarter of its 10,000 steps, for time: the rest takes the loss from 0.0488 to 0.0488."""
    folder = lecture("logistic_regression", "epochs=2500", *UNSEEN)
    x, y = noise()
    w, _, losses = slide(x, y, START, 0.0, 2500)
    end = last(folder)
    assert end["train_loss"] == pytest.approx(losses[-1], abs=1e-5) == pytest.approx(0.0488, abs=1e-4)
    assert end["train_error"] == 0
    _, _, later = slide(x, y, w, 0.0, 7500)
    assert later[-1] == pytest.approx(losses[-1], abs=1e-4)
    fresh = Noise(seed=1, n=4000).load()
    assert 0.45 < np.mean((fresh.x @ w > 0) == fresh.y) < 0.55


def test_batches_are_quicker_and_larger_and_less_noisy(lecture):
    folder = lecture("batch_size", "epochs=2")
    runs = runs_of(folder)
    speed, memory = (
        {name.removeprefix("batch_size="): run.speed[key] for name, run in runs.items()}
        for key in ("examples_per_second", "tensor_bytes")
    )
    assert speed["64"] > 3 * speed["1"] and speed["16"] > 2 * speed["1"]
    assert memory["full"] > 2 * memory["256"] / 1.5 > 2 * memory["16"] / 1.5
    noise = measure(ShownRun("", runs["batch_size=full"]), [4, 64, 256])
    assert noise.noise[4] / noise.noise[64] == pytest.approx(4, rel=0.2)
    assert (folder / "batches.png").read_bytes().startswith(b"\x89PNG")


def test_early_stopping_does_not_learn_wrong_labels(lecture, tmp_path):
    folder = lecture("early_stopping")
    (row,) = StoredRun(folder).rows
    assert row["best_epoch"] < 15 and row["epochs"] == row["best_epoch"] + 20
    assert row["test"]["accuracy"] > 0.91
    assert (folder / "curves.png").exists()
    folder.rename(tmp_path / "stopped")
    (to_the_end,) = StoredRun(lecture("early_stopping", "stopping=none", "metric=last", *UNSEEN)).rows
    assert to_the_end["best"]["train_error"] < 0.01 and to_the_end["test"]["accuracy"] < 0.86


def test_every_decay_settles_where_a_constant_rate_bounces(lecture):
    folder = lecture("schedules", "seeds=3", *UNSEEN)
    loss = {name.removeprefix("schedule="): run.curves("val_loss") for name, run in runs_of(folder).items()}
    last = {name: curves[:, -10:] for name, curves in loss.items()}
    constant = last.pop("constant")
    assert {*last} == {"step", "exponential", "inverse_time", "cosine"}
    assert max(values.mean() for values in last.values()) < 0.95 * constant.mean()
    assert max(np.ptp(values, axis=1).max() for values in last.values()) < np.ptp(constant, axis=1).min()


def test_halving_helps_and_going_back_freezes(lecture, capsys):
    folder = lecture("halving", *UNSEEN)
    runs = {name.removeprefix("schedule="): run for name, run in runs_of(folder).items()}
    error = {name: run.curves("val_error")[0] for name, run in runs.items()}
    assert error["halve_on_rise"][-1] < 0.03 < error["halve_and_go_back"][-1] < error["constant"][-5:].min()
    rates = runs["halve_and_go_back"].summary["learning_rate"]
    assert rates["went_back_after"] == [3, 4, 5, *range(7, 31)]
    assert rates["halved"] and rates["lowered_after"] == rates["went_back_after"][:-1]  # after 30 nothing is
    assert runs["halve_on_rise"].summary["learning_rate"]["lowered_after"] == [3, 5, 22]
    assert "learning_rate" not in runs["constant"].summary
    screen = " ".join(capsys.readouterr().out.split())
    assert "halve_and_go_back: nothing changed in the last 12 epochs: the learning rate fell to" in screen


def test_going_back_is_the_only_one_that_survives_too_large_a_rate(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["train", "experiment=lecture/halving", "optimizer.lr=1", "show=[]", "hydra.sweep.dir=runs"]
    assert main(words) == 1
    status = {name: run.rows[0]["status"] for name, run in runs_of(tmp_path / "runs").items()}
    assert [*status.values()] == ["diverged", "diverged", "finished"]
    (survivor,) = [run for run in runs_of(tmp_path / "runs").values() if run.rows[0]["status"] == "finished"]
    assert survivor.rows[0]["test"]["accuracy"] > 0.93


def test_mlp_recognises_digits(lecture):
    assert summary(lecture("mlp"))["test_accuracy"]["mean"] > 0.95


def test_mlp_dropout_prints_what_the_slides_program_prints(lecture, capsys):
    """Loss and accuracy of every epoch, and of the test set."""
    lecture("mlp_dropout")
    _, header, *lines = capsys.readouterr().out.splitlines()
    assert "train loss" in header and "accuracy" in header
    assert [line.split()[0] for line in lines[:20]] == [*map(str, range(1, 21))]
    assert {"test loss", "test accuracy"} <= {line[2:].partition("  ")[0] for line in lines}


def test_mlp_dropout_has_the_slides_numbers_and_learns(lecture):
    folder = lecture("mlp_dropout", "seeds=5")
    weights = StoredRun(folder).weights[0]
    shapes = [weights[f"{name}.weight"].shape for name in ("hidden1", "hidden2", "output")]
    assert shapes == [(64, 20), (64, 64), (2, 64)]
    assert last(folder)["lr"] == pytest.approx(0.1 / (1 + 1e-6 * (20 * 38 - 1)))
    best = NormalDist().cdf(4 / 2)  # of any classifier, on data without end
    assert best - 0.02 < summary(folder)["test_accuracy"]["mean"]


def test_mlp_dropout_on_digits_has_a_rate_that_works(lecture):
    folder = lecture("mlp_dropout_digits", "seeds=3")
    end = last(folder)
    assert end["train_error"] > end["val_error"]
    assert summary(folder)["test_accuracy"]["mean"] > 0.94


def test_an_experiment_takes_other_data(lecture):
    """Its keys for its own data, as data.separation here, go with them."""
    folder = lecture("mlp_dropout", "data=digits", "epochs=1")
    run = StoredRun(folder)
    assert "experiment=lecture/mlp_dropout data=digits" in run.command
    assert run.weights[0]["output.weight"].shape == (10, 64)


def test_optimizers_beside_each_other(lecture):
    best = comparison(lecture("optimizers", "show=[]"))
    loss = {name.removeprefix("optimizer="): metrics["val_loss"] for name, metrics in best.items()}
    assert set(loss) >= {"sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam"}
    assert all(metric["n"] == 10 for metric in loss.values())
    assert max(loss["momentum"]["mean"], loss["nesterov"]["mean"], loss["adam"]["mean"]) < loss["sgd"]["mean"]


def test_initialization_beside_each_other(lecture):
    metrics_of_run = comparison(lecture("initialization", "seeds=2", "show=[]"))
    error = {
        name.removeprefix("init="): metrics["val_error"]["mean"] for name, metrics in metrics_of_run.items()
    }
    assert error["zeros"] > 0.85 and error["normal"] > 0.85
    assert max(error["glorot_uniform"], error["glorot_normal"], error["orthogonal"]) < 0.06


def test_weights_too_small_right_and_too_large(lecture):
    metrics_of_run = comparison(lecture("initial_scale", "seeds=2", "epochs=5", "show=[]"))
    error = {
        float(name.removeprefix("init.std=")): metrics["val_error"]["mean"]
        for name, metrics in metrics_of_run.items()
    }
    assert error[0.01] > 0.85 and error[3.0] > 0.6 and error[1.0] > 0.3
    assert min(error, key=error.get) == 0.12 and error[0.12] < 0.1


def test_normalisation_by_the_training_set(lecture):
    """The slide's command, shorter; of one learning rate and as many epochs."""
    error = {}
    for method in ("none", "minmax", "standard"):
        fit = nnlab.fit(nnlab.Experiment(data=nnlab.Wine(normalization=method), epochs=20, seeds=3))
        error[method] = np.mean([record.val_error.mean() for record in fit if record.epoch == 20])
    assert error["standard"] < 0.08 and error["none"] > 0.3 and error["standard"] < error["minmax"]


def test_batch_normalisation_lets_sigmoids_learn(lecture):
    metrics_of_run = comparison(lecture("batch_norm", "seeds=2", "epochs=12", "show=[]"))
    none, batch = (
        metrics_of_run[f"model.normalization={name}"]["val_error"]["mean"] for name in ("none", "batch")
    )
    assert none > 0.1 and batch < 0.05


def test_poolings_beside_each_other(lecture):
    """A third of its epochs and two seeds, for time."""
    metrics_of_run = comparison(lecture("pooling", "epochs=20", "seeds=2", "show=[]"))
    accuracy = {
        name.removeprefix("model.pooling="): metrics["test_accuracy"]["mean"]
        for name, metrics in metrics_of_run.items()
    }
    assert set(accuracy) == {"none", "stride", "max", "average", "l2", "stochastic"}
    without = max(accuracy.pop("none"), accuracy.pop("stride"))
    assert min(accuracy.values()) > without + 0.03


def test_l2_shrinks_weights_and_l1_makes_them_zero(lecture):
    """A seventh of its epochs, for time."""
    folder = lecture("l1_l2", "epochs=45")
    entry = {path.name[2:]: StoredRun(path).summary["weights"] for path in folder.glob("[0-9]_*")}
    norm, zeros = (
        {name: e["metrics"][metric]["mean"] for name, e in entry.items()}
        for metric in ("weight_norm", "zero_weights")
    )
    none, l2, l1, both = sorted(entry)
    assert norm[l2] < 0.8 * norm[none] and norm[l1] < norm[none]
    assert zeros[none] == zeros[l2] == 0 and zeros[l1] > 0.15 < zeros[both]
    assert (folder / "weights.png").exists()


def test_dropped_units_give_nothing_and_get_no_gradient(lecture):
    (run,) = shown_runs({"": lecture("dropout_masks", "epochs=10")})
    inputs, hidden = shown_passes(run).boxes
    first, second, _, test = hidden.passes
    assert (inputs.p, hidden.p) == (0.2, 0.5) and inputs.shape == (1, 8, 8)
    assert (first.mask != second.mask).any() and (test.mask == 1).all()
    for value in (first, second):
        dropped = value.mask == 0
        assert 16 < dropped.sum() < 48
        assert not value.y[dropped].any() and not value.dx[dropped].any() and value.dx[~dropped].any()
    assert (run.stored.path / "masks.png").exists()


def test_the_best_rate_of_dropout_lies_in_the_middle(lecture):
    """Fewer epochs, one seed and three of its rates, for time."""
    short = ["epochs=40", "seeds=1", "regularizer.dropout=0,0.6,0.95", "show=[]"]
    metrics_of_run = comparison(lecture("dropout_rates", *short))
    loss, train_error = (
        [metrics_of_run[f"regularizer.dropout={p}"][name]["mean"] for p in (0, 0.6, 0.95)]
        for name in ("test_loss", "train_error")
    )
    assert loss[1] < 0.85 * loss[0] and loss[1] < 0.9 * loss[2]
    assert train_error[0] < 0.02 < train_error[1] < 0.5 < train_error[2]


def test_dropconnect_drops_weights(lecture):
    (run,) = shown_runs({"": lecture("dropconnect", "epochs=10")})
    (weights,) = shown_passes(run).boxes
    first, _, mean, test = weights.passes
    assert weights.kind == "weights" and weights.shape == run.stored.weights[0]["hidden1.weight"].shape
    assert 0.45 < (first.mask == 0).mean() < 0.55 and not first.dx[first.mask == 0].any()
    closer = [np.abs(value.y - test.y).mean() for value in (mean, first)]
    assert closer[0] < 0.5 * closer[1]


def test_dropout_of_inputs_penalises_rare_words_less(lecture):
    """The best of its strengths, fewer of its splits and epochs, for time."""
    strengths = ["regularizer.l2=0,0.001", "regularizer.input_dropout=0,0.4"]
    folder = lecture("dropout_adaptive", "epochs=60", "split.repeats=3", *strengths)
    runs = [penalized(run) for run in shown_runs({path.name: path for path in folder.glob("[0-9]_*")})]
    l2, dropout = (next(run for run in runs if kind(run) == name) for name in ("l2", "dropout"))
    frequencies = Words().frequencies()
    assert np.corrcoef(dropout.mean_square, frequencies)[0, 1] > 0.98
    rare, common = frequencies < 0.05, frequencies > 0.2
    assert dropout.size[rare].mean() > 2 * l2.size[rare].mean()
    assert 10 * dropout.dropout[rare].mean() < dropout.dropout[common].mean()
    assert not l2.dropout.any() and l2.test_losses.keys() == dropout.test_losses.keys()
    assert all(dropout.test_losses[row] < 0.7 * l2.test_losses[row] for row in l2.test_losses)
    best_l2 = l2.metrics["test_loss"]["low"]
    assert dropout.metrics["test_loss"]["high"] < best_l2
    assert (folder / "penalty.png").exists()


def test_wide_networks_follow_the_sine_and_narrow_ones_cannot(lecture):
    folder = lecture("universal_approximation", "model.hidden=[1],[16]", "seeds=2", "epochs=300", "show=[]")
    rmse = {run: metrics["test_rmse"]["mean"] for run, metrics in comparison(folder).items()}
    one, sixteen = (rmse[f"model.hidden=[{width}]"] for width in (1, 16))
    assert one > 0.7 and 0.2 < sixteen < 0.35  # the noise has 0.2, a constant sqrt(1/2 + 0.04) = 0.73


def test_wide_networks_follow_spirals_and_narrow_ones_cannot(lecture):
    folder = lecture(
        "boundaries", "data=spirals", "model.hidden=[2],[64]", "seeds=2", "epochs=200", "show=[]"
    )
    accuracy = {run: metrics["test_accuracy"]["mean"] for run, metrics in comparison(folder).items()}
    assert accuracy["model.hidden=[2]"] < 0.8 and accuracy["model.hidden=[64]"] > 0.97
