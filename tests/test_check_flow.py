"""Chance loss, activations and gradients of `nnlab check`, compared with hand-computed values."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from check_jobs import job
from networks import one_thread  # noqa: F401

import nnlab
from nnlab.autodiff import layers
from nnlab.autodiff.activations import ReLU, Sigmoid, Tanh
from nnlab.autodiff.box import Box, Parameter
from nnlab.autodiff.graph import Graph
from nnlab.checks import saturation
from nnlab.checks.slopes import slopes
from nnlab.checks.subject import Budget, Subject, mean_chance_loss

SMALL = Budget(rates=24, rate_seeds=2, seeds=5, steps=1000)


# ---- chance


def chance_of(experiment):
    sample = Subject(experiment).sample(500)
    loss = experiment.loss_for(sample.dataset.spec)
    return mean_chance_loss(loss, sample), sample


@pytest.mark.parametrize("changes, expected", [
    (dict(), np.log(3)),
    (dict(loss="binary_cross_entropy"), 3 * np.log(2)),
    (dict(loss="sparsemax_loss"), 1 / 3),  # |0 - t|^2 / 2 - |p|^2 / 2 = 1/2 - 1/6
    (dict(model=nnlab.Linear()), None),
], ids=str)  # fmt: skip
def test_chance_of_classes(changes, expected):
    loss, sample = chance_of(job("wine", **changes))
    share = np.bincount(sample.dataset.y[sample.fold.train]) / len(sample.fold.train)
    variance = (share * (1 - share)).mean()
    assert loss == pytest.approx(variance if expected is None else expected, rel=1e-5)


def test_chance_of_numbers_is_their_variance():
    assert chance_of(job("diabetes"))[0] == pytest.approx(1, rel=1e-5)
    raw, sample = chance_of(job("diabetes", data=nnlab.Diabetes(target_normalization="none")))
    assert raw == pytest.approx(sample.dataset.y[sample.fold.train].var(), rel=1e-4)
    absolute, _ = chance_of(job("diabetes", loss="absolute_error"))
    y = sample.dataset.y[sample.fold.train]
    assert absolute == pytest.approx(np.abs(y - np.median(y)).mean() / y.std(), rel=1e-2)


# ---- what flows through a network


def test_the_activations_and_layers_of_a_network_are_found():
    graph = job("wine", model=nnlab.MLP(hidden=(5, 4), activation=("tanh", "relu"), output="softmax"),
                loss="squared_error").graph(nnlab.Wine().load().spec)  # fmt: skip
    names = [[graph.nodes[n].name for n in f(graph)] for f in (layers.layers, layers.activations)]
    assert names == [["hidden1", "hidden2", "output"], ["tanh1", "relu2"]]
    linear = nnlab.Logistic().graph((13,), 3)
    assert [linear.nodes[n].name for n in layers.layers(linear)] == ["output"]
    assert layers.activations(linear) == []


@pytest.mark.parametrize("box, derivative", [
    (Tanh, lambda x: 1 - np.tanh(x) ** 2), (Sigmoid, lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
    (ReLU, lambda x: (x > 0) * 1.0),
])  # fmt: skip
def test_slopes_do_not_ask_bprop(box, derivative):
    from nnlab.testing.numeric import bind

    bound = bind(box(), [(4,)], 2, 6)
    x = torch.linspace(-3.05, 3.05, 48, dtype=torch.float64).view(2, 4, 6)
    assert np.allclose(slopes(bound.fprop, x).numpy(), derivative(x.numpy()), atol=1e-6)


def test_the_advice_for_stuck_units_depends_on_when_they_got_stuck():
    def advice(start, after, bounded=True):
        looks = [{"activations": {"tanh1": {"stuck": share, "bounded": bounded}}} for share in (start, after)]
        (finding,) = saturation.stuck_findings({"at the start": looks[0], "later": looks[1]})
        return finding.status, finding.number, finding.advice

    assert advice(0.1, 0.3)[:2] == ("pass", 0.3)
    assert advice(0.1, 0.71) == ("fail", 0.71, "lower the learning rate")
    status, number, advice_text = advice(0.5, 0.4)
    assert (
        (status, number) == ("warn", 0.5)
        and "normalise the inputs" in advice_text
        and "init.mean" not in advice_text
    )
    assert "init.mean=0.01" in advice(0.9, 0.9, bounded=False)[2]


@pytest.mark.parametrize("changes, cause", [
    (dict(model=nnlab.MLP(hidden=(64,) * 30, activation="sigmoid")), "vanishing"),  # squares are 0 in float32
    (dict(model=nnlab.MLP(hidden=(64,) * 90, activation="sigmoid")), "vanishing"),  # and so are the gradients
    (dict(model=nnlab.MLP(activation="sigmoid"), init=nnlab.Normal(bias=5.0)), "saturated"),  # every unit is
    (dict(init=nnlab.Auto(bias=-30.0)), "dead"),
], ids=str)  # fmt: skip
def test_what_stops_the_gradient_altogether(changes, cause):
    verdict = saturation.check(Subject(job("wine", **changes), SMALL))
    assert verdict.status == "fail" and verdict.causes[0] == cause


def test_in_training_half_of_the_tanh_units_may_be_saturated():
    looks = [{"activations": {"tanh1": {"stuck": s, "bounded": True}}} for s in (0.1, 0.5)]
    assert saturation.stuck_findings({"at the start": looks[0], "later": looks[1]})[0].status == "pass"
    assert saturation.stuck_findings({"at the start": looks[1]})[0].status == "warn"


@dataclass(frozen=True)
class Offset(Box):
    """The first `units` inputs plus a bias: a box without weights."""

    name: ClassVar[str] = "offset"
    units: int = 3

    def leaves(self, shape):
        return {"bias": Parameter((self.units, 1), "bias")}

    def output_shape(self, shape):
        return (self.units,)

    def fprop(self, ctx, x, b):
        return torch.add(x[:, : self.units], b, out=ctx.y)

    def bprop(self, ctx, dy):
        torch.sum(dy, 2, keepdim=True, out=ctx.dx[1])
        return ctx.dx


@dataclass(frozen=True)
class BiasOnly(nnlab.Model):
    name: ClassVar[str] = "bias_only"

    def graph(self, shape, outputs, output="identity"):
        graph = Graph(shape)
        graph.add("output", Offset(outputs), graph.input)
        return graph


def test_a_network_without_weights_passes():
    verdict = saturation.check(Subject(job("wine", model=BiasOnly()), SMALL))
    assert verdict.status == "pass" and verdict.details["update_to_weight"] == {}
