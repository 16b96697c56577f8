"""The gradient rung of `nnlab check`: a fault in any box's bprop is detected and named, a kink is not."""

import functools
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from check_jobs import Between, job
from check_mutants import MUTANTS, gradient_faults
from networks import one_thread  # noqa: F401

import nnlab
from nnlab.autodiff.activations import ACTIVATIONS, OUTPUTS, Identity
from nnlab.autodiff.activity_penalty import ActivityPenalty
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.box import Box
from nnlab.autodiff.boxes import BOXES
from nnlab.autodiff.central_differences import BEST_STEP, compare
from nnlab.autodiff.gradient_comparison import GradientComparison, relative_error
from nnlab.autodiff.graph import Graph
from nnlab.checks import gradients
from nnlab.checks.subject import Budget, Subject
from nnlab.losses import LOSSES
from nnlab.models import Model

FAULTS = {fault.name: fault for fault in gradient_faults(seed=3)}


def checked(experiment, **budget):
    return gradients.check(Subject(experiment, Budget(**budget)))


@functools.cache  # many mutants are of one job
def status_without_fault(experiment):
    return checked(experiment).status


# ---- mutants


def test_every_box_and_every_loss_has_mutants_and_a_reference():
    boxes = {*BOXES.values(), ActivityPenalty} - {Identity}  # which has no pass that could be wrong
    assert set(MUTANTS) == boxes and all(box.reference for box in boxes)
    assert all(loss.reference for loss in LOSSES.values())
    assert all(any(name.startswith(loss) for name in FAULTS) for loss in LOSSES)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_found_and_named(fault):
    with fault.patch():
        verdict = checked(fault.experiment)
    assert verdict.status == "fail"
    assert fault.is_detected([verdict]), verdict.worst.found
    assert status_without_fault(fault.experiment) == "pass"


# ---- what is right


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_right_gradient_passes(activation):
    """With every regulariser; each parameter, and each box."""
    regularizer = nnlab.Regularizer(
        l2=0.1, l1=0.05, dropout=0.3, input_dropout=0.2, dropconnect=0.3, label_smoothing=0.1,
        activity_l1=0.02, activity_l2=0.03,
    )  # fmt: skip
    model = nnlab.MLP(hidden=(9, 7), activation=activation)
    verdict = checked(job("wine", model=model, regularizer=regularizer))
    assert verdict.status == "pass", verdict.worst.found
    assert "all 220 parameters" in verdict.worst.found
    compared = verdict.details["parameters"]
    assert sum(c["compared"] for c in compared.values()) == 13 * 9 + 9 + 9 * 7 + 7 + 7 * 3 + 3
    assert all(c["autograd"] < 1e-12 for c in compared.values())


@pytest.mark.parametrize("output, loss", [(o, name) for name, cls in LOSSES.items() for o in OUTPUTS
                                          if cls.map in (None, o)])  # fmt: skip
def test_every_output_map_and_loss_passes(output, loss):
    verdict = checked(job("iris", model=nnlab.MLP(hidden=(5,), output=output), loss=loss))
    assert verdict.status == "pass", verdict.worst.found


@pytest.mark.parametrize(
    "changes",
    [
        dict(init=nnlab.Zeros()),  # at these weights every gradient but one is 0
        dict(model=nnlab.MLP(hidden=(16,) * 12, activation="sigmoid")),  # and at these 1e-8 of the last
        dict(data=nnlab.Wine(normalization="none")),
        dict(regularizer=nnlab.Regularizer(l1=0.1, proximal=True)),
        dict(dtype="float32", batch_size="full", device="cpu"),
    ],
    ids=lambda changes: ",".join(changes),
)
def test_what_is_hard_on_a_gradient_check_passes(changes):
    verdict = checked(job("wine", **changes))
    assert verdict.status == "pass", verdict.worst.found


def test_large_networks_are_sampled_and_the_error_is_bounded():
    verdict = checked(job("digits", model=nnlab.MLP(hidden=(300, 300))), sample=60)
    assert verdict.status == "pass"
    # The rule of three: if none of 60 is wrong, the share that is wrong is below -ln(0.05) / 60 = 3 / 60
    assert "310 of 112,810 parameters (error bound 5.0%)" in verdict.worst.found


# ---- boxes that nnlab does not know


class Cubed(Box):
    """y = x^3."""

    def fprop(self, ctx, x):
        ctx.x = x
        return torch.pow(x, 3, out=ctx.y)

    def bprop(self, ctx, dy):
        return (3 * ctx.x**2 * dy,)


class Squashed(Cubed):
    def bprop(self, ctx, dy):
        return (2 * ctx.x**2 * dy,)


def test_a_box_without_a_reference_is_checked_by_differences_alone():
    right, wrong = (checked(job("wine", model=Between(box=box()))) for box in (Cubed, Squashed))
    assert right.status == "pass" and "autograd" in right.worst.found  # of the other boxes
    assert right.details["boxes"]["box: dx"]["autograd"] is None
    assert right.details["parameters"]["output.weight"]["autograd"] is None
    assert wrong.status == "fail" and wrong.worst.found.startswith("box: dx is wrong")


class CubedAsTorchHasIt(Cubed):
    def reference(self, ctx, x):
        return x**3


class AnotherFunction(Cubed):
    def reference(self, ctx, x):
        return 2 * x**3


def test_a_box_that_brings_its_reference_is_compared_with_autograd_too():
    """As those of nnlab, which know no more of themselves; the whole network is then compared as well."""
    right, wrong = (
        checked(job("wine", model=Between(box=b()))) for b in (CubedAsTorchHasIt, AnotherFunction)
    )
    assert right.details["boxes"]["box: dx"]["autograd"] < 1e-12
    assert right.status == "pass" and right.details["parameters"]["output.weight"]["autograd"] < 1e-12
    assert wrong.status == "fail" and "autograd" in wrong.worst.found


class Largest(Box):
    """y = the largest of each pair of units: max-pooling, with ties where the units are equal."""

    def output_shape(self, shape):
        return (shape[0] // 2,)

    def fprop(self, ctx, x):
        ctx.pairs = x.unflatten(1, (-1, 2))
        return torch.amax(ctx.pairs, 2, out=ctx.y)

    def bprop(self, ctx, dy):
        first = (ctx.pairs[:, :, 0] >= ctx.pairs[:, :, 1]).to(dy)
        return (torch.stack([first * dy, (1 - first) * dy], 2).flatten(1, 2),)


@dataclass(frozen=True)
class Tied(Model):
    """affine -> relu -> max-pooling of pairs; relus that are 0 together are ties."""

    name: ClassVar[str] = "tied"

    def graph(self, shape, outputs, output="identity"):
        graph = Graph(shape)
        h = graph.add("below", Affine(12), graph.input)
        h = graph.add("pooled", Largest(), graph.add("relu", ACTIVATIONS["relu"](), h))
        graph.add("output", Affine(outputs), h)
        return graph


def test_ties_of_max_pooling_are_no_faults():
    verdict = checked(job("wine", model=Tied()))
    assert verdict.status == "pass", verdict.worst.found
    assert verdict.details["boxes"]["pooled: dx"]["kinks"] > 10


# ---- differences


def along(f, x, gradient, tolerance=1e-5):
    """Compare `gradient` of sum_i f(x_i) with differences, number by number."""
    total = f(x).sum()

    def moved(example, step):
        return np.array([f(np.where(np.arange(len(x)) == i, x + step, x)).sum() for i in example])

    return compare(np.asarray(gradient, float), moved, total, abs(f(x)).sum(), 1.0, tolerance)


def test_a_kink_is_none_of_a_gradients_business():
    x = np.array([-1.0, 0.0, BEST_STEP / 2, -BEST_STEP / 30, 1.0])
    relu = along(lambda x: np.maximum(x, 0), x, [0, 0, 1, 0, 1])
    assert relu.kinks.tolist() == [False, True, True, True, False]
    assert relu.error < 1e-9
    slope = along(lambda x: np.maximum(x, 0), x, [0, 0.7, 1, 0, 1])  # 0.7 is a subgradient too
    assert slope.kinks[1] and slope.error < 1e-9
    wrong = along(
        lambda x: np.maximum(x, 0), x, [0, 1.7, 0, 0.5, 1]
    )  # no subgradient; the wrong side; neither
    assert not wrong.kinks[[1, 2]].any() and wrong.error > 0.4


def test_a_smooth_function_has_no_kinks():
    x = np.linspace(-3, 3, 25)
    assert not along(np.sin, x, np.cos(x)).kinks.any()
    off = along(np.sin, x, np.cos(x) * 1.001)
    assert not off.kinks.any() and 5e-4 < off.error < 2e-3


def test_errors_below_the_rounding_of_f_are_not_told_from_it():
    """f is 1e8 large and its gradient 1e-5: only 1e-3 can be resolved, and no more is claimed."""
    x = np.array([1.0])
    seen = compare(np.array([1e-5]), lambda which, step: np.array([1e8 + 1e-5 * step]), 1e8, 1e8, 1e-5, 1e-5)
    assert not seen.resolved and seen.error <= 1e-5
    assert along(np.sin, x, np.cos(x)).resolved


def test_what_is_no_number_is_wrong():
    assert along(np.sin, np.zeros(2), [1, np.nan]).error == np.inf


def test_the_objective_of_the_check_is_the_objective_of_training():
    """The gradient at a generic point equals that of torch.autograd on a loss written out by hand."""
    e = job("iris", model=nnlab.MLP(hidden=(5,), activation="tanh"), regularizer=nnlab.Regularizer(l2=0.3))
    from nnlab.checks.objective import Objective

    objective = Objective(Subject(replace(e, dtype="float64")))
    with torch.no_grad():
        by_check = objective.gradient()
    leaves = {
        name: leaf_slice.view(objective.theta).clone().requires_grad_()
        for name, leaf_slice in objective.parameters.items()
    }
    hidden = torch.tanh(leaves["hidden1.weight"] @ objective.x + leaves["hidden1.bias"])
    z = leaves["output.weight"] @ hidden + leaves["output.bias"]
    loss = -(torch.log_softmax(z, 1) * objective.t).sum(1).mean()
    loss = loss + 0.15 * sum(leaves[f"{n}.weight"].square().sum() for n in ("hidden1", "output"))
    loss.backward()
    for name, leaf in leaves.items():
        assert np.allclose(by_check[name], leaf.grad.flatten().numpy(), rtol=1e-12, atol=1e-14)


def test_a_parameter_of_nothing_but_kinks_is_told():
    kinks = GradientComparison("box: dweight", 0.0, None, kinks=3, compared_count=3, total_count=3)
    seen = GradientComparison("box: dbias", 1e-9, None, kinks=1, compared_count=3, total_count=3)
    text = gradients._finding([seen], [kinks, seen]).found
    assert "all of box: dweight: nothing is known of those" in text and "dbias:" not in text
    assert "nothing is known" not in gradients._finding([seen], [seen]).found


@pytest.mark.parametrize("by_bprop, other", [(np.nan, 1.0), (1.0, np.nan), (np.nan, np.nan), (np.inf, 1.0)])
def test_a_gradient_that_is_not_finite_agrees_with_nothing(by_bprop, other):
    with np.errstate(invalid="ignore"):
        assert relative_error(np.array([by_bprop, 0.5]), np.array([other, 0.5])) == np.inf
    assert relative_error(np.zeros(2), np.zeros(2)) == 0.0
