"""One box by itself, from Python: both passes, what is cached, and the comparison with differences."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from modules import Gate
from scipy.special import softmax
from sklearn.metrics import log_loss

from nnlab import UserError
from nnlab.autodiff import (
    Affine,
    Alone,
    BatchNorm,
    Box,
    Convolution,
    Dropout,
    Embedding,
    Identity,
    MaxPool,
    Module,
    Multiply,
    RandomShift,
    ReLU,
    Slice,
    Tanh,
)
from nnlab.autodiff.box import Parameter
from nnlab.autodiff.boxes import BOXES
from nnlab.autodiff.cached import _memory, _tensors
from nnlab.checks.planted import _negated
from nnlab.losses import LOSSES, CrossEntropy, SquaredError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 5))  # five examples of four numbers
IMAGES = RNG.standard_normal((2, 4, 4, 5))
MADE = {Affine: Affine(3), Convolution: Convolution(2), Embedding: Embedding((3,) * 4), Slice: Slice(1, 3),
        Module: Module(Gate, {"inputs": 4})}  # fmt: skip
OF_IMAGES = ("convolution", "max_pool", "average_pool", "l2_pool", "global_average_pool", "stochastic_pool",
             "random_shift", "random_flip", "cutout")  # fmt: skip
TWO_INPUTS = ("add", "subtract", "multiply", "concatenate")
RATES = dict(dropout=0.5, dropconnect=0.5, shift=1, flip=0.5, cutout=2, input_noise=0.3)


def alone(cls, change=lambda box: box):
    """The box alone, changed, and inputs for it."""
    box = MADE.get(cls) or cls()
    rates = {v: RATES[v] for v in (getattr(box, f, None) for f in ("rate", "strength")) if v in RATES}
    x = [IMAGES if cls.name in OF_IMAGES else X]
    if cls.name == "matrix_product":
        x = [RNG.standard_normal((2, 3, 5)), RNG.standard_normal((3, 4, 5))]
    if cls.name == "embedding":
        x = [RNG.integers(0, 3, (4, 5))]
    return Alone(change(box), **rates), x * 2 if cls.name in TWO_INPUTS else x


# ---- every box


@pytest.mark.parametrize("cls", BOXES.values(), ids=BOXES)
def test_the_gradients_of_every_box_are_those_of_differences(cls):
    box, x = alone(cls)
    y = box.fprop(*x)
    dy = RNG.standard_normal(y.shape)
    first, again = box.bprop(dy), box.bprop(dy)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    parameters = {
        n for n, leaf in box.box.leaves(*[v.shape[:-1] for v in x]).items() if isinstance(leaf, Parameter)
    }
    assert len(first) == len(x) + len(parameters) and parameters <= set(first)
    check = box.check()
    assert not check.wrong and "of differences (limit 1e-05)" in str(check), check
    after = box.bprop(dy)  # of the last fprop still, not of one of the check's
    assert all(np.array_equal(first[name], after[name]) for name in first)


@pytest.mark.parametrize("cls", [cls for cls in BOXES.values() if cls is not Identity], ids=lambda c: c.name)
def test_a_wrong_sign_of_every_box_is_found(cls):
    box, x = alone(cls, _negated)
    check = box.check(*x)
    zero = {"dx"} if cls.name == "embedding" else set()  # minus zero is zero
    assert set(check.wrong) == {c.gradient_name for c in check.comparisons} - zero
    several = [c for c in check.comparisons if c.wrong and c.total_count > 1]
    assert all("is wrong, minus the right one: off by" in c.fault for c in several)


@pytest.mark.parametrize(
    "cls", [c for c in BOXES.values() if c not in (Identity, Module)], ids=lambda c: c.name
)
def test_bprop_needs_what_is_cached_and_nothing_else(cls):
    """All other tensors that fprop has left are spoilt together: the gradients stay what they are."""
    box, x = alone(cls)
    dy = RNG.standard_normal(box.fprop(*x).shape)
    right, cached = box.bprop(dy), box.cached
    bound = box._last
    tensors = dict(_tensors(vars(bound.ctx)))
    kept = {name.rpartition(".")[2] for name in cached}
    known = {**bound.operands(bound.inputs), "y": bound.ctx.y}
    memories = {_memory(v) for name, v in known.items() if name in kept}
    memories |= {_memory(v) for path, v in tensors.items() if path.rpartition(".")[2] in kept}
    for path in bound.left.paths:
        if _memory(tensors[path]) not in memories:
            tensors[path].copy_(torch.full((), 7.0))
    after = box.bprop(dy)
    assert all(np.array_equal(right[name], after[name]) for name in right)


@pytest.mark.parametrize("cls, cached", [
    (Affine, {"x", "weight"}), (Tanh, {"y"}), (ReLU, {"y"}), (Multiply, {"a", "b"}), (MaxPool, {"index"}),
    (Dropout, {"mask"}), (BOXES["add"], set()), (BOXES["average_pool"], set()), (BOXES["gelu"], {"x", "P"}),
])  # fmt: skip
def test_what_a_box_caches(cls, cached):
    box, x = alone(cls)
    y = box.fprop(*x)
    assert set(box.cached) == cached
    for name, value in box.cached.items():
        if name in ("x", "y"):
            assert np.array_equal(value, x[0] if name == "x" else y)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_every_loss(loss):
    z = RNG.standard_normal((3, 5))
    t = RNG.integers(0, 3, 5) if loss.needs_classes else RNG.random((3, 5))
    box = Alone(loss())
    assert box.fprop(z, t).shape == (5,) and box.bprop()["z"].shape == z.shape
    assert {"z", "t"} >= set(box.cached) and not box.check().wrong


# ---- the lecture's formulas


def test_affine_is_that_of_the_lecture():
    W, b, dY = RNG.standard_normal((3, 4)), RNG.standard_normal(3), RNG.standard_normal((3, 5))
    box = Alone(Affine(3), weight=W, bias=b)
    assert box.fprop(X) == pytest.approx(W @ X + b[:, None])
    d = box.bprop(dY)
    assert d["x"] == pytest.approx(W.T @ dY) and d["weight"] == pytest.approx(dY @ X.T)
    assert d["bias"] == pytest.approx(dY.sum(1, keepdims=True))


def test_cross_entropy_is_p_minus_t():
    z, t = RNG.standard_normal((3, 5)), RNG.integers(0, 3, 5)
    box = Alone(CrossEntropy())
    p = softmax(z, 0)
    assert box.fprop(z, t).mean() == pytest.approx(log_loss(t, p.T, labels=[0, 1, 2]))
    assert box.bprop()["z"] == pytest.approx((p - np.eye(3)[t].T) / 5)
    assert box.fprop(z, np.eye(3)[t].T) == pytest.approx(box.fprop(z, t))


def test_dropout_passes_both_ways_through_one_mask():
    box, ones = Alone(Dropout(rate=0.5)), np.ones((100, 50))
    y = box.fprop(ones)
    mask = box.cached["mask"]
    assert set(np.unique(y)) == {0, 2} and 0.45 < (y == 0).mean() < 0.55
    assert np.array_equal(y, ones * mask) and np.array_equal(box.bprop(3 * ones)["x"], 3 * mask)
    assert not np.array_equal(box.fprop(ones), y)  # a new mask, as in every step of training
    assert np.array_equal(Alone(Dropout(rate=0.5)).fprop(ones), y)  # drawn from the seed


def test_batch_norm_moves_its_running_mean():
    box = Alone(BatchNorm())
    y = box.fprop(X)
    assert y.mean(1) == pytest.approx(0) and y.std(1) == pytest.approx(1, abs=1e-4)
    assert box.leaves["mean"][:, 0] == pytest.approx(0.1 * X.mean(1))
    mean = box.leaves["mean"].copy()
    assert not box.check().wrong and np.array_equal(box.leaves["mean"], mean)


# ---- the user's arrays


def test_examples_may_come_first():
    columns, rows = Alone(Affine(3)), Alone(Affine(3), examples_first=True)
    y, dY = columns.fprop(X), RNG.standard_normal((3, 5))
    assert np.array_equal(rows.fprop(X.T), y.T)
    a, b = columns.bprop(dY), rows.bprop(dY.T)
    assert np.array_equal(b["x"], a["x"].T) and np.array_equal(a["weight"], b["weight"])
    assert rows.cached["x"].shape == (5, 4) and rows.cached["weight"].shape == (3, 4)
    images = Alone(MaxPool(), examples_first=True).fprop(np.moveaxis(IMAGES, -1, 0))
    assert images.shape == (5, 2, 2, 2)
    z, t = RNG.standard_normal((5, 3)), RNG.integers(0, 3, 5)
    loss = Alone(CrossEntropy(), examples_first=True)
    assert loss.fprop(z, t) == pytest.approx(Alone(CrossEntropy()).fprop(z.T, t))
    assert loss.bprop()["z"].shape == (5, 3)


def test_one_example_is_a_vector():
    box = Alone(Affine(3), seed=1)
    y = box.fprop(X[:, 0])
    assert y.shape == (3,) and box.bprop([1, 0, 0])["x"].shape == (4,)
    assert box.fprop(X)[:, 0] == pytest.approx(y) and box.fprop([1, 2, 3, 4]).shape == (3,)


def test_tensors_give_tensors_and_types_stay():
    box = Alone("tanh")
    assert box.fprop(torch.ones(2, 3)).dtype == torch.float32
    assert isinstance(box.bprop()["x"], torch.Tensor) and isinstance(box.cached["y"], torch.Tensor)
    assert (
        Alone(Tanh).fprop(X.astype("float32")).dtype == np.float32
        and Alone(Tanh).fprop([[1, 2]]).dtype == float
    )


def test_leaves_stay_and_may_be_changed():
    box = Alone(Affine(3))
    box.fprop(X)
    before = box.leaves["weight"].copy()
    box.fprop(X[:, :2])  # fewer examples
    assert np.array_equal(box.leaves["weight"], before)
    box.leaves["weight"][:] = 0
    assert not box.fprop(X).any()


class Cube(Box):
    """y = x^3, with the derivative of a student."""

    def fprop(self, ctx, x):
        ctx.x = x
        return x**3

    def bprop(self, ctx, dy):
        return (-3 * ctx.x**2 * dy,)


class One(Cube):
    def bprop(self, ctx, dy):
        return 3 * ctx.x**2 * dy


class Flat(Cube):
    def bprop(self, ctx, dy):
        return (dy.sum(1),)


class Numpy(Cube):
    def fprop(self, ctx, x):
        return x.numpy() ** 3


def test_a_box_of_a_students():
    box = Alone(Cube())
    assert box.fprop(X) == pytest.approx(X**3) and list(box.cached) == ["x"]
    assert str(box.check()).startswith("dx is wrong, minus the right one: off by 2 from differences")
    assert box.check(X).wrong == ["dx"]


WRONG = {
    "'rleu' is no box; did you mean 'relu'?": lambda: Alone("rleu"),
    "expected a box, such as Affine(units=3), or a loss": lambda: Alone(3),
    "Linear is a module of torch: Alone(Module(Linear, {...}))": lambda: Alone(torch.nn.Linear(2, 3)),
    "has seen no inputs yet: call fprop(x) first": lambda: Alone(Affine(3)).bprop(X),
    "needs the inputs of the box: fprop(x)": lambda: Alone(Affine(3)).fprop(),
    "weigth is no leaf and no rate of": lambda: Alone(Affine(3), weigth=X).fprop(X),
    "weight is (3, 3): ": lambda: Alone(Affine(3), weight=np.eye(3)).fprop(X),
    "Dropout(rate=0.5) has a rate of its own": lambda: Alone(Dropout()).fprop(X),
    "RandomShift() takes `shift` from an experiment": lambda: Alone(RandomShift()).fprop(IMAGES),
    "dy is (4, 5), and y, which it is the gradient of, (3, 5)": lambda: stepped(Affine(3), X, X),
    "the inputs are (4, 5) and (4, 4): expected as many examples": lambda: Alone("add").fprop(X, X[:, :4]),
    "an example has the shape (5,), and had (4,)": lambda: stepped(Affine(3), X).fprop(X.T),
    "examples are columns: x.T, or Alone(..., examples_first=True)": lambda: stepped(Affine(3), X).fprop(X.T),
    "expected classes, whole numbers from 0 to 3": lambda: Alone(CrossEntropy()).fprop(X, [1, 2, 3, 4, 0]),
    "expected an array of numbers": lambda: Alone("tanh").fprop([["a", "b"]]),
    "bprop of One() gives one value: expected a tuple of a gradient for each": lambda: stepped(One(), X, X),
    "bprop of Flat() gives dx (1, 5): expected (1, 4, 5)": lambda: stepped(Flat(), X, X),
    "Subtract() is given 1 inputs, and its fprop reads a, b": lambda: Alone("subtract").fprop(X),
    "Tanh() is given 2 inputs, and its fprop reads x": lambda: Alone(Tanh).fprop(X, X),
    "is given 1 inputs, and its fprop reads z, t": lambda: Alone(CrossEntropy()).fprop(X),
    "CrossEntropy compares z (4,) with t (2,)": lambda: Alone(CrossEntropy()).fprop(X, X[:2]),
    "BatchNorm() needs 2 examples or more, and is given 1": lambda: Alone(BatchNorm).fprop(X[:, :1]),
    "expected a tensor (1, 4, 5)": lambda: stepped(Numpy(), X),
}  # fmt: skip


def stepped(box, x, dy=None):
    box = Alone(box)
    box.fprop(x)
    if dy is not None:
        box.bprop(dy)
    return box


@pytest.mark.parametrize("sentence", WRONG)
def test_what_does_not_go_together_is_one_sentence(sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        WRONG[sentence]()


def test_at_kinks_alone_nothing_is_known():
    assert "6 at kinks left out, all of dx: nothing is known" in str(Alone("relu").check(np.zeros((3, 2))))


def test_squared_error_of_one_output():
    z, t = np.array([[1.0, 2.0]]), np.array([[0.0, 4.0]])
    box = Alone(SquaredError())
    box.fprop(z, t)
    assert not box.check().wrong and box.bprop()["z"].shape == (1, 2)


def test_the_documents_example_runs(capsys):
    text = (Path(__file__).parent.parent / "docs" / "lecture.md").read_text()
    section = text.partition("### One box alone")[2].partition("\n### ")[0]
    code, shown = re.findall(r"^```(?:python)?\n(.*?)^```", section, re.M | re.S)[:2]
    exec(code, {"__name__": "lecture"})
    assert capsys.readouterr().out == shown
