"""The curves of `record`: parameters and sizes of updates, for nothing where they are not asked for."""

import json
from dataclasses import replace

import numpy as np
import pytest
from gpu_runs import assert_same_numbers, curves, on_gpu
from networks import Points, one_thread  # noqa: F401
from test_step import Calls, steps, training  # noqa: F401
from test_training_state import bits

import nnlab
from nnlab import MLP, Experiment, HalveAndGoBack, KFold, Regularizer, UserError
from nnlab.cli import main
from nnlab.experiment import FURTHER_CURVES
from nnlab.optimizers import OPTIMIZERS
from nnlab.records.stored_run import StoredRun
from nnlab.training.fit import Fit
from nnlab.training.further_curves import theta_name

# One step an epoch: 60 examples of 7 features, 3 classes, 39 parameters.
STEPS = Experiment(
    data=Points(), model=MLP(hidden=(3,)), batch_size="full", epochs=6, metric="last", dtype="float64",
    regularizer=Regularizer(l2=0.1), record=FURTHER_CURVES, threads=1,
)  # fmt: skip
SMALL = replace(STEPS, batch_size=16, epochs=3, dtype="float32", seeds=2)


def theta_of(fit: Fit, names_and_shapes) -> np.ndarray:
    """(epochs, parameters) of row 0, from the recorded curves."""
    names = [theta_name(name, i) for name, shape in names_and_shapes.items() for i in np.ndindex(shape)]
    return np.stack([fit.curves(name)[0] for name in names], axis=1)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_they_are_what_the_parameters_do(name):
    """Of an optimiser and epochs of one step: theta, and all that follows from it."""
    fit = nnlab.fit(replace(STEPS, optimizer=OPTIMIZERS[name](clip_norm=0.1))).run()
    weights = fit.results[0].weights
    theta = theta_of(fit, {n: w.shape for n, w in weights.items()})
    assert np.array_equal(theta[-1], np.concatenate([w.ravel() for w in weights.values()]))
    is_weight = np.concatenate([np.full(w.size, n.endswith("weight")) for n, w in weights.items()])
    norms = np.linalg.norm(theta[:, is_weight], axis=1)
    np.testing.assert_allclose(fit.curves("weight_norm")[0], norms, rtol=1e-12)
    updates = np.linalg.norm(np.diff(theta, axis=0), axis=1)
    np.testing.assert_allclose(fit.curves("update_norm")[0, 1:], updates, rtol=1e-9)
    step = fit.curves("update_norm") / fit.curves("grad_norm")
    np.testing.assert_allclose(fit.curves("effective_step"), step, rtol=1e-15)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_the_effective_step_of_gradient_descent_is_its_rate(schedule):
    fit = nnlab.fit(replace(SMALL, optimizer=nnlab.SGD(lr=0.3), schedule=schedule)).run()
    np.testing.assert_allclose(fit.curves("effective_step"), fit.curves("lr"), rtol=1e-5)
    clipped = nnlab.fit(replace(SMALL, optimizer=nnlab.SGD(lr=0.3, clip_norm=1e-3))).run()
    np.testing.assert_allclose(clipped.curves("update_norm"), 0.3e-3, rtol=1e-3)


def test_adagrads_effective_step_is_the_root_mean_square_of_its_parameters_rates():
    """Written by hand from the recorded theta alone: in linear regression the gradient is a closed form."""
    x = np.random.default_rng(0).normal(size=(40, 2))
    y = x @ [[1.0], [-2.0]] + 3
    data = nnlab.Arrays(x, y, normalization="none", target_normalization="none")
    e = replace(
        STEPS, data=data, model=nnlab.Linear(), split=nnlab.NoSplit(), optimizer=nnlab.AdaGrad(lr=0.5),
        regularizer=Regularizer(), init="zeros",
    )  # fmt: skip
    fit = nnlab.fit(e).run()
    theta = theta_of(fit, {"output.weight": (1, 2), "output.bias": (1, 1)})
    v, steps_by_hand = np.zeros(3), []
    inputs = np.hstack([x, np.ones((40, 1))])
    for before in [np.zeros(3), *theta[:-1]]:
        g = 2 * inputs.T @ (inputs @ before - y[:, 0]) / 40
        v += g**2
        rates = 0.5 / np.sqrt(v)
        steps_by_hand.append(np.sqrt((rates**2 * g**2).sum() / (g**2).sum()))
    np.testing.assert_allclose(fit.curves("effective_step")[0], steps_by_hand, rtol=1e-9)


# ---- they change nothing, and cost nothing where they are not asked for


JOBS = [
    SMALL,
    replace(SMALL, model=MLP(hidden=(2, 2)), schedule=HalveAndGoBack(), optimizer=nnlab.SGD(lr=3.0)),
]


def test_no_bit_of_the_training_depends_on_them():
    with_them, without = Fit(JOBS), Fit([replace(e, record=()) for e in JOBS])
    records = {True: list(with_them), False: list(without)}
    for a, b in zip(records[True], records[False], strict=True):
        assert bits({n: v for n, v in a.metrics.items() if n in b.metrics}) == bits(b.metrics)
    for a, b in zip(with_them.results, without.results, strict=True):
        assert bits(a.weights) == bits(b.weights) and a.best.keys() > b.best.keys()


def test_a_rows_curves_are_its_own():
    """Alone, and in a stack of other rows, bit for bit."""
    jobs = [replace(SMALL, seeds=1, seed=k, optimizer=nnlab.Adam(lr=0.01 * (k + 1))) for k in range(5)]
    stacked = nnlab.fit(*jobs).run()
    assert len(stacked.stacks()) == 1
    for k, e in enumerate(jobs):
        alone, line = nnlab.fit(e).run().history, stacked.history["row"] == k
        for name in (*FURTHER_CURVES[1:], theta_name("output.weight", (0, 1))):
            assert alone[name].tobytes() == stacked.history[name][line].tobytes(), name


def test_only_the_last_step_of_a_chunk_makes_further_calls(steps):  # noqa: F811
    def look(step, inputs, go):
        with Calls() as calls:
            go()
        return calls.names

    def calls_of(record):
        seen = steps(look)
        training(replace(SMALL, record=record)).epoch()
        return [len(names) for names in seen]

    without = calls_of(())
    assert calls_of(FURTHER_CURVES) == [*without[:-1], without[-1] + 3]  # copy, subtract, norm
    assert calls_of(("theta", "weight_norm")) == without


def test_on_a_gpu():
    """Where the steps of a chunk are captured, and ended rows stay in the stack."""
    jobs = [replace(SMALL, epochs=2 + k, seed=k, seeds=1) for k in range(3)]
    jobs += [replace(SMALL, split=KFold(k=3), refit=True)]
    assert_same_numbers(on_gpu(jobs), curves(jobs, "cpu"))


# ---- what is asked for, and refused


def test_names(tmp_path):
    fit = nnlab.fit(replace(SMALL, record="weight_norm")).run()
    assert {"weight_norm"} == set(fit.history) - set(nnlab.fit(replace(SMALL, record=())).run().history)
    with pytest.raises(UserError, match="'effective_step'"):
        replace(SMALL, record="effective_steps")


@pytest.mark.parametrize("hidden", [(9,), (8, 4)])
def test_theta_is_for_small_models(hidden):
    nnlab.fit(replace(SMALL, epochs=1, model=MLP(hidden=(8,))))  # 7 x 8 + 8 + 8 x 3 + 3 = 91
    with pytest.raises(UserError, match=r"up to 100 parameters, and model=mlp has 1\d\d on data 'points'"):
        nnlab.fit(replace(SMALL, epochs=1, model=MLP(hidden=hidden)))


def test_commands(tmp_path, monkeypatch, capsys):
    """Runs, runs of -m, sweeps: the curves are in the folder and in TensorBoard; a trial that could not be
    recorded is none."""
    monkeypatch.chdir(tmp_path)
    record = f"record=[{','.join(FURTHER_CURVES)}]"
    common = ["data=iris", "epochs=2", "seeds=2", record]
    assert main(["train", *common, "model=logistic", "refit=true", "hydra.run.dir=run"]) == 0
    stored = StoredRun(tmp_path / "run")
    weights = stored.weights[1]["output.weight"]
    assert stored.curves(theta_name("output.weight", (2, 3)), refit=True)[1, -1] == weights[2, 3]
    assert b"theta/output.weight[2,3]" in next((tmp_path / "run").glob("events*")).read_bytes()
    assert "effective_step" in json.loads((tmp_path / "run" / "rows.json").read_text())[0]["best"]
    many = ["train", "-m", *common, "model=logistic", "optimizer=sgd,adam", "hydra.sweep.dir=many"]
    assert main(many) == 0
    assert [StoredRun(f).curves("effective_step").shape for f in (tmp_path / "many").glob("*/")] == 2 * [
        (2, 2)
    ]
    capsys.readouterr()
    sweep = ["sweep", *common, "space=none", "sampler=grid", "model.hidden=[4],[64]", "report=false"]
    assert main([*sweep, "hydra.run.dir=sweep"]) == 0
    assert StoredRun(tmp_path / "sweep" / "best").curves("update_norm").shape == (2, 2)
    assert "record = 'theta' is for models of up to 100 parameters" in " ".join(
        capsys.readouterr().out.split()
    )
