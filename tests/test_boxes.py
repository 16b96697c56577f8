"""Boxes by hand: dropout, activations far from zero, sparsemax. (All boxes beside torch: test_contracts.)"""

import importlib
import pkgutil

import numpy as np
import pytest
import scipy.optimize
import torch
from networks import assert_near, one_thread  # noqa: F401

import nnlab.autodiff
from nnlab.autodiff.activations import ACTIVATIONS
from nnlab.autodiff.activity_penalty import ActivityPenalty
from nnlab.autodiff.box import Box
from nnlab.autodiff.boxes import BOXES
from nnlab.autodiff.dropout import DropConnect, Dropout
from nnlab.autodiff.gaussian_inference import MaskVariance, MeanActivation
from nnlab.autodiff.gradient_boxes import GRADIENT_BOXES
from nnlab.autodiff.loss_alone import LossAlone
from nnlab.autodiff.simplex import sparsemax
from nnlab.testing import numeric


def bind(box, shapes, rows, batch):
    return numeric.bind(box, shapes, rows, batch, per_example=not isinstance(box, DropConnect))


def test_every_box_of_nnlab_is_in_the_table():
    """Of which test_contracts tries every one. Boxes that no graph of a user has are tried in test_alone,
    test_activity_penalty and test_gaussian_inference."""
    for module in pkgutil.iter_modules(nnlab.autodiff.__path__, "nnlab.autodiff."):
        importlib.import_module(module.name)
    boxes = {box for box in subclasses(Box) if box.name and "nnlab.autodiff" in box.__module__}
    tables = {*BOXES.values(), *GRADIENT_BOXES.values()}
    assert boxes - tables == {LossAlone, ActivityPenalty, MaskVariance, MeanActivation}


def subclasses(cls: type) -> set[type]:
    """All of them; those without a name are bases of others."""
    return {cls for sub in cls.__subclasses__() for cls in {sub, *subclasses(sub)}}


@pytest.mark.parametrize("box, shapes", [(Dropout(), [(7,)]), (DropConnect(), [(5, 7)])], ids=str)
def test_without_training_dropout_is_the_identity(box, shapes):
    b = numeric.bind(box, shapes, 3, 11, training=False, per_example=isinstance(box, Dropout))
    x = torch.ones(3, *shapes[0])
    assert b.ctx is None and b.fprop(x) is x


def test_dropout_by_hand():
    b = bind(Dropout(), [(4,)], 2, 1)  # rates 0.4 and 0
    b.ctx.uniforms = torch.tensor([0.0, 0.39, 0.4, 0.99], dtype=torch.float64).view(1, 4, 1).expand(2, -1, -1)
    x = torch.ones(2, 4, 1, dtype=torch.float64)
    by_hand = [[0, 0, 1 / 0.6, 1 / 0.6], [1, 1, 1, 1]]
    assert_near(b.fprop(x)[:, :, 0], torch.tensor(by_hand, dtype=torch.float64), 15)


def test_dropout_keeps_the_mean():
    b = bind(Dropout(), [(1000,)], 2, 100)
    x = torch.ones(2, 1000, 100, dtype=torch.float64)
    assert b.fprop(x).mean((1, 2)).sub(1).abs().max() < 5 * (0.4 / 0.6 / 1e5) ** 0.5


def test_dropconnect_keeps_the_mean_weight():
    V = bind(DropConnect(), [(300, 400)], 2, 1).fprop(torch.ones(2, 300, 400, dtype=torch.float64))
    assert V.mean((1, 2)).sub(1).abs().max() < 5 * (0.4 / 0.6 / 1.2e5) ** 0.5
    assert {round(v, 12) for v in V[0].unique().tolist()} == {0, round(1 / 0.6, 12)}


@pytest.mark.parametrize("box", [box() for box in ACTIVATIONS.values()], ids=ACTIVATIONS)
def test_activations_far_from_zero(box):
    """Neither the value nor the derivative overflows, and both are those of torch in float64."""
    x = torch.tensor([-800.0, -40, -5, -1e-8, 1e-8, 5, 40, 800], dtype=torch.float64).view(1, 1, -1)
    leaf, b = x.clone().requires_grad_(), bind(box, [(1,)], 1, 8)
    y = box.reference(b.ctx, leaf)
    y.sum().backward()
    assert_near(b.fprop(x), y.detach(), 9)  # torch takes softplus(x > 20) for x
    assert_near(b.bprop(torch.ones_like(x))[0], leaf.grad, 8)


def test_sparsemax_by_hand():
    z = [[3.0, 0, 0], [0.5, 0.5, 0], [0.6, 0.2, -1], [1, 1, 1], [1e9, 1e9 - 0.5, 0]]
    y = [[1, 0, 0], [0.5, 0.5, 0], [0.7, 0.3, 0], [1 / 3] * 3, [0.75, 0.25, 0]]
    z, y = (torch.tensor(v, dtype=torch.float64).T for v in (z, y))
    assert_near(sparsemax(z[None])[0], y, 14)


def test_sparsemax_is_the_nearest_point_of_the_simplex():
    """By scipy's quadratic programming, which knows nothing of sorting."""
    random = np.random.default_rng(0)
    for m in (2, 5, 9):
        z = random.standard_normal(m) * 0.7
        solution = scipy.optimize.minimize(
            lambda p, z=z: ((p - z) ** 2).sum(), np.full(m, 1 / m), jac=lambda p, z=z: 2 * (p - z),
            bounds=[(0, 1)] * m, constraints={"type": "eq", "fun": lambda p: p.sum() - 1}, method="SLSQP",
            options={"ftol": 1e-14},
        )  # fmt: skip
        y = sparsemax(torch.from_numpy(z)[:, None])[:, 0].numpy()
        assert y.sum() == pytest.approx(1) and np.allclose(y, solution.x, atol=1e-6)
