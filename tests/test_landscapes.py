"""Data whose training loss over slope and intercept is known, and pictures of what optimisers do in it."""

import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread
from networks import one_thread  # noqa: F401

import nnlab
from nnlab import Experiment, Linear, NoSplit, RarePoints, Ravine, Regularizer, UserError
from nnlab.cli import main
from nnlab.pictures import picture
from nnlab.pictures.base import shown_runs
from nnlab.pictures.best_rates import at_best_rates
from nnlab.pictures.landscape import objective, paths
from nnlab.records.stored_run import StoredRun

START = nnlab.ConstantInit(value=0.2, bias=-3.0)
JOB = Experiment(
    data=Ravine(), model=Linear(), split=NoSplit(), init=START, metric="last", batch_size="full", epochs=20,
    regularizer=Regularizer(), dtype="float64", record=("theta", "effective_step"),
)  # fmt: skip
ANGLES = (0.0, 30.0, 45.0, -60.0, 89.0)


def second_moments(x: np.ndarray) -> np.ndarray:
    inputs = np.hstack([x, np.ones_like(x)])
    return inputs.T @ inputs / len(x)


@pytest.mark.parametrize("angle", ANGLES)
@pytest.mark.parametrize("n, condition", [(3, 1.0), (100, 40.0), (7, 1e4)])
def test_a_ravine_has_its_condition_and_its_angle(n, condition, angle):
    dataset = Ravine(n=n, condition=condition, angle=angle).load()
    np.testing.assert_allclose(dataset.y, dataset.x + 1)
    values, vectors = np.linalg.eigh(second_moments(dataset.x))
    assert values[1] / values[0] == pytest.approx(condition, rel=1e-6)
    if condition > 1:  # the floor, as (slope, intercept)
        floor = vectors[:, 0] * np.sign(vectors[1, 0])
        assert np.degrees(np.arctan2(-floor[0], floor[1])) == pytest.approx(angle, abs=1e-6)


def test_a_ravines_noise_is_drawn_by_its_seed():
    noisy = [Ravine(n=4000, noise=0.5, seed=seed).load() for seed in (0, 0, 1)]
    assert np.array_equal(noisy[0].y, noisy[1].y) and not np.array_equal(noisy[0].y, noisy[2].y)
    assert np.std(noisy[0].y - noisy[0].x) == pytest.approx(0.5, rel=0.05)


def test_gradient_descent_turns_with_the_ravine_and_adam_does_not():
    """From a start that turns with it: only what treats each parameter by itself depends on the axes."""

    def losses(optimizer, angle):
        data = Ravine(angle=angle)
        sin, cos = np.sin(np.radians(angle)), np.cos(np.radians(angle))
        scale = 1 / (
            data.condition * sin**2 + cos**2
        )  # of the loss, by which a rate and a loss are corrected
        start = np.array([1.0, 1.0]) + np.array([[cos, -sin], [sin, cos]]) @ [-0.8, -4.0]
        init = nnlab.ConstantInit(value=start[0], bias=start[1])
        rate = optimizer.lr / scale if optimizer.name in ("sgd", "momentum") else optimizer.lr
        e = replace(JOB, data=data, init=init, optimizer=replace(optimizer, lr=rate), epochs=40)
        return nnlab.fit(e).run().curves("train_loss")[0] / scale

    for optimizer in (nnlab.SGD(lr=0.02), nnlab.Momentum(lr=0.01)):
        np.testing.assert_allclose(losses(optimizer, 0.0), losses(optimizer, 40.0), rtol=1e-6)
    for optimizer in (nnlab.Adam(lr=0.2), nnlab.AdaGrad(lr=1.0)):
        aligned, turned = losses(optimizer, 0.0), losses(optimizer, 40.0)
        assert turned.mean() > 1.3 * aligned.mean()


@pytest.mark.parametrize("n, period, size", [(300, 50, 100.0), (40, 10, 20.0), (40, 10, 5.0)])
def test_rare_points_say_the_opposite(n, period, size):
    dataset = RarePoints(n=n, period=period, size=size).load()
    slopes = np.linspace(-1, 1, 9)
    losses = abs(dataset.x * slopes - dataset.y).mean(0)
    np.testing.assert_allclose(np.diff(losses) / np.diff(slopes), (size - (period - 1)) / period)
    assert dataset.x.sum() == 0 and (abs(dataset.x) == size).sum() == n // period


# ---- pictures


@pytest.fixture(scope="module")
def ravine(tmp_path_factory):
    """The folders of three runs."""
    folder = tmp_path_factory.mktemp("ravine")
    job = ["data=ravine", "model=linear", "init=constant", "init.value=0.2", "init.bias=-3", "split=none"]
    job += ["metric=last", "batch_size=full", "epochs=20", "regularizer=l2", "regularizer.l2=0.1", "seeds=2"]
    job += ["dtype=float64", "record=[theta,effective_step]", "show=[paths,steps]"]
    job += ["optimizer=sgd,adam,momentum", "optimizer.lr=0.02", "picture=false"]
    assert main(["train", "-m", *job, f"hydra.sweep.dir={folder}"]) == 0
    return folder


def runs(folder) -> list:
    folders = sorted(file.parent for file in folder.glob("*/summary.json"))
    return shown_runs({file.name.partition("_")[2].replace(",", " "): file for file in folders})


def size_of(png: bytes) -> tuple:
    return imread(io.BytesIO(png)).shape[:2]


def test_a_path_begins_at_the_initial_parameters_and_follows_the_recorded_ones(ravine):
    for run in runs(ravine):
        first, second = paths(run, most_rows=5)
        np.testing.assert_allclose(first.theta[0], [0.2, -3.0])
        weights = run.stored.weights[0]
        expected = [weights["output.weight"].item(), weights["output.bias"].item()]
        np.testing.assert_allclose(first.theta[-1], expected)
        np.testing.assert_allclose(first.theta, second.theta)  # nothing is drawn, but the order of examples
        assert first.theta.shape == (21, 2) and first.loss[0] > first.loss[-1]


def test_level_lines_are_those_of_the_objective(ravine):
    """Of the closed form, and of the loss that training reports where the path has been."""
    run = runs(ravine)[0]
    w, b = np.random.default_rng(0).normal(size=(2, 2100))
    loss = 40 * (w - 1) ** 2 + (b - 1) ** 2 + 0.1 / 2 * w**2
    np.testing.assert_allclose(objective(run, np.stack([w, b], 1)), loss, rtol=1e-9)
    (path,) = paths(run, most_rows=1)
    penalty = run.stored.curves("penalty")[0]
    np.testing.assert_allclose(objective(run, path.theta[1:-1]), path.loss[1:] + penalty[:-1], rtol=1e-9)


def test_pictures_are_drawn(ravine):
    for name in ("paths", "steps"):
        height, width = size_of((ravine / f"{name}.png").read_bytes())
        assert width == 1200 and 300 < height < 900
        one = picture(name).draw(runs(ravine)[:1])
        assert size_of(one)[1] == 1200


def test_of_more_runs_than_panels_each_is_at_its_best_rate(ravine, monkeypatch):
    three = runs(ravine)
    assert at_best_rates(three) == (three, "")
    monkeypatch.setattr("nnlab.pictures.best_rates.MOST_PANELS", 2)
    assert at_best_rates(three)[0] == three  # no two differ in the rate alone
    rates = [three[0], *(replace(run, stored=AtRate(run.stored, lr)) for run, lr in ((three[0], 0.5),))]
    chosen, note = at_best_rates([*three, rates[1]])
    assert chosen == three and note == "each at the best mean loss of 2 learning rates"


class AtRate:
    """A stored run as if it had another rate, and diverged."""

    def __init__(self, stored: StoredRun, lr: float):
        self.settings = stored.settings | {"optimizer": stored.settings["optimizer"] | {"lr": lr}}
        self.stored = stored

    def curves(self, name: str) -> np.ndarray:
        return np.full_like(self.stored.curves(name), np.nan)


def test_a_path_that_leaves_is_cut_off_and_a_row_that_diverges_ends(tmp_path):
    line = ["data=ravine", "model=linear", "split=none", "metric=last", "batch_size=full", "epochs=60"]
    line += ["record=[theta,effective_step]", "show=[paths,steps]", "optimizer=sgd", "optimizer.lr=1"]
    assert main(["train", *line, f"hydra.run.dir={tmp_path / 'r'}"]) == 1
    for name in ("paths", "steps"):
        assert size_of((tmp_path / "r" / f"{name}.png").read_bytes())[1] == 1200


@pytest.mark.parametrize("name, changes, said", [
    ("paths", {"model": nnlab.MLP()}, "a model of two parameters, and model=mlp has 193 on data 'ravine'"),
    ("paths", {"data": nnlab.Diabetes()}, "and model=linear has 11"),
    ("paths", {"record": "effective_step"}, "allowed with it: record=[theta]"),
    ("steps", {"record": "theta"}, "allowed with it: record=[effective_step]"),
])  # fmt: skip
def test_what_cannot_be_drawn_is_refused(name, changes, said):
    e = replace(JOB, **changes)
    picture(name).refuse(JOB, JOB.load().spec)
    with pytest.raises(UserError) as error:
        picture(name).refuse(e, e.load().spec)
    assert said in str(error.value)
