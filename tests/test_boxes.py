"""Every box against torch.nn.functional, autograd and central differences. A new box is a row of CASES."""

import importlib
import pkgutil

import numpy as np
import pytest
import scipy.optimize
import torch
from networks import REFERENCES, assert_near, central, one_thread  # noqa: F401

import nnlab.autodiff
from nnlab.autodiff.activations import (
    ACTIVATIONS,
    ELU,
    GELU,
    Identity,
    LeakyReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Sparsemax,
    Tanh,
    sparsemax,
)
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.box import Box
from nnlab.autodiff.boxes import BOXES
from nnlab.autodiff.combine import Add, Multiply
from nnlab.autodiff.dropout import DropConnect, Dropout
from nnlab.testing import numeric

CASES = {  # name: (box, shapes of its inputs)
    "affine": (Affine(5), [(7,)]),
    "affine-to-one": (Affine(1), [(7,)]),
    "affine-from-one": (Affine(3), [(1,)]),
    "affine-wide": (Affine(67), [(3,)]),
    "identity": (Identity(), [(7,)]),
    "relu": (ReLU(), [(7,)]),
    "relu-table": (ReLU(), [(3, 5)]),
    "sigmoid": (Sigmoid(), [(7,)]),
    "tanh": (Tanh(), [(13,)]),
    "leaky_relu": (LeakyReLU(), [(7,)]),
    "elu": (ELU(), [(7,)]),
    "gelu": (GELU(), [(7,)]),
    "silu": (SiLU(), [(7,)]),
    "softplus": (Softplus(), [(7,)]),
    "softsign": (Softsign(), [(7,)]),
    "softmax": (Softmax(), [(7,)]),
    "softmax-one": (Softmax(), [(1,)]),
    "sparsemax": (Sparsemax(), [(7,)]),
    "sparsemax-one": (Sparsemax(), [(1,)]),
    "dropout": (Dropout(), [(7,)]),
    "dropconnect": (DropConnect(), [(5, 7)]),
    "dropconnect-to-one": (DropConnect(), [(1, 7)]),
    "affine-of-images": (Affine(5), [(2, 3, 4)]),
    "add": (Add(), [(7,)] * 2),
    "add-three": (Add(), [(5,)] * 3),
    "multiply": (Multiply(), [(7,)] * 2),
}
SIZES = [(1, 11), (3, 11), (1, 1), (3, 1)]  # rows K, batch B

every_box = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
every_size = pytest.mark.parametrize("rows, batch", SIZES, ids=str)


def numbers(rows, shape, seed):
    """Random (K, *shape), none near the kink of a relu."""
    x = torch.randn(rows, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x + 0.01 * x.sign()


def inputs_and_dy(case, rows, batch):
    box, shapes = case
    examples = () if isinstance(box, DropConnect) else (batch,)
    x = [numbers(rows, (*shape, *examples), seed) for seed, shape in enumerate(shapes)]
    return x, numbers(rows, (*box.output_shape(*shapes), *examples), 99)


def bind(box, shapes, rows, batch, **how):
    return numeric.bind(box, shapes, rows, batch, per_example=not isinstance(box, DropConnect), **how)


def reference(b, *x):
    return REFERENCES[type(b.box)](b.box, b.ctx, *x)


def test_every_box_of_nnlab_is_in_the_table():
    for module in pkgutil.iter_modules(nnlab.autodiff.__path__, "nnlab.autodiff."):
        importlib.import_module(module.name)
    boxes = {box for box in (*Box.__subclasses__(), *Dropout.__subclasses__()) if "nnlab." in box.__module__}
    assert boxes == set(BOXES.values()) == set(REFERENCES) == {type(box) for box, _ in CASES.values()}


@every_size
@every_box
def test_fprop_equals_torch(case, rows, batch):
    x, dy = inputs_and_dy(case, rows, batch)
    b = bind(*case, rows, batch)
    y = b.fprop(*x)
    assert y.shape == dy.shape
    assert_near(y, reference(b, *x, *b.theta.values()), 14)


@every_size
@every_box
def test_bprop_equals_autograd(case, rows, batch):
    x, dy = inputs_and_dy(case, rows, batch)
    b = bind(*case, rows, batch)
    b.fprop(*x)
    dx = b.bprop(dy)

    leaves = [v.clone().requires_grad_() for v in x]
    theta = {name: v.clone().requires_grad_() for name, v in b.theta.items()}
    reference(b, *leaves, *theta.values()).backward(dy)
    for mine, leaf in zip(dx, leaves, strict=True):
        assert_near(mine, leaf.grad, 13)
    for name, leaf in theta.items():
        assert_near(b.grad[name], leaf.grad, 13)


@every_size
@every_box
def test_bprop_equals_central_differences(case, rows, batch):
    x, dy = inputs_and_dy(case, rows, batch)
    b = bind(*case, rows, batch)

    def objective():
        return (b.fprop(*x) * dy).flatten(1).sum(1)

    objective()
    dx = [v.clone() for v in b.bprop(dy)]
    for mine, v in zip(dx, x, strict=True):
        assert_near(mine, central(objective, v), 7)
    for name, v in b.theta.items():
        assert_near(b.grad[name], central(objective, v), 7)


@every_size
@every_box
def test_bprop_overwrites_and_leaves_dy_and_gaps_alone(case, rows, batch):
    x, dy = inputs_and_dy(case, rows, batch)
    b, kept, inputs = bind(*case, rows, batch), dy.clone(), [v.clone() for v in x]
    b.fprop(*x)
    first = [v.clone() for v in b.bprop(dy)] + [v.clone() for v in b.grad.values()]
    for v in b.grad.values():
        v.fill_(7)
    b.fprop(*x)
    second = [*b.bprop(dy), *b.grad.values()]
    assert all(torch.equal(a, c) for a, c in zip(first, second, strict=True))
    assert torch.equal(dy, kept)
    assert all(torch.equal(a, c) for a, c in zip(x, inputs, strict=True))
    assert not b.matrix[:, b.gaps].any()


@every_box
def test_gradients_that_nobody_needs_change_no_other(case):
    x, dy = inputs_and_dy(case, 3, 11)
    full = bind(*case, 3, 11)
    full.fprop(*x)
    all_dx = full.bprop(dy)
    for j in range(len(x)):
        needs = tuple(i != j for i in range(len(x)))
        if not any(needs) and not full.grad:
            continue  # the graph never asks such a box
        b = bind(*case, 3, 11, needs=needs)
        b.fprop(*x)
        dx = b.bprop(dy)
        assert len(dx) == len(x)
        assert all(torch.equal(a, c) for a, c, need in zip(dx, all_dx, needs, strict=True) if need)
        assert all(torch.equal(b.grad[name], full.grad[name]) for name in full.grad)


@every_box
def test_without_training_a_box_does_the_same_and_dropout_nothing(case):
    x, _ = inputs_and_dy(case, 3, 11)
    b = bind(*case, 3, 11, training=False)
    y = b.fprop(*x)
    if isinstance(b.box, Dropout):
        assert b.ctx is None and torch.equal(y, x[0])
    else:
        assert torch.equal(y, bind(*case, 3, 11).fprop(*x))


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


ACTIVATE = {name: box for name, (box, _) in CASES.items() if name in ACTIVATIONS}


@pytest.mark.parametrize("box", ACTIVATE.values(), ids=ACTIVATE)
def test_activations_far_from_zero(box):
    """Neither the value nor the derivative overflows, and both are those of torch in float64."""
    x = torch.tensor([-800.0, -40, -5, -1e-8, 1e-8, 5, 40, 800], dtype=torch.float64).view(1, 1, -1)
    leaf, b = x.clone().requires_grad_(), bind(box, [(1,)], 1, 8)
    y = reference(b, leaf)
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
        found = scipy.optimize.minimize(
            lambda p, z=z: ((p - z) ** 2).sum(), np.full(m, 1 / m), jac=lambda p, z=z: 2 * (p - z),
            bounds=[(0, 1)] * m, constraints={"type": "eq", "fun": lambda p: p.sum() - 1}, method="SLSQP",
            options={"ftol": 1e-14},
        )  # fmt: skip
        y = sparsemax(torch.from_numpy(z)[:, None])[:, 0].numpy()
        assert y.sum() == pytest.approx(1) and np.allclose(y, found.x, atol=1e-6)
