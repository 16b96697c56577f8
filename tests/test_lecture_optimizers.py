"""The lecture's experiments on optimisers show what their captions say."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from networks import one_thread  # noqa: F401

import nnlab
from nnlab import Experiment
from nnlab.commands import multirun
from nnlab.commands.command_keys import experiment_settings
from nnlab.commands.parsing import parse_command_line


@cache
def experiments_of(name) -> list[Experiment]:
    """What `nnlab train experiment=lecture/<name>` trains."""
    line, _ = parse_command_line("train", [f"experiment=lecture/{name}"])
    settings = [experiment_settings(run.settings, "train") for run in multirun.composed_runs(line)]
    return [Experiment.from_config(each) for each in settings]


def curves_of(name, **changes):
    """Trains it without folders: of each run its optimiser, and a function from the name of a curve to the
    curve, (seeds, epochs)."""
    experiments = [replace(e, **changes) for e in experiments_of(name)]
    fit = nnlab.fit(*experiments).run()

    def curves(number):
        return lambda curve: fit.curves(curve)[fit.experiment_of_row == number]

    return [(e.optimizer, curves(number)) for number, e in enumerate(experiments)]


def path(curves) -> tuple[np.ndarray, np.ndarray]:
    """Slope and intercept after each epoch."""
    return curves("theta/output.weight[0,0]")[0], curves("theta/output.bias[0,0]")[0]


def test_paths_in_a_ravine():
    runs, best = curves_of("ravine"), {}
    assert len(runs) == 42
    for optimizer, curves in runs:
        losses = np.nan_to_num(curves("train_loss")[0], nan=np.inf)
        if losses.mean() < best.get(optimizer.name, (np.inf,))[0]:
            best[optimizer.name] = losses.mean(), optimizer.lr, losses[-1], *path(curves)
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


def test_in_a_turned_ravine_a_rate_for_each_parameter_helps_less():
    last = {}
    for optimizer, curves in curves_of("ravine", data=nnlab.Ravine(angle=45.0)):
        losses = np.nan_to_num(curves("train_loss")[0], nan=np.inf)
        last[optimizer.name] = min(last.get(optimizer.name, (np.inf,)), (losses.mean(), losses[-1]))
    last = {name: loss for name, (_, loss) in last.items()}
    assert min(last, key=last.get) == "nesterov" and max(last, key=last.get) == "adagrad"
    assert last["nesterov"] == pytest.approx(3e-5, rel=0.1) and last["adagrad"] == pytest.approx(
        0.1, rel=0.02
    )


def test_adagrads_step_vanishes_and_rmsprops_is_steady():
    runs = {o.name: curves for o, curves in curves_of("effective_step", epochs=160, seeds=3)}
    step = {name: curves("effective_step").mean(0) for name, curves in runs.items()}
    assert step["adagrad"][0] > 7 * step["adagrad"][150:].mean()
    rate = np.log(step["adagrad"][150:].mean() / step["adagrad"][10:20].mean()) / np.log(155 / 15)
    assert -0.6 < rate < -0.4  # as the root of the number of steps
    early, late = (step["rmsprop"][start : start + 60].mean() for start in (40, 100))
    assert 0.7 < late / early < 1.4 and early > 5 * step["rmsprop"][0]
    loss = {name: curves("train_loss").mean(0) for name, curves in runs.items()}
    assert loss["rmsprop"][30] < 4.5 and loss["adagrad"][-1] > 6 * loss["rmsprop"][-1]


def test_bias_correction_shortens_the_first_steps():
    runs = {o.bias_correction: curves for o, curves in curves_of("bias_correction")}
    with_it, without = (runs[key]("update_norm")[0] for key in (True, False))
    assert with_it[0] == pytest.approx(0.1 * np.sqrt(2), rel=1e-4)  # lr in each parameter
    assert without[0] / with_it[0] == pytest.approx(0.1 / np.sqrt(0.001), rel=1e-3)
    assert without[2] / with_it[2] == pytest.approx(4.5, abs=0.05)
    assert path(runs[True])[1].max() < 1.3 < 2.5 < path(runs[False])[1].max()


def test_adam_goes_uphill_and_amsgrad_does_not():
    runs = {(o.name, o.beta2): curves for o, curves in curves_of("amsgrad", epochs=40)}
    slope = {key: path(curves)[0][-10:] for key, curves in runs.items()}
    assert (slope.pop(("adam", 0.9)) > 0.8).all()
    assert len(slope) == 3 and all((values < -0.85).all() for values in slope.values())
    at_zero = (49 * 1 + 100) / 50  # the loss of the start
    losses = {name: runs[name, 0.9]("train_loss")[0, -1] for name in ("adam", "amsgrad")}
    assert losses["adam"] > at_zero + 0.8 and losses["amsgrad"] < at_zero - 0.8
