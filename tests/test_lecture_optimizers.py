"""The lecture's experiments on optimisers show what their captions say."""

import json

import numpy as np
import pytest

from nnlab.cli import main
from nnlab.records.stored_run import StoredRun


@pytest.fixture(scope="module")
def runs_of(tmp_path_factory):
    """Run `experiment=lecture/<name>`: its runs, by the values that they differ in."""

    def run(name, *overrides):
        folder = tmp_path_factory.mktemp(name)
        line = [f"experiment=lecture/{name}", *overrides, "predictions=false", f"hydra.sweep.dir={folder}"]
        assert main(["train", *line]) == 0
        folders = json.loads((folder / "runs.json").read_text())["runs"]
        keys = {tuple(word.partition("=")[2] for word in each.split(",")): each for each in folders}
        return {key if len(key) > 1 else key[0]: StoredRun(folder / each) for key, each in keys.items()}

    return run


def path(run) -> tuple[np.ndarray, np.ndarray]:
    """Slope and intercept after each epoch."""
    return run.curves("theta/output.weight[0,0]")[0], run.curves("theta/output.bias[0,0]")[0]


def test_paths_in_a_ravine(runs_of):
    runs, best = runs_of("ravine", "show=[]", "optimizer.lr=0.01,0.02,0.2,0.5,1"), {}
    for run in runs.values():
        name, lr = (run.settings["optimizer"][key] for key in ("name", "lr"))
        losses = np.nan_to_num(run.curves("train_loss")[0], nan=np.inf)
        if losses.mean() < best.get(name, (np.inf,))[0]:
            best[name] = losses.mean(), lr, losses[-1], *path(run)
    assert {name: lr for name, (_, lr, *_) in best.items()} == {
        "sgd": 0.02, "momentum": 0.01, "nesterov": 0.01, "adagrad": 1, "rmsprop": 0.2, "adam": 0.5,
    }  # fmt: skip
    slopes, intercepts = ({name: values[i] for name, values in best.items()} for i in (3, 4))
    assert (np.diff(np.sign(slopes["sgd"][:8] - 1)) != 0).all()  # from wall to wall
    assert abs(slopes["sgd"][20] - 1) < 0.01 and intercepts["sgd"][20] < 0  # and then along the floor
    assert intercepts["sgd"].max() < 1 < 1.9 < intercepts["momentum"].max()
    swings = {name: abs(slope[5:30] - 1).max() for name, slope in slopes.items()}
    assert swings["nesterov"] < 0.02 and swings["momentum"] > 0.4
    assert intercepts["nesterov"].max() > 1.9  # past the end too
    last = {name: values[2] for name, values in best.items()}
    assert last["adagrad"] < 1e-6 and last["sgd"] > max(last["momentum"], last["nesterov"], last["adam"])
    assert abs(slopes["rmsprop"][-10:] - 1).max() > 0.02 > abs(intercepts["rmsprop"][-1] - 1)


def test_adagrads_step_vanishes_and_rmsprops_is_steady(runs_of):
    runs = runs_of("effective_step", "show=[]", "epochs=160", "seeds=3")
    step = {name: run.curves("effective_step").mean(0) for name, run in runs.items()}
    assert step["adagrad"][0] > 7 * step["adagrad"][150:].mean()
    rate = np.log(step["adagrad"][150:].mean() / step["adagrad"][10:20].mean()) / np.log(155 / 15)
    assert -0.6 < rate < -0.4  # as the root of the number of steps
    early, late = (step["rmsprop"][start : start + 60].mean() for start in (40, 100))
    assert 0.7 < late / early < 1.4 and early > 5 * step["rmsprop"][0]
    loss = {name: run.curves("train_loss").mean(0) for name, run in runs.items()}
    assert loss["rmsprop"][30] < 4.5 and loss["adagrad"][-1] > 6 * loss["rmsprop"][-1]


def test_bias_correction_shortens_the_first_steps(runs_of):
    runs = runs_of("bias_correction")
    with_it, without = (runs[key].curves("update_norm")[0] for key in ("True", "False"))
    assert with_it[0] == pytest.approx(0.1 * np.sqrt(2), rel=1e-4)  # lr in each parameter
    assert without[0] / with_it[0] == pytest.approx(0.1 / np.sqrt(0.001), rel=1e-3)
    assert without[2] / with_it[2] == pytest.approx(4.5, abs=0.05)
    assert path(runs["True"])[1].max() < 1.3 < 2.5 < path(runs["False"])[1].max()


def test_adam_goes_uphill_and_amsgrad_does_not(runs_of):
    runs = runs_of("amsgrad", "show=[]", "epochs=40")
    slope = {key: path(run)[0][-10:] for key, run in runs.items()}
    assert (slope.pop(("adam", "0.9")) > 0.8).all()
    assert len(slope) == 3 and all((values < -0.85).all() for values in slope.values())
    at_zero = (49 * 1 + 100) / 50  # the loss of the start
    losses = {name: runs[name, "0.9"].curves("train_loss")[0, -1] for name in ("adam", "amsgrad")}
    assert losses["adam"] > at_zero + 0.8 and losses["amsgrad"] < at_zero - 0.8
