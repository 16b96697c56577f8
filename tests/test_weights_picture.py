"""The picture `weights`: priors of l2 and l1, and what is drawn of a run's weights."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from nnlab import AdamW, Momentum, Regularizer
from nnlab.cli import main
from nnlab.errors import UserError
from nnlab.hyperparameters import stack
from nnlab.pictures import picture
from nnlab.pictures.base import shown_runs
from nnlab.pictures.priors import RunWeights, limit, weights_of_run

N = 250
PENALTIES = [(0.02, 0.0), (0.0, 0.01), (0.02, 0.01), (1e-6, 0.0), (0.0, 1e-7), (5.0, 3.0)]


def with_penalty(l2, l1, values=(0.0, 1.0), examples=N):
    return RunWeights("", np.array(values), 1, examples, l2, l1)


@pytest.mark.parametrize("l2, l1", PENALTIES)
def test_the_prior_is_what_training_penalises_beside_the_mean_loss(l2, l1):
    """log p(W) = -N Omega(W) + constant, with the Omega of training; and p integrates to 1."""
    scale = min(1 / np.sqrt(N * l2) if l2 else np.inf, 1 / (N * l1) if l1 else np.inf)
    w = scale * np.linspace(-30, 30, 60_001)
    prior = with_penalty(l2, l1).prior(w)
    assert np.trapezoid(prior, w) == pytest.approx(1, rel=1e-5)
    few = scale * np.array([-3.0, -1.0, 0.5, 2.0])
    omega = stack([Regularizer(l2=l2, l1=l1)] * 4).penalty(torch.from_numpy(few)[:, None]).numpy()
    ratio = with_penalty(l2, l1).prior(few) / with_penalty(l2, l1).prior(np.zeros(1))
    np.testing.assert_allclose(np.log(ratio), -N * omega, rtol=1e-9)


def test_of_l2_it_is_a_gaussian_and_of_l1_a_laplacian():
    w = np.linspace(-2, 2, 41)
    gaussian, laplacian = stats.norm(scale=1 / np.sqrt(N * 0.02)), stats.laplace(scale=1 / (N * 0.01))
    np.testing.assert_allclose(with_penalty(0.02, 0).prior(w), gaussian.pdf(w), rtol=1e-6)
    np.testing.assert_allclose(with_penalty(0, 0.01).prior(w), laplacian.pdf(w), rtol=1e-5)
    assert with_penalty(0, 0).prior(w) is None and with_penalty(0.02, 0, examples=0).prior(w) is None


def test_the_fitted_density_is_the_likeliest_of_its_family():
    random = np.random.default_rng(0)
    w, values = np.linspace(-1, 1, 21), random.laplace(scale=0.3, size=2000) * (random.random(2000) < 0.4)
    others = values[values != 0]
    share = len(others) / 2000
    scale = stats.laplace.fit(others, floc=0)[1]
    np.testing.assert_allclose(
        with_penalty(0, 0.1, values).fitted(w), share * stats.laplace(scale=scale).pdf(w), rtol=1e-5
    )
    scale = stats.norm.fit(values, floc=0)[1]
    np.testing.assert_allclose(
        with_penalty(0.1, 0, values).fitted(w), stats.norm(scale=scale).pdf(w), rtol=1e-6
    )
    assert with_penalty(0.1, 0.1, values).fitted(w) is None and with_penalty(0, 0, values).fitted(w) is None


def test_what_shrinks_weights_without_a_prior_is_named(runs, monkeypatch):
    (path,) = runs.glob("*lr=0.1*")
    (run,) = shown_runs({"": path})
    of_a_package = type("Hoyer", (Regularizer,), {"penalty": lambda self, weights: None})
    e = run.stored.experiment
    for part, expected in (
        ({"regularizer": of_a_package(l2=1.0)}, (0, 0, "penalty of Hoyer")),
        ({"optimizer": AdamW()}, (0, 0.02, "adamw decays them")),
        ({"optimizer": Momentum()}, (0, 0, "l1's step beside momentum")),
        ({}, (0, 0.02, "")),
    ):
        monkeypatch.setattr(run.stored, "experiment", replace(e, **part), raising=False)
        drawn = weights_of_run(run)
        assert (drawn.l2, drawn.l1, drawn.other) == expected
        assert picture("weights").draw([run]).startswith(b"\x89PNG")


def test_few_weights_far_out_do_not_widen_the_axis():
    near = np.linspace(-1, 1, 5001)
    assert limit([with_penalty(0, 0, near)]) == 1
    assert limit([with_penalty(0, 0, [*near, 1e6]), with_penalty(0, 0, [])]) == pytest.approx(3, rel=0.01)
    assert limit([with_penalty(0, 0, [])]) == limit([with_penalty(0, 0, [0.0, 0.0])]) == 1


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A job with l1 and without, of two seeds; in the second all rows diverge."""
    folder = tmp_path_factory.mktemp("runs") / "all"
    job = ["data=iris", "model.hidden=[5]", "optimizer=sgd", "epochs=20", "seeds=2", "metric=last"]
    job += [
        "regularizer=none",
        "regularizer.proximal=true",
        "regularizer.l1=0.02",
        "show=[weights]",
        f"hydra.sweep.dir={folder}",
    ]
    assert main(["train", "-m", *job, "optimizer.lr=0.1,1e9"]) == 1  # since rows diverged
    return folder


def test_all_rows_are_drawn_without_biases(runs):
    assert (runs / "weights.png").read_bytes().startswith(b"\x89PNG")
    (path,) = runs.glob("*lr=0.1*")
    (run,) = shown_runs({"": path})
    drawn, summary = weights_of_run(run), json.loads((path / "summary.json").read_text())
    weights = run.stored.weights
    names = [(row, layer) for row in (0, 1) for layer in ("hidden1", "output")]
    expected = np.concatenate([weights[row][f"{layer}.weight"].ravel() for row, layer in names])
    assert drawn.values.tolist() == expected.tolist() and drawn.rows == 2
    zeros = summary["weights"]["metrics"]["zero_weights"]["mean"]
    assert 0 < zeros == pytest.approx(drawn.share_of_zeros)
    assert drawn.examples == run.stored.rows[0]["examples"]["train"] and (drawn.l2, drawn.l1) == (0, 0.02)


def test_a_run_whose_rows_all_diverged_has_a_panel_beside_others(runs):
    drawn = shown_runs({path.name: path for path in sorted(runs.glob("*lr=*"))})
    assert [len(weights_of_run(run).values) > 0 for run in drawn] == [True, False]
    assert picture("weights").draw(drawn).startswith(b"\x89PNG")
    with pytest.raises(UserError, match="all rows diverged"):
        picture("weights").draw(drawn[1:])
