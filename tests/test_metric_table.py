"""Every metric against scikit-learn on random answers: ties, missing classes, constant targets."""

import warnings

import numpy as np
import pytest
import sklearn.metrics as sk
from sklearn.calibration import calibration_curve

from nnlab.metrics import MAX_MATRIX_CLASSES, METRICS, ClassAnswers, NumberAnswers, ProbabilityScores
from nnlab.metrics.classes import BINS
from nnlab.metrics.tasks import Classification, Regression

EXACT = {"rel": 1e-9, "abs": 1e-12, "nan_ok": True}
CLASS_METRICS = [name for name, metric in METRICS.items() if metric.task == "classification"]
NUMBER_METRICS = [name for name, metric in METRICS.items() if metric.task == "regression"]


def class_answers(seed, m=None):
    """Probabilities (m, N) with ties, of which some are exactly 0 or 1; classes without examples."""
    random = np.random.default_rng(seed)
    m = m or int(random.integers(2, 9))
    n = int(random.choice([1, 2, 3, 10, 40, 300]))
    p = random.dirichlet(np.full(m, random.choice([0.05, 0.5, 5])), n).T
    if random.random() < 0.5:  # ties
        p = np.round(p, 1)
        p[0, p.sum(0) == 0] = 1
        p /= p.sum(0)
    true = random.choice(random.choice(m, random.integers(1, m + 1), replace=False), n)
    positive = int(random.integers(2))
    return p, p.argmax(0), true, m, positive


def answers_of(p, predicted, true, m, positive):
    return ClassAnswers(predicted, true, m, positive, ProbabilityScores.of(p, true[None]))


def defined_mean(values):
    values = [v for v in values if v == v]
    return np.mean(values) if values else np.nan


def f1_each(predicted, true, m):
    """NaN for a class that is neither there nor predicted."""
    return [
        sk.f1_score(true == c, predicted == c) if ((true == c) | (predicted == c)).any() else np.nan
        for c in range(m)
    ]


def over_classes(score, p, true, m, positive, is_defined):
    ranked = [positive] if m == 2 else range(m)
    return defined_mean(score(true == c, p[c]) if is_defined((true == c).mean()) else np.nan for c in ranked)


def calibration_error(p, predicted, true, *_):
    correct, confidence = predicted == true, p.max(0)
    accuracy, mean = calibration_curve(correct, confidence, n_bins=BINS)
    bins = np.linspace(0, 1, BINS + 1)[1:-1]
    _, counts = np.unique(np.searchsorted(bins, confidence), return_counts=True)
    return float((counts / len(true)) @ np.abs(accuracy - mean))


def top5(p, predicted, true, m, _):
    """scikit-learn takes the last of equals first, nnlab the first."""
    return sk.top_k_accuracy_score(m - 1 - true, p[::-1].T, k=5, labels=range(m))


REFERENCES = {
    "accuracy": lambda p, z, t, m, positive: sk.accuracy_score(t, z),
    "balanced_accuracy": lambda p, z, t, m, positive: sk.balanced_accuracy_score(t, z),
    "f1": lambda p, z, t, m, positive: f1_each(z, t, m)[positive],
    "f1_macro": lambda p, z, t, m, positive: defined_mean(f1_each(z, t, m)),
    "mcc": lambda p, z, t, m, positive: sk.matthews_corrcoef(t, z),
    "roc_auc": lambda p, z, t, m, positive: over_classes(
        sk.roc_auc_score, p, t, m, positive, lambda share: 0 < share < 1
    ),
    "average_precision": lambda p, z, t, m, positive: over_classes(
        sk.average_precision_score, p, t, m, positive, bool
    ),
    "log_loss": lambda p, z, t, m, positive: sk.log_loss(t, p.T, labels=range(m)),
    "brier_score": lambda p, z, t, m, positive: sk.brier_score_loss(t, p.T, labels=range(m)),
    "calibration_error": calibration_error,
    "top5_accuracy": top5,
    "rmse": lambda z, t: sk.mean_squared_error(t.T, z.T) ** 0.5,
    "mae": lambda z, t: sk.mean_absolute_error(t.T, z.T),
    "r2": lambda z, t: defined_mean(
        sk.r2_score(b, a) if len(b) > 1 and np.ptp(b) else np.nan for a, b in zip(z, t, strict=True)
    ),
    "mape": lambda z, t: defined_mean(
        sk.mean_absolute_percentage_error(b, a) if b.all() else np.nan for a, b in zip(z, t, strict=True)
    ),
    "median_absolute_error": lambda z, t: sk.median_absolute_error(t.T, z.T),
}


@pytest.mark.parametrize("name", CLASS_METRICS)
def test_of_classes(name):
    metric, defined, undefined = METRICS[name], 0, 0
    for seed in range(200):
        case = class_answers(seed)
        if not metric.fits(case[3]):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn's, of missing classes
            expected = REFERENCES[name](*case)
        actual = metric.formula(answers_of(*case))
        assert type(actual) is float and actual == pytest.approx(expected, **EXACT), (seed, case)
        defined, undefined = defined + (actual == actual), undefined + (actual != actual)
    assert defined > 20 and bool(undefined) <= bool(metric.undefined)


def numbers(seed):
    random = np.random.default_rng(seed)
    m, n = int(random.integers(1, 4)), int(random.choice([1, 2, 3, 10, 41]))
    t = random.normal(size=(m, n)) * random.choice([1e-3, 1, 1e5])
    t[random.random(m) < 0.2] = random.choice([0.0, 0.1])
    t[:, 0] *= random.random() < 0.8
    return t + random.normal(size=(m, n)) * random.choice([0, 0.1, 10]), t


@pytest.mark.parametrize("name", NUMBER_METRICS)
def test_of_numbers(name):
    undefined = 0
    for seed in range(200):
        z, t = numbers(seed)
        actual, each = METRICS[name].formula(NumberAnswers(z, t)), METRICS[name].each(NumberAnswers(z, t))
        assert type(actual) is float and actual == pytest.approx(
            REFERENCES[name](z, t), rel=1e-9, nan_ok=True
        )
        assert each == pytest.approx(
            [REFERENCES[name](z[i : i + 1], t[i : i + 1]) for i in range(len(t))], rel=1e-9, nan_ok=True
        )
        undefined += actual != actual
    assert bool(undefined) == bool(METRICS[name].undefined)


@pytest.mark.parametrize("name", METRICS)
def test_of_answers_that_are_not_numbers(name):
    """An example without a prediction is wrong; nothing of its probabilities or numbers is said."""
    metric = METRICS[name]
    if metric.task == "regression":
        t = np.arange(1.0, 9).reshape(2, 4)
        z = t.copy()
        z[1, 2] = np.nan
        assert np.isnan(metric.formula(NumberAnswers(z, t)))
        return
    p, predicted, true, m, _ = class_answers(3, 2 if metric.classes == (2, 2) else 7)
    predicted, p[:, 0] = true.copy(), np.nan
    predicted[0] = -1
    value = metric.formula(answers_of(p, predicted, true, m, int(true[0])))
    if metric.scores and name != "top5_accuracy":
        assert np.isnan(value)
    else:
        assert metric.larger_is_better and value < 1


@pytest.mark.parametrize("name", METRICS)
def test_perfect_answers_are_best(name):
    """A larger value is better up to 1, and then the cost is 0: what is minimised is the same for all."""
    metric = METRICS[name]
    if metric.task == "regression":
        t = np.arange(1.0, 9).reshape(2, 4)
        best, worse = (metric.formula(NumberAnswers(z, t)) for z in (t, t + 0.5))
    else:
        m = 2 if metric.classes == (2, 2) else 7
        true = np.arange(70) % m
        p, q = np.eye(m)[true].T, np.eye(m)[true[::-1]].T
        best, worse = (metric.formula(answers_of(p, p.argmax(0), true, m, 1)) for p in (p, q))
    assert metric.cost(best) == pytest.approx(0, abs=1e-12) and metric.cost(worse) > 0.01


@pytest.mark.parametrize("m", [2, 3, 6, MAX_MATRIX_CLASSES, MAX_MATRIX_CLASSES + 1])
def test_a_report_has_what_is_defined_for_so_many_classes(m):
    random = np.random.default_rng(m)
    p, true = random.dirichlet(np.ones(m), 500).T, random.integers(m, size=(1, 500))
    report = Classification().test(
        p.argmax(0)[None], true, [f"c{i}" for i in range(m)], ProbabilityScores.of(p, true), 0
    )
    assert {name for name in METRICS if name in report} == {
        name for name, metric in METRICS.items() if metric.fits(m)
    }
    assert ("f1" in report) == (m == 2) == ("positive_class" in report)
    assert report.get("positive_class", "c0") == "c0"
    assert ("roc_auc" in report) == ("confusion_matrix" in report) == (m <= MAX_MATRIX_CLASSES)
    assert report["support"] == np.bincount(true[0], minlength=m).tolist()
    if m == 2:
        assert (
            report["f1"]
            == report["f1_each"][0]
            == pytest.approx(sk.f1_score(true[0], p.argmax(0), pos_label=0))
        )


def test_a_report_of_numbers_has_every_metric():
    t = np.random.default_rng(0).normal(size=(2, 9))
    report = Regression().test(t + 1, t)
    assert set(report) == {*NUMBER_METRICS, *(f"{name}_each" for name in NUMBER_METRICS)}
    assert set(Regression().test(t[:1] + 1, t[:1])) == {*NUMBER_METRICS}


@pytest.mark.parametrize("m", [2, 5, 150])
def test_scores_of_batches_are_those_of_the_whole(m):
    random = np.random.default_rng(m)
    p, true = random.dirichlet(np.ones(m), (3, 100)).swapaxes(1, 2), random.integers(m, size=(3, 1, 100))
    whole = ProbabilityScores.of(p, true)
    joined = ProbabilityScores.join(
        [ProbabilityScores.of(p[..., i : i + 30], true[..., i : i + 30]) for i in range(0, 100, 30)]
    )
    assert np.array_equal(whole.per_example, joined.per_example)
    assert (whole.probabilities is None) == (m > MAX_MATRIX_CLASSES)
    alone = ProbabilityScores.of(p[1, :, :70], true[1, :, :70])
    assert np.array_equal(joined.row(1, 70).per_example, alone.per_example)
