"""Suspected wrong labels in `nnlab check`, and how they are told from overlapping classes."""

from dataclasses import replace

import numpy as np
import pytest
from check_jobs import BAYES, JOBS, OVERLAPPING, job, overlapping
from networks import one_thread  # noqa: F401

import nnlab
from nnlab.checks import labels
from nnlab.checks.overlap import wrong_labels
from nnlab.checks.subject import Subject
from nnlab.data.sources import Noise
from nnlab.runtime.threads import computing

# ---- the test for wrong labels, on distances drawn by formula

DISTANCES = {
    "uniform": lambda random, n: random.random(n),
    "normal": lambda random, n: np.abs(random.standard_normal(n)),
    "heavy": lambda random, n: np.abs(random.standard_t(3, n)),
    "two heaps": lambda random, n: np.abs(1 + random.standard_normal(n)),
    "bounded": lambda random, n: np.abs(np.sin(9 * random.standard_normal(n))),
}


@pytest.mark.parametrize("kind", DISTANCES)
@pytest.mark.parametrize("steep", [0.3, 1.0, 3.0])
def test_classes_that_overlap_are_seldom_called_wrong(kind, steep):
    random, times = np.random.default_rng(0), 0
    for _ in range(100):
        distance = DISTANCES[kind](random, 600)
        differs = random.random(600) < 1 / (1 + np.exp(steep * distance))
        times += wrong_labels(distance, differs, 2)[1] > labels.NOISE_STANDARD_ERRORS
    assert times <= 10  # of 100; five are expected at worst


@pytest.mark.parametrize("share", [0.1, 0.2, 0.3])
@pytest.mark.parametrize("classes", [2, 5])
def test_labels_wrong_at_any_distance_are_found(share, classes):
    random, detected = np.random.default_rng(0), []
    for _ in range(50):
        distance = DISTANCES["normal"](random, 600)
        boundary = 1 / (1 + np.exp(20 * distance))
        detected.append(
            wrong_labels(distance, random.random(600) < share + (0.5 - share) * 2 * boundary, classes)
        )
    wrong, sure = np.array(detected).T
    assert (
        np.mean(wrong) == pytest.approx(share, abs=0.03)
        and (sure > labels.NOISE_STANDARD_ERRORS).mean() > 0.9
    )


def test_it_depends_on_the_order_of_the_distances_alone():
    random = np.random.default_rng(0)
    distance, differs = random.random(300), random.random(300) < 0.2
    assert wrong_labels(distance, differs, 3) == wrong_labels(np.exp(9 * distance), differs, 3)
    assert wrong_labels(distance, np.zeros(300, bool), 2) == (0.0, 0.0)


def test_what_is_said_of_doubted_labels():
    n = 1000
    doubted = np.arange(n) < 250
    same, more = np.roll(doubted, 20), np.arange(n) < 400

    def said(*args):
        finding = labels._noise_finding(doubted, *args)
        return finding.status, finding.cause, finding.found

    assert said(0.2, 5.0, 2, same)[:2] == ("warn", "label_noise")
    assert "about 20% are wrong" in said(0.2, 5.0, 2, same)[2]
    for args, phrase in (
        ((0.1, 1.0, 2), "cannot tell wrong labels from overlapping classes in 1,000 examples"),
        ((0.4, 5.0, 2, same), "none can tell which"),
        ((0.2, 5.0, 2, more), "hard to learn rather than wrong"),
    ):  # fmt: skip
        status, cause, sentence = said(*args)
        assert (status, cause) == ("pass", "") and phrase in sentence
    assert (
        labels.many_doubted(doubted)
        and not labels.many_doubted(np.arange(n) < 100)
        and not labels.many_doubted(np.arange(40) < 20)
    )


# ---- the rung

SOME = [(*table, BAYES[(3 * k + 2) % len(BAYES)]) for k, table in enumerate(OVERLAPPING)]
SOME += [("linear", 400, 2, 0.3), ("linear", 1000, 8, 0.3)]


@pytest.mark.parametrize("kind, n, d, bayes", SOME)
def test_an_honest_table_is_not_called_mislabelled(kind, n, d, bayes):
    _, (finding,) = labels.find_suspected(Subject(overlapping(kind, n, d, bayes, seed=3)))
    assert finding.cause != "label_noise", finding.found


@pytest.mark.parametrize("name", ["wine", "diabetes"])  # whose folds have two sizes
def test_predictions_do_not_depend_on_who_trains_beside(name, monkeypatch):
    monkeypatch.setattr(labels, "MIN_STEPS", 30)
    subject = Subject(job(name))
    sample, rows = labels.cross_validation_rows(subject, subject.fold.train)
    penalized = [labels._with_penalty(rows, l2) for l2 in (1e-3, 0.1, 10.0)]
    with computing():
        together = labels.predict_held_out(sample, penalized)
        alone = [labels.predict_held_out(sample, [each])[0] for each in penalized]
    for (z, t), (z_alone, t_alone) in zip(together, alone, strict=True):
        assert np.array_equal(z, z_alone) and np.array_equal(t, t_alone)
    assert not np.array_equal(together[0][0], together[2][0])


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "digits"])
def test_the_shipped_sets_are_not_called_mislabelled(name):
    _, (finding,) = labels.find_suspected(Subject(job(name)))
    assert finding.status == "pass"


@pytest.mark.parametrize("name", ["breast_cancer", "moons", "digits"])
def test_wrong_labels_in_classes_that_can_be_told_apart_are_found(name):
    data = replace(JOBS[name].get("data", nnlab.Digits()), label_noise=0.2, seed=4)
    subject = Subject(job(name, data=data))
    numbers, (finding,) = labels.find_suspected(subject)
    assert (finding.status, finding.cause) == ("warn", "label_noise"), finding.found
    changed = np.flatnonzero(subject.dataset.noisy != subject.dataset.y)
    there = np.intersect1d(changed, subject.fold.train)
    right = len(np.intersect1d(numbers, there))
    assert right > 0.6 * len(there) and right > 0.5 * len(numbers)


def test_what_few_examples_cannot_show_is_said_so():
    few, many = (
        labels.find_suspected(Subject(nnlab.Experiment(data=Noise(n=n, d=3))))[1][0] for n in (300, 4000)
    )
    assert few.cause == many.cause == "labels_unrelated"
    assert few.status == "warn" and "too weakly related" in few.advice
    assert many.status == "fail" and "too weakly related" not in many.advice
