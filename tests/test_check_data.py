"""The data rung of `nnlab check`: constant columns, outliers, duplicates and scales."""

from dataclasses import replace

import numpy as np
import pytest
from check_cases import Changed
from check_jobs import Drawn, job
from networks import one_thread  # noqa: F401

import nnlab
from nnlab.checks import data, labels, shared_examples
from nnlab.checks.subject import Budget, Subject
from nnlab.data.dataset import Data, Dataset

SMALL = Budget(rates=24, rate_seeds=2, seeds=5, steps=1000)


# ---- data


def test_twins_are_found_up_to_sign_scale_and_shift():
    random = np.random.default_rng(0)
    x = random.standard_normal((30, 5))
    x[:, 2], x[:, 4] = 3 - 2 * x[:, 0], 1e6 * x[:, 1]
    x[:, 3] = x[:, 0] + 1e-3 * random.standard_normal(30)  # like it, but no twin
    assert data.repeated_columns(x, np.array([], int)) == [(0, 2), (1, 4)]


def test_confident_disagreement_by_hand():
    label = np.array([0, 0, 0, 1, 1, 1])
    first = np.array([0.9, 0.8, 0.1, 0.2, 0.95, 0.65])  # usual: 0.6 in the first class, 0.4 in the second
    doubted = labels.confident_disagreement(np.array([first, 1 - first]), label)
    assert doubted.tolist() == [False, False, True, False, True, True]


def test_the_correlation_and_its_deviation_by_chance():
    random = np.random.default_rng(0)
    t = np.eye(4)[random.integers(4, size=300)].T
    p = random.random((4, 300)) * np.array([[1], [2], [0.5], [1]])
    r, deviation = labels.correlation(p, t)
    assert r == pytest.approx(
        np.corrcoef((p - p.mean(1)[:, None]).ravel(), (t - t.mean(1)[:, None]).ravel())[0, 1]
    )
    shuffled = [labels.correlation(p, t[:, random.permutation(300)])[0] for _ in range(2000)]
    assert deviation == pytest.approx(np.std(shuffled), rel=0.06) and abs(np.mean(shuffled)) < 0.1 * deviation
    two, answers = np.eye(2)[random.integers(2, size=300)].T, np.array([p[0], 1 - p[0]])
    for outputs, targets in ((p[:1], t[:1]), (answers, two)):
        assert labels.correlation(outputs, targets)[1] == pytest.approx(299**-0.5)
    assert labels.correlation(np.ones((1, 50)), t[:1, :50]) == (0.0, 49**-0.5)


@pytest.mark.parametrize("limit", [20, 50])
def test_few_examples_are_no_fault(limit):
    assert data.check(Subject(job("digits", data=nnlab.Digits(limit=limit)))).status == "pass"


def test_discrete_data_with_copies_in_the_test_set():
    """What repeats by nature is no alarm, copies beyond that are."""
    e = job("diabetes", data=Drawn(kind="discrete"))
    assert "of few different values" in data.check(Subject(e)).worst.found
    assert data.check(Subject(job("diabetes", data=Changed(of=e.data, copied=1.0)))).causes == [
        "test_in_training"
    ]


def test_the_limit_of_shared_examples_is_the_one_that_was_applied():
    """A single example of a small test set may be chance, so the limit is above the usual 2%."""
    x = np.random.default_rng(0).standard_normal((100, 3))
    x[50:] = x[:50]  # every example twice
    subject = Subject(nnlab.Experiment(data=nnlab.Arrays(x, np.tile([0, 1], 50))))
    (finding,) = shared_examples.check(subject)
    assert finding.threshold == 1 / len(subject.fold.test) > 0.02
    assert f"limit {finding.threshold:.1%}" in finding.found


def test_scales_matter_only_where_nothing_normalises():
    raw = replace(nnlab.Wine(), normalization="none")
    assert data.check(Subject(job("wine", data=raw))).causes == ["scales"]
    assert data.check(Subject(job("wine"))).status == "pass"


@pytest.mark.parametrize("normalization", ["standard", "robust", "none"])
def test_columns_far_out_are_named_where_nothing_pulls_them_in(normalization):
    verdict = data.check(Subject(job("digits", data=nnlab.Digits(normalization=normalization))))
    far = [f for f in verdict.findings if f.cause == "far_columns"]
    if normalization in ("robust", "none"):
        assert not far
        return
    (finding,) = far
    assert "scales out in the" in finding.found and "pixel_" in finding.found
    assert finding.status == "warn" and finding.number > 10 and "data.normalization=robust" in finding.advice


class Written(Data):
    """Five normal columns, two classes; as `change` has them."""

    name = "written"

    def read(self):
        random = np.random.default_rng(0)
        x = random.standard_normal((300, 5))
        dataset = Dataset(x, (x[:, 0] + x[:, 1] > 0).astype(int), ("a", "b"), tuple("vwxyz"))
        self.change(dataset.x)
        return dataset


def written(change, **settings):
    data_source = Written(**settings)
    object.__setattr__(data_source, "change", change)
    return Subject(nnlab.Experiment(data=data_source))


@pytest.mark.parametrize("normalization", ["robust", "standard", "minmax"])
@pytest.mark.parametrize("set_name", ["validation", "test"])
@pytest.mark.parametrize("level, value", [(0, 1e6), (7, -40)])
def test_an_example_far_out_of_a_column_that_is_constant_in_training_is_named(
    normalization, set_name, level, value
):
    fold = written(lambda x: None).fold
    example = getattr(fold, set_name)[3]

    def change(x):
        x[:, 4] = level
        x[example, 4] = value

    (finding,) = data.check(written(change, normalization=normalization)).findings
    assert (finding.status, finding.cause) == ("warn", "far_columns")
    sentence = f"z is {level} in all of training and {value:.4g} in example {example}, of the {set_name} set"
    assert sentence in finding.found and "is that value right?" in finding.advice


def test_a_column_that_is_constant_everywhere_says_nothing_and_one_that_hardly_differs_too():
    def constant(x):
        x[:, 3], x[:, 4] = 7, np.arange(len(x)) == fold.test[0]

    fold = written(lambda x: None).fold
    (finding,) = data.check(written(constant)).findings
    assert finding.cause == "constant_columns" and finding.found.startswith("2 of 5 columns constant")


def test_a_word_on_a_column_of_which_many_values_are_pulled_in():
    def missing(x):
        x[::30, 2] = -99999

    def heavy(x):
        x[:, 2] = np.random.default_rng(0).standard_t(1.5, len(x))

    verdict = data.check(written(missing))
    assert verdict.status == "pass" and "of x beyond 5 deviations and pulled in" in verdict.worst.found
    verdict = data.check(written(heavy))
    assert verdict.status == "pass" and "pulled in" not in verdict.worst.found


def test_heavy_tails_are_not_far_out():
    for name in ("wine", "iris", "breast_cancer", "diabetes", "moons"):
        e = job(name)
        verdict = data.check(Subject(replace(e, data=replace(e.data, normalization="standard"))))
        assert "far_columns" not in verdict.causes, name


def test_a_wide_table_may_have_constant_columns():
    verdict = data.check(Subject(job("digits")))
    assert verdict.status == "pass" and "4 constant columns" in verdict.worst.found
