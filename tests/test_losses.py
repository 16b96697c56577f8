"""Losses against other formulas and values by hand; metrics against scikit-learn.

Every loss beside torch: test_contracts.
"""

import numpy as np
import pytest
import scipy.special
import sklearn.metrics as sk
import torch
from networks import assert_near, one_thread  # noqa: F401
from torch.nn import functional as F

from nnlab.autodiff.simplex import sparsemax, sparsemax_by_bisection
from nnlab.losses import LOSSES
from nnlab.metrics.tasks import TASKS, Classification, first_largest

# ---- losses


def one_hot(random, shape):
    classes = torch.randint(shape[-2], (*shape[:-2], shape[-1]), generator=random)
    return F.one_hot(classes, shape[-2]).movedim(-1, -2).double()


def of_class(z, t):
    """z of the class k that is 1 in t: (..., B)."""
    return (z * t).sum(-2)


def by_class_numbers(z, t):
    return F.cross_entropy(z, t.argmax(1), reduction="none")


def by_support(z, t):
    """Martins and Astudillo 2016, eq. 22, for the class k."""
    p = sparsemax_by_bisection(z)
    support = p > 0
    tau = torch.where(support, z - p, 0).sum(1, keepdim=True) / support.sum(1, keepdim=True)
    return -of_class(z, t) + torch.where(support, z**2 - tau**2, 0).sum(1) / 2 + 0.5


BY_CLASS = {"cross_entropy": by_class_numbers, "sparsemax_loss": by_support}  # another formula for one-hot t


@pytest.mark.parametrize("f", [sparsemax, sparsemax_by_bisection])
@pytest.mark.parametrize(
    "scores, projection", [([8, 8, 0], [0.5, 0.5, 0]), ([0.25, 0, -1], [0.625, 0.375, 0])]
)
@pytest.mark.parametrize("shift", [0.0, 1e8, -1e8])
def test_sparsemax_of_large_scores(f, scores, projection, shift):
    """In float32 the distance between numbers around 1e8 is 8: tau itself has no digits there."""
    z = (torch.tensor(scores)[:, None] + shift).float()
    if shift and scores[0] < 8:  # all are rounded to the same number
        projection = [1 / 3] * 3
    assert torch.allclose(f(z)[:, 0], torch.tensor(projection, dtype=torch.float32), atol=1e-6)


@pytest.mark.parametrize("name", BY_CLASS)
def test_of_one_class_it_is_the_formula_of_its_paper(name):
    """Value and gradient: t (K, m, B) has a single 1 for each example."""
    random, (z, t) = torch.Generator().manual_seed(0), torch.zeros(2, 3, 10, 7, dtype=torch.float64)
    z, t = 2 * torch.randn(z.shape, generator=random, dtype=z.dtype), one_hot(random, t.shape)
    leaf, loss, one = z.clone().requires_grad_(), LOSSES[name](), torch.ones(1, 1, 1, dtype=z.dtype)
    value = BY_CLASS[name](leaf, t)
    value.sum().backward()
    assert_near(loss.fprop(z, t), value.detach(), 13)
    assert_near(loss.bprop(z, t, one, torch.empty_like(z)), leaf.grad, 13)


@pytest.mark.parametrize("name", LOSSES)
def test_a_constant_answer_loses_least(name):
    """What `chance` measures: nothing near it loses less. With a map, outputs of which the answer is p."""
    loss, random = LOSSES[name](), torch.Generator().manual_seed(1)
    if loss.map is None:
        t = torch.randn(3, 41, generator=random, dtype=torch.float64)
        z = loss.best_constant(t)
        assert z.shape == (3, 1)
        for step in 0.05 * torch.randn(20, 3, 1, generator=random, dtype=torch.float64):
            assert loss.fprop(z.expand(-1, 41), t).mean() <= loss.fprop((z + step).expand(-1, 41), t).mean()
    else:
        p = torch.softmax(torch.randn(4, 1, generator=random, dtype=torch.float64), 0)
        assert_near(loss.predict(loss.inverse_map(p)), p, 14)


@pytest.mark.parametrize(
    "name, outputs", [(n, loss().outputs(m)) for n, loss in LOSSES.items() for m in (2, 4)]
)
def test_probabilities_are_a_distribution_in_the_order_of_the_scores(name, outputs):
    loss, random = LOSSES[name](), torch.Generator().manual_seed(2)
    for size in (0.1, 1, 30, 1000):
        z = size * torch.randn(3, outputs, 50, generator=random, dtype=torch.float64)
        before, p, scores = z.clone(), loss.probabilities(z), loss.scores(z)
        assert torch.equal(z, before) and p.shape == scores.shape == (3, max(2, outputs), 50)
        assert (p >= 0).all() and (p <= 1).all()
        assert_near(p.sum(-2), torch.ones(3, 50).double(), 12)
        # The likeliest class has the largest score; where rounding makes several 1, one of them.
        assert (p.gather(-2, scores.argmax(-2, keepdim=True)) == p.amax(-2, keepdim=True)).all()


def test_probabilities_are_those_of_others():
    """scipy's softmax; the sigmoid; scikit-learn's one against the rest; the answer, where it is a
    distribution; and a projection that was computed by hand."""
    z = torch.tensor([[0.3], [-1.2], [2.0]], dtype=torch.float64)
    p = LOSSES["cross_entropy"]().probabilities(z)
    assert_near(p, torch.from_numpy(scipy.special.softmax(z.numpy(), 0)), 14)
    one = LOSSES["binary_cross_entropy"]().probabilities(z[:1])
    assert_near(one, torch.tensor([[1 - scipy.special.expit(0.3)], [scipy.special.expit(0.3)]]), 14)
    each = scipy.special.expit(z.numpy())
    several = LOSSES["binary_cross_entropy"]().probabilities(z)
    assert_near(several, torch.from_numpy(each / each.sum()), 14)  # as OneVsRestClassifier.predict_proba
    to_prediction = torch.tensor([[0.2], [0.5], [0.3]], dtype=torch.float64)
    assert_near(LOSSES["squared_error"]().probabilities(to_prediction), to_prediction, 14)
    outside = torch.tensor([[-0.1], [0.8], [0.5]], dtype=torch.float64)
    nearest = torch.tensor([[0.0], [0.65], [0.35]], dtype=torch.float64)
    assert_near(LOSSES["absolute_error"]().probabilities(outside), nearest, 14)


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
    random, loss = torch.Generator().manual_seed(11), LOSSES[name]()
    z, t = 2 * torch.randn(2, 4, 5, generator=random, dtype=torch.float64), one_hot(random, (2, 4, 5))
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
    return task.test(task.to_prediction(z), task.to_prediction(t), classes)


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
    expected = {
        "accuracy": pytest.approx(accuracy), "error": pytest.approx(1 - accuracy),
        "precision": pytest.approx(precision, nan_ok=True), "recall": pytest.approx(recall, nan_ok=True),
        "confusion_matrix": sk.confusion_matrix(true, predicted, labels=range(m)).tolist(),
        "classes": list(names),
    }  # fmt: skip
    assert {key: report[key] for key in expected} == expected


@pytest.mark.parametrize("shape", [(3, 4, 25), (2, 3, 4, 25)], ids=str)
def test_errors_while_training_equal_those_of_the_test(shape):
    """Mean of `per_example`, finished, is the error or RMSE that `test` reports, in the target's unit."""
    random = torch.Generator().manual_seed(0)
    z, unit = torch.randn(shape, generator=random), torch.rand(3, 4, 1, generator=random) + 0.5
    for task, key, t, scale in (
        (TASKS["classification"](), "error", one_hot(random, shape).float(), torch.ones(3, 4, 1)),
        (TASKS["regression"](), "rmse", torch.randn(shape, generator=random), unit),
    ):
        actual = task.finish(task.per_example(z, t, unit).double().mean(-1))
        in_units = [(v * scale).double().flatten(0, -3).numpy() for v in (z, t)]
        expected = [reported(task, *pair, range(4))[key] for pair in zip(*in_units, strict=True)]
        assert actual.flatten().tolist() == pytest.approx(expected, rel=1e-5)


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
