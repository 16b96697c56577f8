"""Binary classification with one output: binary cross-entropy against torch and scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
import sklearn.linear_model as sk
import sklearn.metrics
import torch
from networks import assert_near, one_thread  # noqa: F401
from torch.nn import functional as F

import nnlab
from nnlab import MLP, SGD, Experiment, Logistic, Moons, NoSplit, Regularizer
from nnlab.checks.ladder import run_rungs
from nnlab.checks.subject import Subject
from nnlab.losses import BinaryCrossEntropy

MOONS = Experiment(
    data=Moons(n=200, noise=0.3), model=Logistic(), loss="binary_cross_entropy", optimizer=SGD(lr=1.0),
    regularizer=Regularizer(l2=0.02), batch_size="full", epochs=1500, dtype="float64",
)  # fmt: skip


def trained(experiment):
    run = nnlab.fit(experiment)
    list(run)
    return run, run.results[0]


def test_value_and_gradient_equal_torch():
    random = torch.Generator().manual_seed(0)
    for shape in [(1, 1, 5), (3, 1, 7), (2, 3, 1, 4)]:
        z = torch.randn(shape, generator=random, dtype=torch.float64).requires_grad_()
        p = torch.rand(shape, generator=random, dtype=torch.float64)  # labels that are smoothed too
        t, loss = torch.cat([1 - p, p], -2), BinaryCrossEntropy()
        each = F.binary_cross_entropy_with_logits(z, p, reduction="none").squeeze(-2)
        weight = torch.rand(shape, generator=random, dtype=torch.float64)
        (each * weight.squeeze(-2)).sum().backward()
        assert_near(loss.fprop(z.detach(), t), each.detach(), 13)
        assert_near(loss.bprop(z.detach(), t, weight, out=torch.empty_like(p)), z.grad, 13)


def test_weights_equal_those_of_scikit_learn():
    """The minimum of the same objective: C = 1 / (n l2), the penalty half the squared weights."""
    raw = replace(MOONS.data, normalization="none")
    run, result = trained(replace(MOONS, split=NoSplit(), metric="last", data=raw))
    data = run.datasets[run.experiments[0].data]
    there = sk.LogisticRegression(C=1 / (200 * 0.02), tol=1e-10, max_iter=1000).fit(data.x, data.y)
    assert result.weights["output.weight"] == pytest.approx(there.coef_, abs=1e-6)
    assert result.weights["output.bias"].ravel() == pytest.approx(there.intercept_, abs=1e-6)


def test_the_test_report_equals_scikit_learn():
    run, result = trained(replace(MOONS, epochs=50))
    data, fold, n = run.datasets[MOONS.data], run.rows[0].fold, result.normalizer
    x = (data.x[fold.test] - n["mean"]) / n["scale"]
    z = x @ result.weights["output.weight"].T + result.weights["output.bias"].ravel()
    predicted, true = (z[:, 0] > 0).astype(int), data.y[fold.test]
    assert result.test["confusion_matrix"] == sklearn.metrics.confusion_matrix(true, predicted).tolist()
    assert result.test["accuracy"] == pytest.approx((predicted == true).mean())
    assert result.test["loss"] == pytest.approx(sklearn.metrics.log_loss(true, 1 / (1 + np.exp(-z[:, 0]))))


@pytest.mark.parametrize("model, loss, shape", [
    (Logistic(), "binary_cross_entropy", (1, 2)),
    (MLP(hidden=(5,), output="sigmoid"), "auto", (1, 5)),
    (MLP(hidden=(5,)), "binary_cross_entropy", (1, 5)),
    (MLP(hidden=(5,), output="sigmoid"), "squared_error", (2, 5)),
    (Logistic(), "auto", (2, 2)),
])  # fmt: skip
def test_how_many_outputs(model, loss, shape):
    _, result = trained(replace(MOONS, model=model, loss=loss, epochs=2))
    assert result.weights["output.weight"].shape == shape


def test_every_rung_of_check_takes_it():
    job = replace(MOONS, model=MLP(hidden=(16,), output="sigmoid"), loss="auto", batch_size=16, epochs=50,
                  optimizer=nnlab.Adam(lr=0.01), regularizer=Regularizer(), dtype="float32")  # fmt: skip
    rungs = ["start", "gradients", "subset", "saturation", "rates", "determinism"]
    verdicts = {v.rung: v for v in run_rungs(Subject(job), rungs)}
    assert {rung: v.status for rung, v in verdicts.items()} == dict.fromkeys(rungs, "pass")
    assert verdicts["start"].details["chance"] == pytest.approx(np.log(2))
