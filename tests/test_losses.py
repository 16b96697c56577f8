"""Losses against torch.nn.functional and central differences; metrics against scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
from networks import assert_near, central, one_thread  # noqa: F401
from torch.nn import functional as F

from nnlab.checks.references import simplex
from nnlab.losses import LOSSES
from nnlab.metrics import TASKS, Classification, first_largest

# ---- losses


def one_hot(random, shape):
    classes = torch.randint(shape[-2], (*shape[:-2], shape[-1]), generator=random)
    return F.one_hot(classes, shape[-2]).movedim(-1, -2).double()


def soft(random, shape):
    return torch.softmax(torch.randn(shape, generator=random, dtype=torch.float64), -2)


def real(random, shape):
    return torch.randn(shape, generator=random, dtype=torch.float64)


def by_example(loss):
    """A loss of torch on (N, m), as a function of (..., m, B) with a value for each example."""

    def f(z, t):
        z, t = z.movedim(-2, -1), t.movedim(-2, -1)
        return loss(z.flatten(0, -2), t.flatten(0, -2)).view(z.shape[:-1])

    return f


def class_numbers(z, t):
    return F.cross_entropy(z, t.argmax(1), reduction="none")


def sparsemax_loss(z, t):
    """Martins and Astudillo 2016, eq. 22, for the class k; and with t in its place for distributions."""
    p = simplex(z.T[None])[0].T
    support = p > 0
    tau = torch.where(support, z - p, 0).sum(1) / support.sum(1)  # the threshold
    squares = torch.where(support, z**2 - tau[:, None] ** 2, 0).sum(1)
    return -(t * z).sum(1) + squares / 2 + (t**2).sum(1) / 2


def binary_cross_entropy(z, t):
    return F.binary_cross_entropy_with_logits(z, t, reduction="none").sum(1)


def absolute_error(z, t):
    return F.l1_loss(z, t, reduction="none").mean(1)


CASES = {  # name: (loss, targets, the same in torch)
    "sparsemax_loss": ("sparsemax_loss", one_hot, by_example(sparsemax_loss)),
    "sparsemax_loss-soft": ("sparsemax_loss", soft, by_example(sparsemax_loss)),
    "binary_cross_entropy": ("binary_cross_entropy", one_hot, by_example(binary_cross_entropy)),
    "binary_cross_entropy-soft": ("binary_cross_entropy", soft, by_example(binary_cross_entropy)),
    "absolute_error": ("absolute_error", real, by_example(absolute_error)),
    "cross_entropy": ("cross_entropy", one_hot, by_example(class_numbers)),
    "cross_entropy-soft": (
        "cross_entropy", soft, by_example(lambda z, t: F.cross_entropy(z, t, reduction="none"))
    ),
    "squared_error": (
        "squared_error", real, by_example(lambda z, t: F.mse_loss(z, t, reduction="none").mean(1))
    ),
}  # fmt: skip
SHAPES = [(1, 3, 5), (3, 10, 7), (2, 1, 4), (2, 3, 4, 5), (1, 1, 1, 1)]  # (K, m, B) or (S, K, m, B)

every_loss = pytest.mark.parametrize("name, targets, reference", CASES.values(), ids=CASES)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def drawn(targets, shape):
    random = torch.Generator().manual_seed(sum(shape))
    z = 2 * torch.randn(shape, generator=random, dtype=torch.float64)
    weight = torch.rand((*shape[:-2], 1, shape[-1]), generator=random, dtype=torch.float64)
    return z, targets(random, shape), weight


def test_every_loss_is_in_the_table():
    assert set(LOSSES) == {name for name, _, _ in CASES.values()}


@every_shape
@every_loss
def test_loss_equals_torch(name, targets, reference, shape):
    z, t, _ = drawn(targets, shape)
    each = LOSSES[name]().fprop(z, t)
    assert each.shape == (*shape[:-2], shape[-1])
    assert_near(each, reference(z, t), 13)


@every_shape
@every_loss
def test_gradient_equals_autograd(name, targets, reference, shape):
    """Of the mean loss, weight 1/B, and of any other weighted sum; z and t are left as they are."""
    z, t, random_weight = drawn(targets, shape)
    kept, loss = (z.clone(), t.clone()), LOSSES[name]()
    mean = torch.full((1, 1, shape[-1]), 1 / shape[-1], dtype=torch.float64)
    for weight in (mean, random_weight):
        leaf = z.clone().requires_grad_()
        (reference(leaf, t) * weight.squeeze(-2)).sum().backward()
        out = torch.full_like(z, 7)
        assert_near(loss.bprop(z, t, weight, out=out), leaf.grad, 13)
        assert_near(out, leaf.grad, 13)
    assert torch.equal(z, kept[0]) and torch.equal(t, kept[1])


@every_shape
@every_loss
def test_gradient_equals_central_differences(name, targets, reference, shape):
    z, t, weight = drawn(targets, shape)
    loss = LOSSES[name]()
    gradient = loss.bprop(z, t, weight, out=torch.empty_like(z))

    def objective():
        return (loss.fprop(z, t) * weight.squeeze(-2)).flatten(1).sum(1)

    assert_near(gradient, central(objective, z), 7)


@every_loss
def test_an_example_of_weight_zero_has_no_gradient(name, targets, reference):
    z, t, weight = drawn(targets, (3, 4, 5))
    weight[..., 2] = 0
    gradient = LOSSES[name]().bprop(z, t, weight, out=torch.empty_like(z))
    assert not gradient[..., 2].any() and gradient[..., 1].any()


def test_cross_entropy_of_large_logits_is_finite():
    z = torch.tensor([[[1e4], [-1e4]]])
    for t, expected in ((torch.tensor([[[1.0], [0.0]]]), 0), (torch.tensor([[[0.0], [1.0]]]), 2e4)):
        assert LOSSES["cross_entropy"]().fprop(z, t).item() == expected


def test_losses_of_large_outputs_are_finite():
    """Right: 0. Wrong by 20,000: that, or as much for each of the two outputs."""
    z = torch.tensor([[[1e4], [-1e4]]])
    right, wrong = torch.tensor([[[1.0], [0.0]]]), torch.tensor([[[0.0], [1.0]]])
    for name, much in (("cross_entropy", 2e4), ("sparsemax_loss", 2e4), ("binary_cross_entropy", 2e4)):
        loss = LOSSES[name]()
        assert loss.fprop(z, right).item() == 0
        assert loss.fprop(z, wrong).item() == pytest.approx(much, abs=2)
        assert loss.bprop(z, wrong, torch.ones(1, 1, 1), torch.empty_like(z)).flatten().tolist() == [1, -1]


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_of_a_loss_with_a_map_is_prediction_minus_target(name):
    z, t, _ = drawn(one_hot, (2, 4, 5))
    loss = LOSSES[name]()
    if loss.map is None:
        assert loss.predict(z) is z
        return
    gradient = loss.bprop(z, t, torch.ones(1, 1, 1).double(), torch.empty_like(z))
    assert_near(gradient, loss.predict(z) - t, 14)
    assert torch.equal(loss.predict(z).argmax(-2), z.argmax(-2))
    if loss.map != "sigmoid":
        assert_near(loss.predict(z).sum(-2), torch.ones(2, 5).double(), 14)


# ---- metrics


def classification_case(m, n, seed):
    """Outputs (m, n) and one-hot targets: the last class never occurs, the first is never predicted."""
    random = np.random.default_rng(seed)
    z, true = random.standard_normal((m, n)), random.integers(max(m - 1, 1), size=n)
    z[true, np.arange(n)] += 1
    z[0] = -9
    return z, np.eye(m)[true].T


def reported(task, z, t, classes):
    return task.test(task.answer(z), task.answer(t), classes)


@pytest.mark.parametrize("m, n", [(2, 17), (3, 50), (10, 400), (4, 1)])
def test_classification_equals_sklearn(m, n):
    z, t = classification_case(m, n, seed=m)
    names = tuple(f"class {i}" for i in range(m))
    report = reported(Classification(), z, t, names)
    true, predicted = t.argmax(0), z.argmax(0)
    precision, recall, _, _ = sk.precision_recall_fscore_support(
        true, predicted, labels=range(m), zero_division=np.nan
    )
    precision = np.where(np.isnan(precision) & np.isin(np.arange(m), true), 0, precision)
    accuracy = sk.accuracy_score(true, predicted)
    assert report == {
        "accuracy": pytest.approx(accuracy), "error": pytest.approx(1 - accuracy),
        "precision": pytest.approx(precision, nan_ok=True), "recall": pytest.approx(recall, nan_ok=True),
        "confusion_matrix": sk.confusion_matrix(true, predicted, labels=range(m)).tolist(),
        "classes": list(names),
    }  # fmt: skip


@pytest.mark.parametrize("shape", [(3, 4, 25), (2, 3, 4, 25)], ids=str)
def test_errors_while_training_equal_those_of_the_test(shape):
    """Mean of `per_example`, finished, is the error or RMSE that `test` reports, in the target's unit."""
    random = torch.Generator().manual_seed(0)
    z, unit = torch.randn(shape, generator=random), torch.rand(3, 4, 1, generator=random) + 0.5
    for task, key, t, scale in (
        (TASKS["classification"](), "error", one_hot(random, shape).float(), torch.ones(3, 4, 1)),
        (TASKS["regression"](), "rmse", torch.randn(shape, generator=random), unit),
    ):
        mine = task.finish(task.per_example(z, t, unit).double().mean(-1))
        in_units = [(v * scale).double().flatten(0, -3).numpy() for v in (z, t)]
        expected = [reported(task, *pair, range(4))[key] for pair in zip(*in_units, strict=True)]
        assert mine.flatten().tolist() == pytest.approx(expected, rel=1e-5)


def test_first_largest_is_argmax_and_the_first_of_equals():
    random = torch.Generator().manual_seed(0)
    z = torch.randint(3, (2, 5, 6, 40), generator=random).double()  # full of ties
    assert torch.equal(6 - first_largest(z).long(), torch.from_numpy(z.numpy().argmax(-2)))
    assert 6 - first_largest(torch.full((1, 6, 1), -torch.inf)).item() == 0


NAN = float("nan")
BROKEN = torch.tensor([[NAN, NAN, 1.0], [0.0, NAN, NAN], [-1.0, NAN, NAN]])  # examples as columns


@pytest.mark.parametrize("true", range(3))
def test_outputs_that_are_not_numbers_are_wrong_while_training(true):
    t = F.one_hot(torch.full((3,), true), 3).T.float()
    assert torch.equal(Classification().per_example(BROKEN[None], t[None], None), torch.ones(1, 3))


@pytest.mark.parametrize("true", range(3))
def test_outputs_that_are_not_numbers_are_wrong_in_the_test(true):
    t = np.eye(3)[:, [true] * 3]
    assert reported(Classification(), BROKEN.double().numpy(), t, "abc")["error"] == 1
