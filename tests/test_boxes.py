"""Every box against torch.nn.functional, autograd and central differences. A new box is a row of CASES."""

import importlib
import pkgutil

import pytest
import torch
from networks import REFERENCES, assert_near, bind, central, one_thread  # noqa: F401

import nnlab.autodiff
from nnlab.autodiff.activations import Identity, ReLU, Sigmoid, Softmax, Tanh
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.box import Box
from nnlab.autodiff.combine import Add, Multiply
from nnlab.autodiff.dropout import Dropout

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
    "softmax": (Softmax(), [(7,)]),
    "softmax-one": (Softmax(), [(1,)]),
    "dropout": (Dropout(), [(7,)]),
    "add": (Add(), [(7,)] * 2),
    "add-three": (Add(), [(5,)] * 3),
    "multiply": (Multiply(), [(7,)] * 2),
}
SIZES = [(1, 11), (3, 11), (1, 1), (3, 1)]  # rows K, batch B

every_box = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
every_size = pytest.mark.parametrize("rows, batch", SIZES, ids=str)


def numbers(rows, shape, batch, seed):
    """Random (K, *shape, B), none near the kink of a relu."""
    x = torch.randn(rows, *shape, batch, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x + 0.01 * x.sign()


def inputs_and_dy(case, rows, batch):
    box, shapes = case
    x = [numbers(rows, shape, batch, seed) for seed, shape in enumerate(shapes)]
    return x, numbers(rows, box.output_shape(*shapes), batch, 99)


def test_every_box_of_nnlab_is_in_the_table():
    for module in pkgutil.iter_modules(nnlab.autodiff.__path__, "nnlab.autodiff."):
        importlib.import_module(module.name)
    boxes = {box for box in Box.__subclasses__() if box.__module__.startswith("nnlab.")}
    assert boxes == set(REFERENCES) == {type(box) for box, _ in CASES.values()}


@every_size
@every_box
def test_fprop_equals_torch(case, rows, batch):
    x, dy = inputs_and_dy(case, rows, batch)
    b = bind(*case, rows, batch)
    y = b.box.fprop(*x)
    assert y.shape == dy.shape
    assert_near(y, REFERENCES[type(b.box)](b.box, b.theta, *x), 14)


@every_size
@every_box
def test_bprop_equals_autograd(case, rows, batch):
    x, dy = inputs_and_dy(case, rows, batch)
    b = bind(*case, rows, batch)
    b.box.fprop(*x)
    dx = b.box.bprop(dy)

    leaves = [v.clone().requires_grad_() for v in x]
    theta = {name: v.clone().requires_grad_() for name, v in b.theta.items()}
    REFERENCES[type(b.box)](b.box, theta, *leaves).backward(dy)
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
        return (b.box.fprop(*x) * dy).flatten(1).sum(1)

    objective()
    dx = [v.clone() for v in b.box.bprop(dy)]
    for mine, v in zip(dx, x, strict=True):
        assert_near(mine, central(objective, v), 7)
    for name, v in b.theta.items():
        assert_near(b.grad[name], central(objective, v), 7)


@every_size
@every_box
def test_bprop_overwrites_and_leaves_dy_and_gaps_alone(case, rows, batch):
    x, dy = inputs_and_dy(case, rows, batch)
    b, kept, inputs = bind(*case, rows, batch), dy.clone(), [v.clone() for v in x]
    b.box.fprop(*x)
    first = [v.clone() for v in b.box.bprop(dy)] + [v.clone() for v in b.grad.values()]
    for v in b.grad.values():
        v.fill_(7)
    b.box.fprop(*x)
    second = [*b.box.bprop(dy), *b.grad.values()]
    assert all(torch.equal(a, c) for a, c in zip(first, second, strict=True))
    assert torch.equal(dy, kept)
    assert all(torch.equal(a, c) for a, c in zip(x, inputs, strict=True))
    assert not b.matrix[:, b.gaps].any()


@every_box
def test_gradients_that_nobody_needs_change_no_other(case):
    x, dy = inputs_and_dy(case, 3, 11)
    full = bind(*case, 3, 11)
    full.box.fprop(*x)
    all_dx = full.box.bprop(dy)
    for j in range(len(x)):
        needs = tuple(i != j for i in range(len(x)))
        if not any(needs) and not full.grad:
            continue  # the graph never asks such a box
        b = bind(*case, 3, 11, needs=needs)
        b.box.fprop(*x)
        dx = b.box.bprop(dy)
        assert len(dx) == len(x)
        assert all(torch.equal(a, c) for a, c, need in zip(dx, all_dx, needs, strict=True) if need)
        assert all(torch.equal(b.grad[name], full.grad[name]) for name in full.grad)


@every_box
def test_without_training_a_box_does_the_same_and_dropout_nothing(case):
    x, _ = inputs_and_dy(case, 3, 11)
    b = bind(*case, 3, 11, training=False)
    y = b.box.fprop(*x)
    assert not b.box.stochastic
    if isinstance(b.box, Dropout):
        assert torch.equal(y, x[0])
    else:
        assert torch.equal(y, bind(*case, 3, 11).box.fprop(*x))


def test_dropout_by_hand():
    b = bind(Dropout(), [(4,)], 2, 1)  # rates 0.4 and 0
    b.box.uniforms = torch.tensor([0.0, 0.39, 0.4, 0.99], dtype=torch.float64).view(1, 4, 1).expand(2, -1, -1)
    x = torch.ones(2, 4, 1, dtype=torch.float64)
    by_hand = [[0, 0, 1 / 0.6, 1 / 0.6], [1, 1, 1, 1]]
    assert_near(b.box.fprop(x)[:, :, 0], torch.tensor(by_hand, dtype=torch.float64), 15)


def test_dropout_keeps_the_mean():
    b = bind(Dropout(), [(1000,)], 2, 100)
    x = torch.ones(2, 1000, 100, dtype=torch.float64)
    assert b.box.fprop(x).mean((1, 2)).sub(1).abs().max() < 5 * (0.4 / 0.6 / 1e5) ** 0.5


def test_a_large_product_on_two_threads():
    case, x = (Affine(200), [(160,)]), numbers(1, (160,), 130, 0)
    one, two = (bind(*case, 1, 130, threads=n).box.fprop(x) for n in (1, 2))
    assert torch.equal(one, two)
    assert torch.get_num_threads() == 1
