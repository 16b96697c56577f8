"""Second derivatives in the gradients rung: a wrong `vjp` of any box is found and named, and none is not."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from check_jobs import Between, job
from networks import one_thread  # noqa: F401

import nnlab
from nnlab.autodiff import symbolic
from nnlab.autodiff.activations import Softmax, Tanh
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.box import Box
from nnlab.autodiff.combine import Add, Multiply
from nnlab.autodiff.dropout import Dropout
from nnlab.autodiff.elementary import OneMinus, Power, Times
from nnlab.autodiff.linear_maps import LinearTransposed, OuterProduct
from nnlab.autodiff.reductions import SumExamples
from nnlab.checks import gradients
from nnlab.checks.subject import Budget, Subject
from nnlab.losses import CrossEntropy, SquaredError

MLP = nnlab.MLP(hidden=(5,), activation="tanh")
DROPPED = nnlab.Regularizer(dropout=0.4, l2=0.01)


def checked(experiment):
    return gradients.check(Subject(experiment, Budget()))


def wrong_by(factor: float, which: int = 0):
    """The right vjp, with one gradient `factor` times as large."""

    def wrong(vjp):
        def scaled(self, graph, node, dy):
            found = list(vjp(self, graph, node, dy))
            found[which] = graph.apply(Times(factor), found[which])
            return tuple(found)

        return scaled

    return wrong


def without(which: int):
    """One of the inputs is taken for a constant."""

    def wrong(vjp):
        def constant(self, graph, node, dy):
            return tuple(None if j == which else dx for j, dx in enumerate(vjp(self, graph, node, dy)))

        return constant

    return wrong


def without_its_square(vjp):
    return lambda self, graph, node, dy: (
        graph.apply(Multiply(), dy, graph.apply(OneMinus(), graph[node.name])),
    )


def with_another_mask(vjp):
    return lambda self, graph, node, dy: (graph.apply(replace(self, stream="another"), dy),)


def without_its_mean(vjp):
    return lambda self, graph, node, dy: (graph.apply(Multiply(), dy, graph[node.name]),)


FAULTS = {  # name: (the class, what is wrong with its vjp, the box that is named, changes of the job)
    "tanh": (Tanh, without_its_square, "tanh1: vjp", {}),
    "affine, input": (Affine, wrong_by(-1.0), "output: vjp", {}),
    "affine, weight": (Affine, wrong_by(1.001, 1), "hidden1: vjp", {}),
    "affine, bias": (Affine, without(2), "output: vjp", {}),
    "dropout": (Dropout, with_another_mask, "dropout1: vjp", {"regularizer": DROPPED}),
    "softmax": (Softmax, without_its_mean, "softmax: vjp", {"model": replace(MLP, output="softmax"),
                                                            "loss": "squared_error"}),
    "softmax in the loss": (Softmax, without_its_mean, "objective softmax: vjp", {}),
    # These are right in the gradient, and wrong in the gradient of the gradient.
    "one minus": (OneMinus, wrong_by(-1.0), "tanh1 one_minus: vjp", {}),
    "power": (Power, wrong_by(0.5), "tanh1 power: vjp", {}),
    "multiply": (Multiply, without(1), "d hidden1: vjp", {}),
    "outer product": (OuterProduct, without(1), "d output.weight: vjp", {}),
    "linear, transposed": (LinearTransposed, wrong_by(2.0, 1), "d dropout1: vjp", {}),
    "sum over examples": (SumExamples, wrong_by(1 + 1e-6), "d output.bias: vjp", {}),
}  # fmt: skip


@pytest.mark.parametrize("box, wrong, name, changes", FAULTS.values(), ids=FAULTS)
def test_a_wrong_vjp_is_found_and_named(monkeypatch, box, wrong, name, changes):
    monkeypatch.setattr(box, "vjp", wrong(box.vjp))
    verdict = checked(job("wine", **{"model": MLP} | changes))
    assert verdict.status == "fail" and verdict.causes == ["gradient"]
    assert f"{name} is wrong" in verdict.worst.found or f" {name}" in verdict.worst.found, verdict.worst.found
    assert "disagrees with its own bprop" in verdict.worst.advice


@pytest.mark.parametrize("loss, changes", [(CrossEntropy, {}), (SquaredError, {"loss": "squared_error"})])
def test_a_wrong_vjp_of_a_loss(monkeypatch, loss, changes):
    right = loss.vjp
    monkeypatch.setattr(
        loss, "vjp", lambda self, graph, z, t: graph.apply(Times(2.0), right(self, graph, z, t))
    )
    verdict = checked(job("wine", model=MLP, **changes))
    assert verdict.status == "fail" and verdict.worst.found.startswith("objective: vjp is wrong: off by 0.5")


@pytest.mark.parametrize(
    "model",
    [MLP, nnlab.MLP(hidden=(9, 9), normalization="batch", residual=True), nnlab.Tabular(hidden=(7,))],
    ids=str,
)
def test_right_ones_pass(model):
    verdict = checked(job("wine", model=model, regularizer=DROPPED))
    assert verdict.status == "pass"
    assert "; Hessian-vector product within " in verdict.worst.found
    hessian, vjps = verdict.details["hessian"], verdict.details["vjp"]
    assert set(hessian) == {f"H v of {name}" for name in verdict.details["parameters"]}
    assert all(c["error"] < 1e-5 and c["autograd"] < 1e-8 for c in hessian.values())
    assert "hidden1: vjp" in vjps and max(vjps.values()) < 1e-12


def test_of_a_wrong_bprop_nothing_more_is_said(monkeypatch):
    monkeypatch.setattr(Tanh, "bprop", lambda self, ctx, dy: (dy.clone(),))
    verdict = checked(job("wine", model=MLP))
    assert verdict.worst.found.startswith("tanh1: dx is wrong") and not verdict.details["vjp"]


@dataclass(frozen=True)
class Cubed(Box):
    """y = x^3, by somebody who knows nothing of gradient graphs."""

    name: ClassVar[str] = "cubed"

    def fprop(self, ctx, x):
        ctx.x = x
        return torch.pow(x, 3, out=ctx.y)

    def bprop(self, ctx, dy):
        return (3 * ctx.x**2 * dy,)


def test_a_box_without_vjp_is_named_and_passes():
    verdict = checked(job("wine", model=Between(box=Cubed())))
    assert verdict.status == "pass"
    assert verdict.worst.found.endswith(
        "; second derivatives are not compared: box 'cubed' has no vjp, so a network with it, here as 'box', "
        "has no gradient graph"
    )


def test_a_fault_between_boxes_shows_in_the_product(monkeypatch):
    """Each vjp is right by itself, but of two consumers of a value one is forgotten."""
    right = symbolic.add_gradients

    def forgetful(graph, output, values, symbol="d", dy=None):
        apply = graph.apply

        def applied(box, *inputs, **replaced):
            return inputs[0] if box == Add() and symbol == "d2" else apply(box, *inputs, **replaced)

        graph.apply = applied
        try:
            return right(graph, output, values, symbol, dy)
        finally:
            del graph.apply

    monkeypatch.setattr(symbolic, "add_gradients", forgetful)
    verdict = checked(job("wine", model=MLP))
    assert verdict.status == "fail" and verdict.worst.found.startswith("every gradient is right, but H v of ")
